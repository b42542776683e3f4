//! The commands of a queue made of a Redis stream, and the worker that uses them.
//!
//! Invariant: a message counts as settled only when Redis acknowledged and deleted exactly one. What it
//! deliberately does not do: connect, or measure.

use std::ops::Range;

use anyhow::{Result, ensure};
use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, cmd, pipe};

use crate::peers::QUEUES;
use crate::peers::drain::Claim;
use crate::peers::payloads::Payloads;

/// The consumer group of every stream.
const GROUP: &str = "workers";

/// The field of an entry that holds the payload.
const FIELD: &str = "p";

/// The commands that make the queues.
pub(crate) fn create_groups() -> Pipeline {
    let mut groups = pipe();
    for queue in 0..QUEUES {
        let group = groups.cmd("XGROUP").arg("CREATE").arg(queue);
        group.arg(GROUP).arg("0").arg("MKSTREAM").ignore();
    }
    groups
}

/// Makes one message durable.
pub(crate) async fn add(
    mut connection: MultiplexedConnection,
    queue: usize,
    payload: Bytes,
) -> Result<()> {
    let mut add = cmd("XADD");
    add.arg(queue).arg("*").arg(FIELD).arg(&payload[..]);
    Ok(add.exec_async(&mut connection).await?)
}

/// Adds a message for each number, in one pipeline.
pub(crate) async fn add_all(
    mut connection: MultiplexedConnection,
    numbers: Range<usize>,
    payloads: &Payloads,
) -> Result<()> {
    let mut adds = pipe();
    for number in numbers {
        let add = adds.cmd("XADD").arg(number % QUEUES).arg("*").arg(FIELD);
        add.arg(&payloads.any()[..]).ignore();
    }
    Ok(adds.exec_async(&mut connection).await?)
}

/// What XREADGROUP answers: for each stream its entries, each an id with its fields.
pub(crate) type Entries = Vec<(String, Vec<(String, (String, Vec<u8>))>)>;

/// The command that claims one message; waits for one as long as `block_ms` says.
pub(crate) fn read_group(worker: usize, queue: usize, block_ms: Option<usize>) -> Cmd {
    let mut read = cmd("XREADGROUP");
    read.arg("GROUP").arg(GROUP).arg(worker).arg("COUNT").arg(1);
    if let Some(block_ms) = block_ms {
        read.arg("BLOCK").arg(block_ms);
    }
    read.arg("STREAMS").arg(queue).arg(">");
    read
}

/// The commands that settle one message, in front of others.
pub(crate) fn settlement(queue: usize, id: &str) -> Pipeline {
    let mut both = pipe();
    both.cmd("XACK").arg(queue).arg(GROUP).arg(id);
    both.cmd("XDEL").arg(queue).arg(id);
    both
}

/// Fails unless one message was settled.
pub(crate) fn check_settled(acknowledged: usize, deleted: usize) -> Result<()> {
    let is_one = (acknowledged, deleted) == (1, 1);
    ensure!(
        is_one,
        "redis acknowledged {acknowledged} and deleted {deleted} messages of one"
    );
    Ok(())
}

/// The id of the one message in an answer, if there is one.
pub(crate) fn claimed(entries: Option<Entries>) -> Option<String> {
    let mut entries = entries
        .into_iter()
        .flatten()
        .flat_map(|(_, entries)| entries);
    entries.next().map(|(id, _)| id)
}

/// A worker: it goes around the queues, holds one message, and settles it when it asks for the next.
pub(crate) struct Worker {
    connection: MultiplexedConnection,
    name: usize,
    /// How many queues on the next message is looked for, so that workers share them evenly.
    stride: usize,
    queue: usize,
    held: Option<(usize, String)>,
}

impl Worker {
    pub(crate) fn new(connection: MultiplexedConnection, name: usize, stride: usize) -> Self {
        Self {
            connection,
            name,
            stride,
            queue: name % QUEUES,
            held: None,
        }
    }

    /// Settles one message, or says that there is none.
    pub(crate) async fn settle_one(&mut self) -> Result<Claim> {
        if self.held.is_none() {
            self.claim_from_any().await?;
        }
        let Some((queue, id)) = self.held.take() else {
            return Ok(Claim::Empty);
        };
        self.queue = (self.queue + self.stride) % QUEUES;
        let mut commands = settlement(queue, &id);
        commands.add_command(read_group(self.name, self.queue, None));
        let answers = commands.query_async(&mut self.connection).await?;
        let (acknowledged, deleted, next): (usize, usize, Option<Entries>) = answers;
        check_settled(acknowledged, deleted)?;
        self.held = claimed(next).map(|id| (self.queue, id));
        Ok(Claim::Settled)
    }

    /// Claims from the first queue that has a message.
    async fn claim_from_any(&mut self) -> Result<()> {
        for _ in 0..QUEUES {
            let read = read_group(self.name, self.queue, None);
            if let Some(id) = claimed(read.query_async(&mut self.connection).await?) {
                self.held = Some((self.queue, id));
                return Ok(());
            }
            self.queue = (self.queue + 1) % QUEUES;
        }
        Ok(())
    }
}
