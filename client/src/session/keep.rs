//! Keeps a session of an owner alive by touching it.
//!
//! Keeps one task for as long as the guard lives, and says when the session is
//! gone. A touch that fails for want of a server is no loss: the next one is
//! made at its time, and the limits of a session stand still while the server is
//! down.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::task::AbortOnDropHandle;

use super::SessionHandle;
use crate::error::Error;
use crate::retry::{Verdict, verdict};

/// The least interval: touching more often than this helps nobody.
const KEEP_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Touches a session until it is dropped.
#[derive(Debug)]
pub struct KeepAlive {
    lost: watch::Receiver<Option<Error>>,
    _task: AbortOnDropHandle<()>,
}

// === impl KeepAlive ===

impl KeepAlive {
    pub(super) fn start(session: SessionHandle, interval: Duration) -> Self {
        let (tell, lost) = watch::channel(None);
        let interval = interval.max(KEEP_INTERVAL_MIN);
        let task = tokio::spawn(async move {
            let error = touch_until_lost(&session, interval).await;
            tell.send_replace(Some(error));
        });
        Self {
            lost,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// Waits until the session is lost, and says why: it ended, or the caller
    /// may not touch it. Never returns while the session lives.
    pub async fn lost(&self) -> Error {
        let mut lost = self.lost.clone();
        let told = lost.wait_for(Option::is_some).await;
        let error = told.ok().and_then(|error| error.clone());
        error.unwrap_or_else(|| Error::lease_lost("the task that touches the session is gone"))
    }
}

async fn touch_until_lost(session: &SessionHandle, interval: Duration) -> Error {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match session.touch().await {
            Ok(_) => {}
            Err(error @ Error::Deadline(_)) => tracing::debug!(%error, "a touch failed"),
            Err(error) => match verdict(&error) {
                Verdict::Always | Verdict::WhenHarmless => {
                    tracing::debug!(%error, "a touch failed");
                }
                Verdict::Never => return error,
            },
        }
    }
}
