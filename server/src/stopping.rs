//! Stopping: the one switch that turns a serving server into one that is going away.
//!
//! It is thrown once and never back. Whoever serves a stream follows it; whoever accepts new sessions
//! asks it. What a stop does to live sessions is not decided here: they stay as they are on record.

use std::sync::Arc;

use tokio::sync::watch;

/// Where the server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It serves.
    Serving,
    /// It finishes what it has and takes nothing new.
    Stopping,
}

/// The switch, shared.
#[derive(Clone, Debug)]
pub struct Stopping {
    phase: Arc<watch::Sender<Phase>>,
}

impl Default for Stopping {
    fn default() -> Self {
        Self {
            phase: Arc::new(watch::Sender::new(Phase::Serving)),
        }
    }
}

impl Stopping {
    /// Throws the switch.
    pub fn begin(&self) {
        self.phase.send_replace(Phase::Stopping);
    }

    /// Whether it is thrown.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        *self.phase.borrow() == Phase::Stopping
    }

    /// Completes when it is thrown.
    pub async fn begun(&self) {
        let mut phase = self.phase.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        drop(phase.wait_for(|phase| *phase == Phase::Stopping).await);
    }
}
