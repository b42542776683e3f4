//! The drain of a server, read frame by frame.
//!
//! Keeps one promise above all: the call is made once. Whatever answers a repeat
//! may be the server that has started meanwhile, which nobody wanted drained; so
//! no policy of `retry.rs` holds here, not even for what counts twice. Dropping
//! the stream leaves the drain to the server, which finishes it.

use std::time::Duration;

use futures_util::StreamExt as _;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::drain_server_response::Frame;
use tokio::time::{Instant, timeout, timeout_at};

use crate::client::Client;
use crate::error::{Error, Origin};

/// How long the server may take to put the drain on record.
const STARTED_WITHIN: Duration = Duration::from_secs(30);

/// How much longer than it said the server may take to report: to the deadline
/// the process is gone.
const REPORT_GRACE: Duration = Duration::from_secs(10);

/// The longest budget that a server may be configured with, and the longest notice.
const BUDGET_MAX: Duration = Duration::from_secs(600 + 3_600);

/// A drain under way.
#[derive(Debug)]
pub struct DrainStream {
    frames: tonic::Streaming<pb::DrainServerResponse>,
    stage: Stage,
}

/// How far the stream is read.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Nothing was read.
    Asked,
    /// The server said that it drains, and reports until then.
    Started(Instant),
    /// The report was read, which comes last.
    Reported,
}

impl Client {
    /// Has the server end in order, and reads how it does. It is asked once,
    /// whatever the policy of repeats says: when the outcome is unknown, look
    /// whether the server is there before you ask again.
    ///
    /// # Errors
    ///
    /// What `DrainServer` refuses; what a connection brings that cannot be made or
    /// that breaks.
    pub async fn drain_server(
        &self,
        request: pb::DrainServerRequest,
    ) -> Result<DrainStream, Error> {
        let mut admin = self.admin_streams();
        let call = admin.drain_server(self.request(request));
        let response = timeout(STARTED_WITHIN, Box::pin(call)).await;
        let response = response.map_err(|_| late())?.map_err(Error::from)?;
        Ok(DrainStream {
            frames: response.into_inner(),
            stage: Stage::Asked,
        })
    }
}

// === impl DrainStream ===

impl DrainStream {
    /// The next frame: `started`, then progress, then the report; `None` behind
    /// that, so that a drain of which the stream ends is one that was reported.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the server went before it reported: its next
    /// start finishes what is left, and then has the report.
    pub async fn next(&mut self) -> Result<Option<Frame>, Error> {
        let until = match self.stage {
            Stage::Asked => Instant::now() + STARTED_WITHIN,
            Stage::Started(until) => until,
            Stage::Reported => return Ok(None),
        };
        loop {
            let next = timeout_at(until, self.frames.next()).await;
            let response = match next.map_err(|_| late())? {
                Some(Ok(response)) => response,
                Some(Err(status)) => return Err(self.broken(Error::from(status))),
                None => return Err(self.gone("the stream ended")),
            };
            // A frame that this build does not know tells it nothing.
            let Some(frame) = response.frame else {
                continue;
            };
            match &frame {
                Frame::Started(started) => {
                    let within = budget(started).saturating_add(REPORT_GRACE);
                    self.stage = Stage::Started(Instant::now() + within);
                }
                Frame::Progress(_) => {}
                Frame::Report(_) => self.stage = Stage::Reported,
            }
            return Ok(Some(frame));
        }
    }

    /// What the end of the connection means; a refusal of the server says that
    /// itself.
    fn broken(&self, error: Error) -> Error {
        if error.refusal().origin == Origin::Transport {
            return self.gone(error.refusal().message());
        }
        error
    }

    fn gone(&self, how: &str) -> Error {
        let what = match self.stage {
            Stage::Asked => "the server went before it said that it drains: it may, or it may not",
            Stage::Started(_) | Stage::Reported => {
                "the server went before it reported: its next start finishes the drain and has the \
                 report"
            }
        };
        Error::broken_link(format!("{what} ({how})"))
    }
}

/// How long a drain may take, its notice with it, by the clock of the server alone.
fn budget(started: &pb::DrainStarted) -> Duration {
    let nanos = |time: Option<prost_types::Timestamp>| {
        let time = time?;
        Some(i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos))
    };
    let span = nanos(started.deadline)
        .zip(nanos(started.begin_time))
        .and_then(|(deadline, begin)| u64::try_from(deadline - begin).ok());
    let span = span.map_or(BUDGET_MAX, Duration::from_nanos);
    span.min(BUDGET_MAX)
}

fn late() -> Error {
    Error::deadline(
        "the server did not say in time how its drain goes on: look whether it is there before you \
         ask again",
    )
}
