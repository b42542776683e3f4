//! Slow: an export that takes long is told in the log while it does, for a disk that hangs lets it take for good.
//!
//! Whoever exports waits for the disk and cannot tell it. Invariant: each export is told once at most, and not once it is
//! over. What this deliberately does not do: end it, which nobody can who waits for a disk.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::env::Spawn;
use crate::limits::EXPORT_SLOW_AFTER;

/// An export that is under way; it is over once this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    _over: oneshot::Sender<Infallible>,
}

/// Has something told if an export takes long that begins now.
pub(super) fn watch(spawn: &dyn Spawn, tell: impl FnOnce() + Send + 'static) -> UnderWay {
    let (sender, over) = oneshot::channel();
    let watching = async move {
        if is_slow(over, EXPORT_SLOW_AFTER).await {
            tell();
        }
    };
    spawn.task("export-watch", Box::pin(watching));
    UnderWay { _over: sender }
}

/// Whether an export is not over after a time.
async fn is_slow(over: oneshot::Receiver<Infallible>, after: Duration) -> bool {
    timeout(after, over).await.is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_over_in_time_is_not_slow_and_what_is_not_is() {
        let (under_way, over) = oneshot::channel();
        let slow = is_slow(over, Duration::from_millis(5)).await;
        assert!(slow);
        drop(under_way);
        let (under_way, over) = oneshot::channel();
        drop(under_way);
        assert!(!is_slow(over, Duration::from_secs(60)).await);
    }
}
