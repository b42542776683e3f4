//! Settlements on their way: in frames of bounded size, a few frames at a time,
//! each answered in order.
//!
//! Keeps every settlement until it is answered: what a broken stream left
//! unanswered is sent again first, in its old order. A repeat is harmless, so
//! nothing here asks whether the server saw the first one.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use sessiond_proto::v1 as pb;
use tokio::sync::oneshot;

use super::Outcome;
use super::delivery::Cancellation;
use super::flight::FlightKey;
use crate::error::Error;

/// The settlements of one frame: the server's limit.
pub(super) const SETTLEMENTS_PER_FRAME_MAX: usize = 256;

/// Frames that wait for their answer. While this many do, settlements gather and
/// go together, so that a slow commit makes larger frames and not more of them.
pub(super) const FRAMES_UNANSWERED_MAX: usize = 4;

/// The delay of a nack: the server's limit. A longer one would end the stream,
/// and with it the work on every other session.
const NACK_DELAY_MAX: Duration = Duration::from_secs(24 * 3_600);

/// The text of a nack, in bytes: the server's limit.
const NACK_ERROR_BYTES_MAX: usize = 4 * 1024;

/// Who waits for the answer of an extend.
pub(super) type ExtendAnswer = oneshot::Sender<Result<Option<SystemTime>, Error>>;

/// One settlement.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: FlightKey,
    pub(super) settlement: pb::Settlement,
    pub(super) purpose: Purpose,
}

/// What a settlement is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// It ends the delivery.
    End,
    /// It makes the lease hold longer.
    Extend(ExtendAnswer),
}

/// The settlements that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Settles {
    unsent: VecDeque<Entry>,
    sent: VecDeque<Vec<Entry>>,
}

// === impl Settles ===

impl Settles {
    pub(super) fn push(&mut self, entry: Entry) {
        self.unsent.push_back(entry);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.unsent.is_empty() && self.sent.is_empty()
    }

    /// Whether [`Settles::next_frame`] would give one.
    pub(super) fn has_frame(&self) -> bool {
        !self.unsent.is_empty() && self.sent.len() < FRAMES_UNANSWERED_MAX
    }

    /// Whether something waits to be sent.
    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Takes the next frame to be sent.
    pub(super) fn next_frame(&mut self) -> Option<pb::Settle> {
        if !self.has_frame() {
            return None;
        }
        let count = self.unsent.len().min(SETTLEMENTS_PER_FRAME_MAX);
        let entries: Vec<Entry> = self.unsent.drain(..count).collect();
        let settlements = entries.iter().map(|entry| entry.settlement.clone());
        let frame = pb::Settle {
            settlements: settlements.collect(),
        };
        self.sent.push_back(entries);
        Some(frame)
    }

    /// Pairs the answer to the oldest frame with its settlements.
    ///
    /// # Errors
    ///
    /// [`Error::Protocol`] for an answer to nothing or of another length.
    pub(super) fn answered(
        &mut self,
        settled: pb::Settled,
    ) -> Result<Vec<(Entry, pb::SettleResult)>, Error> {
        let expected = self.sent.front().map(Vec::len);
        if expected != Some(settled.results.len()) {
            return Err(Error::protocol(format!(
                "{} settle results for a frame of {expected:?}",
                settled.results.len()
            )));
        }
        let entries = self.sent.pop_front().unwrap_or_default();
        Ok(entries.into_iter().zip(settled.results).collect())
    }

    /// The stream broke: what it left unanswered goes first on the next one.
    pub(super) fn disconnected(&mut self) {
        while let Some(entries) = self.sent.pop_back() {
            for entry in entries.into_iter().rev() {
                self.unsent.push_front(entry);
            }
        }
    }
}

/// The answer to an extend.
pub(super) fn extended(result: &pb::SettleResult) -> Result<Option<SystemTime>, Error> {
    match result.code() {
        pb::SettleCode::Ok => {
            let deadline = result.deadline;
            Ok(deadline.and_then(|time| SystemTime::try_from(time).ok()))
        }
        pb::SettleCode::AlreadySettled => Err(Error::lease_lost("the message is settled")),
        pb::SettleCode::Fenced => Err(Error::lease_lost("the lease is somebody else's")),
        pb::SettleCode::StaleDelivery => Err(Error::lease_lost("the message was handed out again")),
        pb::SettleCode::UnknownMessage | pb::SettleCode::Unspecified => {
            Err(Error::protocol("the server does not know the message"))
        }
    }
}

/// What to tell the server about a delivery whose handler is done; `None` when
/// it would not count, or when the server has decided already.
pub(super) fn worth_settling(
    outcome: Outcome,
    cancelled: Option<&Cancellation>,
) -> Option<pb::settlement::Outcome> {
    use pb::settlement::Outcome as Wire;
    match (cancelled, outcome) {
        (Some(Cancellation::Superseded), _) => None,
        // Work that is done is done: an ack counts whatever became of the lease.
        (_, Outcome::Ack { usage }) => Some(Wire::Ack(pb::Ack { usage_delta: usage })),
        (
            Some(
                Cancellation::LeaseLost { .. }
                | Cancellation::Requested { .. }
                | Cancellation::Stopping,
            ),
            Outcome::Retry { .. }
            | Outcome::Defer { .. }
            | Outcome::Permanent { .. }
            | Outcome::Abandoned,
        ) => None,
        (None, Outcome::Retry { error, delay }) => Some(nack(pb::NackKind::Retry, error, delay)),
        (None, Outcome::Defer { error, delay }) => Some(nack(pb::NackKind::Defer, error, delay)),
        (None, Outcome::Permanent { error }) => Some(nack(pb::NackKind::Permanent, error, None)),
        (None, Outcome::Abandoned) => {
            let error = "the handler gave the work up".to_owned();
            Some(nack(pb::NackKind::Retry, error, None))
        }
    }
}

fn nack(kind: pb::NackKind, error: String, delay: Option<Duration>) -> pb::settlement::Outcome {
    let delay = delay.filter(|delay| !delay.is_zero());
    if let Some(delay) = delay.filter(|delay| *delay > NACK_DELAY_MAX) {
        tracing::warn!(?delay, max = ?NACK_DELAY_MAX, "the delay of a nack is shortened");
    }
    let mut nack = pb::Nack {
        delay: delay.map(|delay| crate::session::to_span(delay.min(NACK_DELAY_MAX))),
        error: clipped(error),
        ..Default::default()
    };
    nack.set_kind(kind);
    pb::settlement::Outcome::Nack(nack)
}

/// An error text within the server's limit: a settlement is never refused for
/// its prose.
fn clipped(mut error: String) -> String {
    if error.len() > NACK_ERROR_BYTES_MAX {
        let fits = (0..=NACK_ERROR_BYTES_MAX).rev();
        let end = fits.into_iter().find(|end| error.is_char_boundary(*end));
        error.truncate(end.unwrap_or(0));
    }
    error
}

#[cfg(test)]
mod tests;
