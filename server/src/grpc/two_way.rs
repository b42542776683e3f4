//! What the streams with frames both ways have in common: the first frame, which must come in its time, a frame that its
//! client may not take, and the last word.
//!
//! Invariant: no wait here is without an end. What this deliberately does not do: know what the frames say.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::limits::{HELLO_WITHIN, LAST_WORD_WITHIN};
use crate::wire::status::Refusal;

/// What a stream is handed to be written.
type Out<T> = mpsc::Sender<Result<T, Status>>;

/// The first frame; none when the client left without one, so that it has nothing to be told.
///
/// # Errors
/// When it does not come in time, or cannot be read.
pub(super) async fn first<T>(incoming: &mut Streaming<T>) -> Result<Option<T>, Status> {
    tokio::time::timeout(HELLO_WITHIN, incoming.message())
        .await
        .map_err(|_| Refusal::field_invalid("hello", "must arrive within 10 s"))?
}

/// Hands something to the transport; answers whether the stream goes on. It does not when the client is gone, when it
/// took nothing for so long that there was no room within that time, or when the stream is over meanwhile.
pub(super) async fn send<T>(
    frame: Result<T, Status>,
    out: &Out<T>,
    over: &CancellationToken,
    within: Duration,
) -> bool {
    tokio::select! {
        biased;
        () = over.cancelled() => false,
        sent = tokio::time::timeout(within, out.send(frame)) => matches!(sent, Ok(Ok(()))),
    }
}

/// Tells a client why its stream ends, unless it is gone or does not read.
pub(super) async fn say_why<T>(why: Status, out: &Out<T>) {
    drop(tokio::time::timeout(LAST_WORD_WITHIN, out.send(Err(why))).await);
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const WITHIN: Duration = Duration::from_millis(20);
    /// What none of these waits takes, and a deadline that is not kept does.
    const EVER: Duration = Duration::from_secs(60);

    /// A stream of which nobody reads, and that has no more room.
    async fn unread() -> (Out<u8>, mpsc::Receiver<Result<u8, Status>>) {
        let (out, taken) = mpsc::channel(1);
        assert!(send(Ok(1), &out, &CancellationToken::new(), EVER).await);
        (out, taken)
    }

    #[tokio::test]
    async fn a_frame_that_nobody_takes_is_given_up_when_its_time_is_over() {
        let (out, _taken) = unread().await;
        let began = Instant::now();
        assert!(!send(Ok(2), &out, &CancellationToken::new(), WITHIN).await);
        assert!(began.elapsed() >= WITHIN);
    }

    #[tokio::test]
    async fn a_frame_that_nobody_takes_does_not_outlive_its_stream() {
        let (out, _taken) = unread().await;
        let over = CancellationToken::new();
        let sent = tokio::time::timeout(EVER / 2, async {
            tokio::join!(send(Ok(2), &out, &over, EVER), async { over.cancel() })
        });
        let (going_on, ()) = sent.await.expect("the end of the stream ends the wait");
        assert!(!going_on);
    }

    #[tokio::test]
    async fn a_frame_waits_for_a_client_that_reads_slowly() {
        let (out, mut taken) = unread().await;
        let over = CancellationToken::new();
        let (going_on, first) = tokio::join!(send(Ok(2), &out, &over, EVER), async {
            tokio::task::yield_now().await;
            taken.recv().await
        });
        assert!(going_on);
        assert_eq!(first.unwrap().unwrap(), 1);
        assert_eq!(taken.recv().await.unwrap().unwrap(), 2);
    }
}
