//! A worker beside a producer: it holds all sessions and settles whatever it gets, at once.
//!
//! It has a connection of its own, as workers have. What it deliberately does not do: measure.

use anyhow::{Context, Result, anyhow};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::work_stream::{Heard, SETTLEMENTS_MAX, WorkStream};
use crate::caller::Caller;

/// Messages it has in hand: the most a worker may ask for.
const CREDIT: u32 = 4_096;

/// A worker that runs until it is dropped.
#[derive(Debug)]
pub(super) struct Worker {
    settled: watch::Receiver<u64>,
    task: JoinHandle<Result<()>>,
}

impl Worker {
    /// Takes the leases and begins.
    pub(super) async fn attach(address: &str, sessions: &[String]) -> Result<Self> {
        let caller = Caller::connect(address).await?;
        let stream = WorkStream::attach(&caller, sessions, CREDIT).await?;
        let (sender, settled) = watch::channel(0);
        let task = tokio::spawn(settle_all(stream, sender));
        Ok(Self { settled, task })
    }

    /// Messages it has settled.
    pub(super) fn settled(&self) -> u64 {
        *self.settled.borrow()
    }

    /// Completes when it has settled more than when it was last looked at.
    ///
    /// # Errors
    /// Why it ended, when it did.
    pub(super) async fn settles_more(&mut self) -> Result<()> {
        if self.settled.changed().await.is_ok() {
            return Ok(());
        }
        let ended = (&mut self.task).await.context("the worker died")?;
        Err(ended.err().unwrap_or_else(|| anyhow!("the worker ended")))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn settle_all(mut stream: WorkStream, settled: watch::Sender<u64>) -> Result<()> {
    loop {
        match stream.heard().await? {
            Heard::Deliveries(deliveries) => deliveries
                .chunks(SETTLEMENTS_MAX)
                .for_each(|some| stream.settle(some)),
            Heard::Settled(count) => settled.send_modify(|all| *all += count as u64),
        }
    }
}
