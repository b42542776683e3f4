//! One message at a time to one worker that waits for it.
//!
//! Invariant: a round is timed from just before the send to the receipt by the worker; making the worker
//! wait again, and settling, is not. What it deliberately does not do: send while nobody waits.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::ANSWER_WITHIN;
use crate::samples::{Load, Recorder, Samples};

/// How long between two looks whether the worker waits.
const LOOK_EVERY: Duration = Duration::from_micros(100);

/// When a message was sent, and when the worker had it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    pub(crate) sent: Instant,
    pub(crate) received: Instant,
}

/// A producer and a worker that waits for what it sends.
pub(crate) trait Pair: Send {
    /// Makes the worker wait, sends it a message, and settles that.
    fn round(&mut self) -> impl Future<Output = Result<Round>> + Send;
}

/// Repeats rounds until the time is over. There is one worker, whatever the number of callers: more
/// would measure the queue between them.
///
/// # Errors
/// The first round's that failed or got no answer.
pub(crate) async fn rounds(load: &Load, mut pair: impl Pair) -> Result<Samples> {
    let mut recorder = Recorder::start(load);
    while recorder.goes_on(Instant::now()) {
        let round = tokio::time::timeout(ANSWER_WITHIN, pair.round()).await;
        let round = round.context("the waiting worker got no message")??;
        recorder.record(round.sent, round.received);
    }
    recorder.finish()
}

/// Looks until `is_waiting` says that the worker waits.
///
/// # Errors
/// When looking fails; the round's deadline bounds the time.
pub(crate) async fn until_waiting<Fut>(mut is_waiting: impl FnMut() -> Fut) -> Result<()>
where
    Fut: Future<Output = Result<bool>>,
{
    while !is_waiting().await? {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}
