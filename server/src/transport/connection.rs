//! One connection, from its first bytes to its end.
//!
//! It ends when its peer closes it, says nothing understandable in time, answers no ping, or has no call open for long; when
//! its place is given to somebody else; when it is old; and when the server stops. Invariant: a call that is open is cut by
//! none of these but the pings, and by a stop only with the process itself. What this deliberately does not do: end streams;
//! whoever serves them does when they are told.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use hyper_util::service::TowerToHyperService;
use pin_project_lite::pin_project;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::transport::server::UdsConnectInfo;
use tower::Service;

use super::max_age::MaxAge;
use super::opening::{self, Http, Opened};
use super::register::{Call, Calls, Place};
use crate::principal::Principal;

/// How long TLS and the first bytes may take, which say what is spoken. They are sent with the connection or right behind.
const OPENING_WITHIN: Duration = Duration::from_secs(5);
/// How long the head of an HTTP/1 request may take, and the pause between two requests: scrapers that keep a connection come
/// twice a minute.
const HTTP1_HEAD_WITHIN: Duration = Duration::from_secs(35);
/// Bytes of the head of an HTTP/1 request: probes and gRPC-Web have a few hundred.
const HTTP1_HEAD_BYTES_MAX: usize = 32 * 1_024;
/// Streams one connection may have open.
const STREAMS_PER_CONNECTION: u32 = 256;
/// Bytes one stream may send ahead of its reader.
const STREAM_WINDOW: u32 = 256 * 1_024;
/// Bytes one connection may send ahead: every stream its window, or two unread streams would block
/// every call beside them.
const CONNECTION_WINDOW: u32 = STREAMS_PER_CONNECTION * STREAM_WINDOW;
/// Bytes of answers kept for one stream that its reader has not taken.
const SEND_BUFFER: usize = 64 * 1_024;
/// Bytes of a call's metadata: twice what implementations of gRPC take by default.
const HEADERS_BYTES_MAX: u32 = 16 * 1_024;
/// Streams that a peer has reset before they were looked at; more end the connection (rapid reset, CVE-2023-44487).
const RESETS_BEFORE_ACCEPT_MAX: usize = 20;
/// Streams that were reset because the peer broke the protocol; more end the connection. So many, because a client that does
/// not know yet how many calls it may have open breaks it once for each above.
const RESETS_BY_ERROR_MAX: usize = 1_024;
/// How often a silent connection is asked whether it is there.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
/// How long it may take to answer.
const KEEPALIVE_WITHIN: Duration = Duration::from_secs(10);
/// How long a connection may have no call open before it is closed; clients open another one with their next call.
const IDLE_MAX: Duration = Duration::from_secs(5 * 60);
/// How long a connection that was told to close may stay without a call, to take the last bytes.
const CLOSING_WITHIN: Duration = Duration::from_secs(2);
/// How long after the peer was told to open no more calls on an old connection its streams are told to come back on another:
/// whoever came back on this one would be told again.
const STREAMS_TOLD_AFTER: Duration = Duration::from_secs(1);

type Socket = Either<TcpStream, UnixStream>;

/// The same, in TLS where that is spoken.
type Secured = Either<Socket, Box<TlsStream<Socket>>>;

/// What was accepted.
pub(super) struct Accepted {
    pub(super) socket: Socket,
    /// Where from, on TCP.
    pub(super) from: Option<SocketAddr>,
    /// Who is on the other end of a socket file.
    pub(super) peer: Option<UdsConnectInfo>,
    /// Whoever speaks TLS with it first.
    pub(super) tls: Option<TlsAcceptor>,
}

/// A connection on which it is known what is spoken.
struct Begun {
    http: Http,
    socket: Opened<Secured>,
    /// Who is on the other end, by its certificate.
    principal: Option<Principal>,
}

/// Speaks TLS, and reads until it is known which HTTP is spoken; `None` when the peer closes before.
async fn begin(
    socket: Socket,
    from: Option<SocketAddr>,
    tls: Option<TlsAcceptor>,
) -> io::Result<Option<Begun>> {
    let (secured, principal) = match tls {
        None => (Either::Left(socket), None),
        Some(tls) => match tls.accept(socket).into_fallible().await {
            Ok(secured) => {
                let shown = secured.get_ref().1.peer_certificates();
                let principal = shown.and_then(<[_]>::first).map(Principal::of);
                (Either::Right(Box::new(secured)), principal)
            }
            Err((error, socket)) => {
                tracing::debug!(?from, %error, "no TLS with whoever connects");
                farewell(socket).await?;
                return Err(error);
            }
        },
    };
    let opened = opening::open(secured).await?;
    Ok(opened.map(|(http, socket)| Begun {
        http,
        socket,
        principal,
    }))
}

/// Closes our side of a connection, and reads until the peer has closed its own: what it has sent ahead and nobody reads
/// would have the system cut the connection, and the peer would not hear why it is not let in.
async fn farewell(mut socket: Socket) -> io::Result<()> {
    socket.shutdown().await?;
    let mut unread = Box::new([0; 1_024]);
    while socket.read(&mut unread[..]).await? > 0 {}
    Ok(())
}

/// Serves a connection until it ends.
pub(super) async fn serve<S>(
    accepted: Accepted,
    service: S,
    place: Place,
    closing: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: std::error::Error + Send + Sync + 'static,
{
    let Accepted {
        socket,
        from,
        peer,
        tls,
    } = accepted;
    let beginning = begin(socket, from, tls);
    let beginning = tokio::time::timeout(OPENING_WITHIN, beginning);
    let begun = tokio::select! {
        biased;
        // Who has said nothing yet is owed nothing.
        () = closing.cancelled() => return,
        () = place.given_away() => return,
        begun = beginning => begun,
    };
    let Ok(Ok(Some(begun))) = begun else {
        return;
    };
    let max_age = MaxAge::default();
    let service = TowerToHyperService::new(Counted {
        inner: service,
        peer,
        principal: begun.principal,
        max_age: max_age.clone(),
        calls: place.calls(),
    });
    let socket = TokioIo::new(begun.socket);
    match begun.http {
        Http::One => {
            let connection = http1().serve_connection(socket, service);
            drive(connection, &place, &max_age, &closing).await;
        }
        Http::Two => {
            let connection = http2().serve_connection(socket, service);
            drive(connection, &place, &max_age, &closing).await;
        }
    }
}

fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP1_HEAD_WITHIN)
        .max_buf_size(HTTP1_HEAD_BYTES_MAX)
        // A caller that has sent all of its request may close its side and wait.
        .half_close(true);
    builder
}

fn http2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .max_pending_accept_reset_streams(RESETS_BEFORE_ACCEPT_MAX)
        .max_local_error_reset_streams(RESETS_BY_ERROR_MAX)
        .keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_WITHIN);
    builder
}

/// Runs a connection to its end.
async fn drive<C: GracefulConnection>(
    connection: C,
    place: &Place,
    max_age: &MaxAge,
    closing: &CancellationToken,
) {
    let mut connection = pin!(connection);
    let mut is_old = false;
    tokio::select! {
        // What a peer did wrong is its own affair.
        _ended = connection.as_mut() => return,
        () = place.given_away() => return,
        () = place.idle_for(IDLE_MAX) => {}
        () = place.is_old() => is_old = true,
        () = closing.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let mut told = pin!(tokio::time::sleep(STREAMS_TOLD_AFTER));
    loop {
        tokio::select! {
            _ended = connection.as_mut() => return,
            () = place.given_away() => return,
            () = place.idle_for(CLOSING_WITHIN) => return,
            () = &mut told, if is_old && !max_age.is_reached() => max_age.reach(),
        }
    }
}

/// A service whose calls count as open from their request to the end of their answer.
#[derive(Clone, Debug)]
struct Counted<S> {
    inner: S,
    peer: Option<UdsConnectInfo>,
    principal: Option<Principal>,
    max_age: MaxAge,
    calls: Calls,
}

pin_project! {
    /// A call that is open.
    struct Counting<F> {
        #[pin]
        inner: F,
        call: Option<Call>,
    }
}

pin_project! {
    /// The answer to a call, which is open until all of it was taken.
    struct Answer {
        #[pin]
        inner: Body,
        _call: Option<Call>,
    }
}

impl<S> Service<Request<Incoming>> for Counted<S>
where
    S: Service<Request<Incoming>, Response = Response<Body>>,
{
    type Response = Response<Answer>;
    type Error = S::Error;
    type Future = Counting<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        if let Some(peer) = &self.peer {
            request.extensions_mut().insert(peer.clone());
        }
        if let Some(principal) = &self.principal {
            request.extensions_mut().insert(principal.clone());
        }
        request.extensions_mut().insert(self.max_age.clone());
        Counting {
            call: Some(self.calls.begin()),
            inner: self.inner.call(request),
        }
    }
}

impl<F, E> Future for Counting<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<Answer>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(cx));
        let _call = this.call.take();
        Poll::Ready(answer.map(|answer| answer.map(|inner| Answer { inner, _call })))
    }
}

impl HttpBody for Answer {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
