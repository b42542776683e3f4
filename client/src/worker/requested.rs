//! Cancels which the server asked for and waits to hear about.
//!
//! Keeps each open until the deliveries it names have stopped or its time is
//! over, and gives exactly one result for it. It stops nothing itself.

use std::time::{Duration, SystemTime};

use sessiond_proto::v1 as pb;
use tokio::time::Instant;

use super::flight::FlightKey;

/// The least time a handler gets to stop, whatever the two clocks say.
const PATIENCE_MIN: Duration = Duration::from_secs(1);

/// The longest time a result is held back.
const PATIENCE_MAX: Duration = Duration::from_secs(60);

/// The cancels that have no result yet. Their number is bounded by the window:
/// one that names nothing in progress is answered at once.
#[derive(Debug, Default)]
pub(super) struct RequestedCancels {
    open: Vec<Requested>,
}

#[derive(Debug)]
struct Requested {
    session_id: String,
    keys: Vec<FlightKey>,
    until: Instant,
}

// === impl RequestedCancels ===

impl RequestedCancels {
    /// Waits for `keys` to stop.
    pub(super) fn open(&mut self, cancel: &pb::Cancel, keys: Vec<FlightKey>, now: Instant) {
        let deadline = cancel
            .deadline
            .and_then(|time| SystemTime::try_from(time).ok());
        let left = deadline.and_then(|time| time.duration_since(SystemTime::now()).ok());
        let patience = left.unwrap_or_default().clamp(PATIENCE_MIN, PATIENCE_MAX);
        self.open.push(Requested {
            session_id: cancel.session_id.clone(),
            keys,
            until: now + patience,
        });
    }

    /// A delivery has stopped.
    pub(super) fn stopped(&mut self, key: FlightKey) {
        for requested in &mut self.open {
            requested.keys.retain(|waiting| *waiting != key);
        }
    }

    /// Takes the results that are known by now.
    pub(super) fn take_results(&mut self, now: Instant) -> Vec<pb::CancelResult> {
        let (known, open) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|requested: &Requested| requested.keys.is_empty() || requested.until <= now);
        self.open = open;
        let results = known.into_iter().map(|requested: Requested| {
            if requested.keys.is_empty() {
                result(&requested.session_id, pb::CancelOutcome::Stopped)
            } else {
                result(&requested.session_id, pb::CancelOutcome::Failed)
            }
        });
        results.collect()
    }

    /// When the next result is due at the latest.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.open.iter().map(|requested| requested.until).min()
    }

    /// The server no longer waits for results of this session.
    pub(super) fn forget_session(&mut self, session_id: &str) {
        self.open.retain(|open| open.session_id != session_id);
    }

    /// The stream that asked is gone.
    pub(super) fn forget_all(&mut self) {
        self.open.clear();
    }
}

pub(super) fn result(session_id: &str, outcome: pb::CancelOutcome) -> pb::CancelResult {
    let mut result = pb::CancelResult {
        session_id: session_id.to_owned(),
        ..Default::default()
    };
    result.set_outcome(outcome);
    result
}
