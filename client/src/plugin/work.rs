//! The one event that a plugin's handler has.
//!
//! Keeps an event until its handler has returned without an error: a failure or a
//! panic has it handled again, after a pause that grows.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use sessiond_proto::v1 as pb;
use tokio::time::Instant;

use super::{HandlerError, PluginEvent, PluginHandler};
use crate::cause;
use crate::retry::{Backoff, RetryPolicy};

/// The bounds of the pauses after a handler has failed.
const FAILED_FIRST: Duration = Duration::from_millis(100);
const FAILED_MAX: Duration = Duration::from_secs(30);

type Call = Pin<Box<dyn Future<Output = Result<(), HandlerError>> + Send>>;

/// An event that is being handled, or waits to be handled again.
pub(super) struct Work {
    pub(super) event: Arc<pb::SessionEvent>,
    /// How often the handler was called with it.
    pub(super) attempts: u32,
    call: Option<Call>,
    /// When it is handled again.
    again_at: Instant,
    backoff: Backoff,
}

impl Work {
    pub(super) fn new(event: Arc<pb::SessionEvent>) -> Self {
        let policy = RetryPolicy::within(FAILED_MAX).backoff(FAILED_FIRST, FAILED_MAX);
        Self {
            event,
            attempts: 0,
            call: None,
            again_at: Instant::now(),
            backoff: Backoff::new(policy, fastrand::Rng::new()),
        }
    }

    /// Whether the handler is at it.
    pub(super) fn is_running(&self) -> bool {
        self.call.is_some()
    }

    /// Has it handled again after a pause; answers how long that is.
    pub(super) fn again(&mut self) -> Duration {
        let pause = self.backoff.next(None);
        self.again_at = Instant::now() + pause;
        pause
    }

    /// Has it handled, once its time has come; completes with what the handler
    /// said. It may be dropped at any time.
    pub(super) async fn handled<H: PluginHandler>(
        &mut self,
        handler: &Arc<H>,
        as_event: impl Fn(Arc<pb::SessionEvent>, u32) -> PluginEvent,
    ) -> Result<(), HandlerError> {
        if self.call.is_none() {
            tokio::time::sleep_until(self.again_at).await;
        }
        let call = self.call.get_or_insert_with(|| {
            self.attempts += 1;
            let event = as_event(Arc::clone(&self.event), self.attempts);
            let handler = Arc::clone(handler);
            let id = self.event.event_id.clone();
            let call = async move { cause::naming(&id, handler.handle(event)).await };
            let call = AssertUnwindSafe(call).catch_unwind();
            Box::pin(call.map(|done| done.unwrap_or_else(|_| Err("the handler panicked".into()))))
        });
        let outcome = call.await;
        self.call = None;
        outcome
    }
}
