//! Stopping: the one switch that turns a serving server into one that is going away.
//!
//! ```text
//!  Serving ──► Draining (sessions end, nothing new begins) ──► Stopping (everybody leaves)
//!      └──────────────────────────────────────────────────────────▲  where sessions stay
//! ```
//!
//! It goes on and never back. Whoever accepts what is new asks whether the server drains; whoever serves a stream goes on
//! until it stops. What becomes of live sessions is not decided here.

use std::sync::Arc;

use tokio::sync::watch;

/// Where the server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It serves.
    Serving,
    /// Its sessions end, and it takes nothing new.
    Draining,
    /// It finishes what it has, and everybody leaves.
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
    /// Takes nothing new from here on.
    pub fn drain(&self) {
        self.phase.send_if_modified(|phase| {
            let serves = *phase == Phase::Serving;
            if serves {
                *phase = Phase::Draining;
            }
            serves
        });
    }

    /// Whether nothing new is taken any more.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.phase.borrow() != Phase::Serving
    }

    /// Completes when nothing new is taken any more.
    pub async fn draining(&self) {
        self.wait_for(|phase| phase != Phase::Serving).await;
    }

    /// Has everybody leave.
    pub fn begin(&self) {
        self.phase.send_replace(Phase::Stopping);
    }

    /// Whether everybody is to leave.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        *self.phase.borrow() == Phase::Stopping
    }

    /// Completes when everybody is to leave.
    pub async fn begun(&self) {
        self.wait_for(|phase| phase == Phase::Stopping).await;
    }

    async fn wait_for(&self, is_there: impl Fn(Phase) -> bool) {
        let mut phase = self.phase.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        drop(phase.wait_for(|phase| is_there(*phase)).await);
    }
}
