//! PostgreSQL: a table of messages, claimed with SKIP LOCKED, announced with NOTIFY.
//!
//! Invariant: each enqueue, and each settlement with the claim of the next message, is a transaction that
//! is synced before it is answered. What it deliberately does not do: claim from a queue that another
//! worker claims from, while there are as many queues as workers: that is the peer's fastest way.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tokio::sync::Mutex;

use super::drain::{Claim, Pace, drain};
use super::payloads::Payloads;
use super::wake::{Pair, Round, rounds};
use super::{CHECKED_MESSAGES, CHECKED_PAYLOAD_BYTES, QUEUES, check_count};
use crate::peer::{Answer, Peer, PeerKind};
use crate::samples::{Load, Samples, closed_loop};

mod account;
mod server;
mod session;

use server::Server;
use session::{Pool, Session};

/// Connections of the pool.
const POOL_SIZE: usize = 32;

/// How fast it was drained at most, with room for a machine twice as fast.
const PACE: Pace = Pace {
    each: 12_000,
    most: 36_000,
};

/// Settings that make an answer durable, as the server must have them.
const DURABLE: [&str; 3] = ["fsync", "synchronous_commit", "full_page_writes"];

/// How callers reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connections {
    /// Each over its own connection.
    EachCaller,
    /// Over 32 that they share.
    Pooled,
}

/// A running PostgreSQL.
#[derive(Debug)]
pub(crate) struct PostgreSql {
    connections: Connections,
    version: String,
    server: Server,
}

impl PostgreSql {
    /// Starts one with its data near `directory`.
    pub(crate) async fn start(directory: &Path, connections: Connections) -> Result<Self> {
        let server = Server::start(directory).await?;
        let version = Session::probe(server.port).await?;
        let created = Session::create_schema(server.port).await;
        created.map_err(|error| server.daemon.blame(error))?;
        Ok(Self {
            connections,
            version,
            server,
        })
    }

    async fn session(&self) -> Result<Session> {
        Session::open(self.server.port).await
    }

    /// A pool for each caller to use: one of its own, or the one that all share.
    async fn pools(&self, callers: usize) -> Result<Vec<Arc<Pool>>> {
        let (pools, size) = match self.connections {
            Connections::EachCaller => (callers, 1),
            Connections::Pooled => (1, POOL_SIZE.min(callers)),
        };
        let mut opened = Vec::with_capacity(pools);
        for _ in 0..pools {
            opened.push(Arc::new(Pool::open(self.server.port, size).await?));
        }
        Ok(opened)
    }

    async fn measure_enqueue(&self, load: &Load) -> Result<Samples> {
        let pools = self.pools(load.callers).await?;
        let payloads = Payloads::new(load.payload_bytes);
        let queues = queues();
        let samples = closed_loop(load, |caller| {
            let pool = Arc::clone(&pools[caller % pools.len()]);
            let (payloads, queues) = (payloads.clone(), Arc::clone(&queues));
            let mut next = caller;
            move || {
                next += 1;
                let (pool, queues, payload) =
                    (Arc::clone(&pool), Arc::clone(&queues), payloads.any());
                async move {
                    let session = pool.take().await;
                    session.enqueue(&queues[next % QUEUES], &payload).await
                }
            }
        });
        let samples = samples.await?;
        self.session().await?.clear().await?;
        Ok(samples)
    }

    async fn measure_claim_settle(&self, in_flight: usize, load: &Load) -> Result<Samples> {
        let owner = self.session().await?;
        let payload = Payloads::new(load.payload_bytes).any();
        owner
            .fill(PACE.backlog(in_flight, load), QUEUES, &payload)
            .await?;
        let pools = self.pools(in_flight).await?;
        let samples = drain(load, in_flight, |worker| {
            let pool = Arc::clone(&pools[worker % pools.len()]);
            let worker = Worker::new(pool, worker, in_flight);
            let worker = Arc::new(Mutex::new(worker));
            move || {
                let worker = Arc::clone(&worker);
                async move { worker.lock().await.settle_one().await }
            }
        });
        let samples = samples.await?;
        owner.clear().await?;
        Ok(samples)
    }

    async fn measure_wake(&self, load: &Load) -> Result<Samples> {
        let pair = PostgreSqlPair {
            producer: self.session().await?,
            worker: self.session().await?,
            payloads: Payloads::new(load.payload_bytes),
        };
        pair.worker.listen().await?;
        let samples = rounds(load, pair).await?;
        self.session().await?.clear().await?;
        Ok(samples)
    }

    async fn check(&self) -> Result<()> {
        let owner = self.session().await?;
        for setting in DURABLE {
            let value = owner.show(setting).await?;
            ensure!(value == "on", "postgres has `{setting}` at `{value}`");
        }
        let pool = self.pools(1).await?.remove(0);
        let (payloads, queues) = (Payloads::new(CHECKED_PAYLOAD_BYTES), queues());
        for message in 0..CHECKED_MESSAGES {
            let session = pool.take().await;
            session
                .enqueue(&queues[message % QUEUES], &payloads.any())
                .await?;
        }
        let mut settled = 0;
        let mut worker = Worker::new(Arc::clone(&pool), 0, 1);
        while worker.settle_one().await? == Claim::Settled {
            settled += 1;
        }
        check_count(settled)?;
        owner
            .fill(CHECKED_MESSAGES, QUEUES, &payloads.any())
            .await?;
        check_count(usize::try_from(owner.count().await?)?)?;
        owner.clear().await
    }
}

impl Peer for PostgreSql {
    fn kind(&self) -> PeerKind {
        match self.connections {
            Connections::EachCaller => PeerKind::PostgreSql,
            Connections::Pooled => PeerKind::PostgreSqlPooled,
        }
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn durability(&self) -> &'static str {
        "fsync and synchronous_commit on: the log is synced before each commit is answered"
    }

    fn enqueue<'a>(&'a self, load: &'a Load) -> Answer<'a, Samples> {
        Box::pin(self.measure_enqueue(load))
    }

    fn enqueue_pipelined<'a>(&'a self, _: usize, _: &'a Load) -> Answer<'a, Option<Samples>> {
        Box::pin(async { Ok(None) })
    }

    fn claim_settle<'a>(&'a self, in_flight: usize, load: &'a Load) -> Answer<'a, Option<Samples>> {
        Box::pin(async move { self.measure_claim_settle(in_flight, load).await.map(Some) })
    }

    fn wake<'a>(&'a self, load: &'a Load) -> Answer<'a, Option<Samples>> {
        Box::pin(async move { self.measure_wake(load).await.map(Some) })
    }

    fn self_check(&self) -> Answer<'_, ()> {
        Box::pin(async move { self.check().await.context("postgres failed its check") })
    }

    fn stop(self: Box<Self>) -> Answer<'static, ()> {
        Box::pin(self.server.stop())
    }
}

/// A producer that notifies, and a worker that listens and claims.
struct PostgreSqlPair {
    producer: Session,
    worker: Session,
    payloads: Payloads,
}

impl Pair for PostgreSqlPair {
    async fn round(&mut self) -> Result<Round> {
        let queue = queue_name(0);
        let received = async {
            self.worker.notified().await;
            let id = self.worker.claim(&queue).await?;
            let received = Instant::now();
            let id = id.context("postgres notified of no message")?;
            anyhow::Ok((id, received))
        };
        let payload = self.payloads.any();
        let sent = Instant::now();
        let enqueued = self.producer.enqueue_and_notify(&queue, &payload);
        let ((), (id, received)) = tokio::try_join!(enqueued, received)?;
        self.worker.settle(id).await?;
        Ok(Round { sent, received })
    }
}

fn queue_name(queue: usize) -> String {
    format!("q{queue}")
}

fn queues() -> Arc<[String]> {
    (0..QUEUES).map(queue_name).collect()
}

/// A worker: it goes around the queues, holds one message, and settles it when it asks for the next.
struct Worker {
    pool: Arc<Pool>,
    /// How many queues on the next message is looked for, so that workers share them evenly.
    stride: usize,
    queue: usize,
    held: Option<i64>,
}

impl Worker {
    fn new(pool: Arc<Pool>, name: usize, stride: usize) -> Self {
        Self {
            pool,
            stride,
            queue: name % QUEUES,
            held: None,
        }
    }

    async fn settle_one(&mut self) -> Result<Claim> {
        if self.held.is_none() {
            self.claim_from_any().await?;
        }
        let Some(id) = self.held.take() else {
            return Ok(Claim::Empty);
        };
        self.queue = (self.queue + self.stride) % QUEUES;
        let session = self.pool.take().await;
        self.held = session
            .settle_and_claim(id, &queue_name(self.queue))
            .await?;
        Ok(Claim::Settled)
    }

    /// Claims from the first queue that has a message.
    async fn claim_from_any(&mut self) -> Result<()> {
        for _ in 0..QUEUES {
            let session = self.pool.take().await;
            self.held = session.claim(&queue_name(self.queue)).await?;
            if self.held.is_some() {
                return Ok(());
            }
            self.queue = (self.queue + 1) % QUEUES;
        }
        Ok(())
    }
}
