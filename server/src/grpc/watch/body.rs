//! The body of a watch's answer: the watch itself, run by the connection that sends it.
//!
//! No task and no queue stand between a watch and its connection. The connection asks for the next
//! frame when it has room for one; that runs the watch until it hands one over, waits, or ends. So a
//! client that does not read stops its watch, one that hangs up drops it, and frames that watchers share
//! are sent without a copy. What this deliberately does not do: know what a frame says.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use sessiond_proto::v1 as pb;
use tonic::{Response, Status};

/// The stream that the generated service sees: it is never read.
pub(in crate::grpc) type Nothing =
    tokio_stream::Empty<Result<pb::WatchSessionEventsResponse, Status>>;

/// Where a watch hands over its frames.
#[derive(Clone, Debug, Default)]
pub(super) struct Outlet {
    frame: Arc<Mutex<Option<Bytes>>>,
}

/// Runs a watch for as long as its frames are asked for.
pub(in crate::grpc) struct WatchBody {
    outlet: Outlet,
    /// None once it has ended and the client was told how.
    watch: Option<Running>,
}

type Running = Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>;

/// Carries a body past the generated service, whose own would encode every frame for every watcher.
#[derive(Clone, Debug)]
struct Instead(Arc<Mutex<Option<WatchBody>>>);

/// The answer, if it is one to a watch, with the watch as its body.
pub(in crate::grpc) fn streamed(
    mut response: http::Response<axum::body::Body>,
) -> http::Response<axum::body::Body> {
    let instead = response.extensions_mut().remove::<Instead>();
    let body = instead.and_then(|Instead(body)| {
        let mut body = body.lock().unwrap_or_else(PoisonError::into_inner);
        body.take()
    });
    match body {
        Some(body) => response.map(|_nothing| axum::body::Body::new(body)),
        None => response,
    }
}

// === impl Outlet ===

impl Outlet {
    /// Hands a frame over; goes on when the connection asks for the next.
    pub(super) async fn send(&self, frame: Bytes) {
        let waiting = self.place().replace(frame);
        assert!(waiting.is_none(), "a frame is taken before the next");
        let mut handed_over = false;
        poll_fn(|_| {
            if std::mem::replace(&mut handed_over, true) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    fn take(&self) -> Option<Bytes> {
        self.place().take()
    }

    fn place(&self) -> std::sync::MutexGuard<'_, Option<Bytes>> {
        self.frame.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl WatchBody ===

impl WatchBody {
    /// A watch that hands its frames to the outlet it is given.
    pub(super) fn new<W>(watch: impl FnOnce(Outlet) -> W) -> Self
    where
        W: Future<Output = Result<(), Status>> + Send + 'static,
    {
        let outlet = Outlet::default();
        Self {
            watch: Some(Box::pin(watch(outlet.clone()))),
            outlet,
        }
    }

    /// An answer that [`streamed`] gives this body.
    pub(in crate::grpc) fn answer(self) -> Response<Nothing> {
        let mut response = Response::new(tokio_stream::empty());
        let instead = Instead(Arc::new(Mutex::new(Some(self))));
        response.extensions_mut().insert(instead);
        response
    }
}

impl http_body::Body for WatchBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(watch) = &mut self.watch else {
            return Poll::Ready(None);
        };
        match watch.as_mut().poll(cx) {
            Poll::Pending => match self.outlet.take() {
                Some(frame) => Poll::Ready(Some(Ok(Frame::data(frame)))),
                None => Poll::Pending,
            },
            Poll::Ready(outcome) => {
                self.watch = None;
                let status = outcome.err().unwrap_or_else(|| Status::ok(""));
                let mut trailers = HeaderMap::new();
                let told = status.add_header(&mut trailers);
                Poll::Ready(Some(told.map(|()| Frame::trailers(trailers))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.watch.is_none()
    }
}

impl fmt::Debug for WatchBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchBody")
            .field("outlet", &self.outlet)
            .field("ended", &self.watch.is_none())
            .finish()
    }
}
