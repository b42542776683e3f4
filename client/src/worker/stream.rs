//! The stream of a worker: opened, read, written and noticed when it breaks.
//!
//! Keeps reading and writing apart: [`WorkStream::event`] never waits for room
//! to write, and [`WorkStream::send`] never waits at all, so a server that does
//! not read cannot keep this side from reading. It knows frames, not what
//! they mean.

use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::work_request::Frame as RequestFrame;
use sessiond_proto::v1::work_response::Frame as ResponseFrame;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use crate::client::Client;
use crate::error::Error;

/// How long the server may take to begin its answer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the server may be silent before the stream counts as broken, at
/// least: three of its heartbeats.
const SILENCE_MIN: Duration = Duration::from_secs(15);

/// How many heartbeats the server may miss, where they are further apart.
const HEARTBEATS_MISSED_MAX: u32 = 3;

/// Frames that wait in the connection to be written. Few: a settlement that
/// waits in the ledger instead can still be joined by others.
const WRITE_QUEUE_FRAMES: usize = 16;

type Frames = tonic::Streaming<pb::WorkResponse>;
type Opening = Pin<Box<dyn Future<Output = Result<Frames, Error>> + Send>>;

/// The stream of a worker.
pub(super) struct WorkStream {
    state: State,
    silence: Duration,
}

enum State {
    /// Closed, to be opened at this time.
    Waiting { until: Instant },
    /// Being opened.
    Opening {
        opening: Opening,
        writer: mpsc::Sender<pb::WorkRequest>,
    },
    /// Open.
    Open {
        frames: Box<Frames>,
        writer: mpsc::Sender<pb::WorkRequest>,
        heard: Instant,
    },
}

/// What happened on the stream.
#[derive(Debug)]
pub(super) enum StreamEvent {
    /// It is time to open it.
    Due,
    /// A frame came.
    Frame(Box<ResponseFrame>),
    /// It broke, could not be opened, or the server closed it.
    Broken(Error),
}

// === impl WorkStream ===

impl WorkStream {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            state: State::Waiting { until: now },
            silence: SILENCE_MIN,
        }
    }

    /// Says how often the server promised to be heard.
    pub(super) fn expect_every(&mut self, interval: Duration) {
        let longest = interval.saturating_mul(HEARTBEATS_MISSED_MAX);
        self.silence = longest.max(SILENCE_MIN);
    }

    /// Closes the stream, if it is open, and opens it at `until`.
    pub(super) fn reopen_at(&mut self, until: Instant) {
        self.state = State::Waiting { until };
    }

    /// Begins to open the stream with its first frame.
    pub(super) fn open(&mut self, client: &Client, hello: pb::Hello) {
        let (writer, queue) = mpsc::channel(WRITE_QUEUE_FRAMES);
        let first = pb::WorkRequest {
            frame: Some(RequestFrame::Hello(hello)),
        };
        // The queue is new: there is room for its first frame.
        let _ = writer.try_send(first);
        let mut workers = client.worker_streams();
        let request = client.request(ReceiverStream::new(queue));
        let opening = async move {
            match tokio::time::timeout(OPEN_TIMEOUT, workers.work(request)).await {
                Ok(Ok(response)) => Ok(response.into_inner()),
                Ok(Err(status)) => Err(Error::from(status)),
                Err(_) => Err(Error::deadline(format!(
                    "no answer within {OPEN_TIMEOUT:?}"
                ))),
            }
        };
        self.state = State::Opening {
            opening: Box::pin(opening),
            writer,
        };
    }

    /// Waits for the next event. Dropping the future loses nothing.
    pub(super) async fn event(&mut self) -> StreamEvent {
        loop {
            match &mut self.state {
                State::Waiting { until } => {
                    tokio::time::sleep_until(*until).await;
                    return StreamEvent::Due;
                }
                State::Opening { opening, writer } => match opening.await {
                    Ok(frames) => {
                        self.state = State::Open {
                            frames: Box::new(frames),
                            writer: writer.clone(),
                            heard: Instant::now(),
                        };
                    }
                    Err(error) => return StreamEvent::Broken(error),
                },
                State::Open { frames, heard, .. } => {
                    let silence = *heard + self.silence;
                    match read(frames, silence).await {
                        Some(event) => {
                            *heard = Instant::now();
                            return event;
                        }
                        // A frame of a newer server is a sign of life.
                        None => *heard = Instant::now(),
                    }
                }
            }
        }
    }

    /// Whether a frame can be written without a wait.
    pub(super) fn has_room(&self) -> bool {
        match &self.state {
            State::Open { writer, .. } => writer.capacity() > 0,
            State::Waiting { .. } | State::Opening { .. } => false,
        }
    }

    /// Writes a frame; there must be room. One for a stream that is breaking is
    /// lost with it, as if it had been under way.
    pub(super) fn send(&self, frame: RequestFrame) {
        if let State::Open { writer, .. } = &self.state {
            let _ = writer.try_send(pb::WorkRequest { frame: Some(frame) });
        }
    }

    /// Waits until there is room to write; for ever while there is no stream.
    pub(super) async fn writable(writer: Option<mpsc::Sender<pb::WorkRequest>>) {
        match writer {
            // A closed queue means a broken stream, which the reader reports.
            Some(writer) => match writer.reserve().await {
                Ok(_) => {}
                Err(_) => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }

    /// The writing side, to wait for room while the reading side is in use.
    pub(super) fn writer(&self) -> Option<mpsc::Sender<pb::WorkRequest>> {
        match &self.state {
            State::Open { writer, .. } => Some(writer.clone()),
            State::Waiting { .. } | State::Opening { .. } => None,
        }
    }
}

/// The next frame; `None` for one that this SDK does not know.
async fn read(frames: &mut Frames, silence: Instant) -> Option<StreamEvent> {
    match tokio::time::timeout_at(silence, frames.next()).await {
        Ok(Some(Ok(response))) => {
            let frame = response.frame.map(Box::new);
            frame.map(StreamEvent::Frame)
        }
        Ok(Some(Err(status))) => Some(StreamEvent::Broken(Error::from(status))),
        Ok(None) => {
            let error = Error::broken_link("the server closed the stream");
            Some(StreamEvent::Broken(error))
        }
        Err(_) => {
            let error = Error::broken_link("the server fell silent");
            Some(StreamEvent::Broken(error))
        }
    }
}
