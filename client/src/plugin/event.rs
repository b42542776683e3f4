//! An event as a plugin's handler gets it.

use std::sync::Arc;
use std::time::Duration;

use sessiond_proto::v1 as pb;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// One event to handle. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PluginEvent {
    pub(super) event: Arc<pb::SessionEvent>,
    pub(super) attempt: u32,
    /// Until when the server serves, once it is going.
    pub(super) closes: watch::Receiver<Option<Instant>>,
    /// Cancelled when the plugin has lost its subscription.
    pub(super) lost: CancellationToken,
}

impl PluginEvent {
    /// The same for all time and over all stores: what an event that comes again
    /// is known by.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.event.event_id
    }

    /// Its place in the log.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.event.revision
    }

    /// The event.
    #[must_use]
    pub fn event(&self) -> &pb::SessionEvent {
        &self.event
    }

    /// The end that it tells, if it is the end of a session: once for every
    /// session.
    #[must_use]
    pub fn session_end(&self) -> Option<&pb::SessionEnd> {
        self.event.end.as_ref()
    }

    /// The session right after it; none for an event about no session.
    #[must_use]
    pub fn session(&self) -> Option<&pb::SessionSnapshot> {
        self.event.session.as_ref()
    }

    /// How often the handler was called with it by this run, this time included.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// For how long the server goes on serving, once it has said that it is going;
    /// none before. What is not acknowledged by then comes again from the next one.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        let closes = *self.closes.borrow();
        closes.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Completes once the plugin has lost its subscription to another consumer, who
    /// gets the event too.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }
}
