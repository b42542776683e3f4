//! beanstalkd: tubes of jobs, with a binlog that is synced at each write (`-f0`).
//!
//! Invariant: each measurement has a server of its own on an empty binlog, so that none pays for
//! compacting what another left. What it deliberately does not do: pipeline puts, as beanstalkd syncs for
//! each of them; it does settle a message and claim the next in one round trip.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use tokio::sync::Mutex;

use super::drain::{Claim, Pace, drain};
use super::payloads::Payloads;
use super::process::{Daemon, Ending, directory_in, on_free_port};
use super::wake::{Pair, Round, rounds, until_waiting};
use super::{CHECKED_MESSAGES, CHECKED_PAYLOAD_BYTES, QUEUES, check_count};
use crate::peer::{Answer, Peer, PeerKind};
use crate::samples::{Load, Samples, closed_loop};

mod connection;

use connection::Connection;

/// The largest job the server accepts, in bytes; its own limit is 64 KiB.
const JOB_BYTES_MAX: usize = 4 << 20;

/// Connections that a backlog is put over: enough to keep the server busy.
const FILL_CONNECTIONS: usize = 16;

/// How fast it was drained at most, with room for a machine half as fast again: putting is no faster than
/// claiming, so that a larger backlog takes longer than the measurement.
const PACE: Pace = Pace {
    each: 12_000,
    most: 16_000,
};

/// beanstalkd, started anew for each measurement.
#[derive(Debug)]
pub(crate) struct Beanstalkd {
    directory: PathBuf,
    version: String,
    servers: AtomicUsize,
}

/// One process of it, on a binlog that is removed with it.
#[derive(Debug)]
struct Server {
    port: u16,
    daemon: Daemon,
    binlog: PathBuf,
}

type Shared = Arc<Mutex<Connection>>;

impl Beanstalkd {
    /// Makes sure that one can be started with its data in `directory`.
    pub(crate) async fn start(directory: &Path) -> Result<Self> {
        let mut peer = Self {
            directory: directory.to_owned(),
            version: String::new(),
            servers: AtomicUsize::new(0),
        };
        let server = peer.serve().await?;
        peer.version = server.connect().await?.stat("version").await?;
        server.stop().await?;
        Ok(peer)
    }

    async fn serve(&self) -> Result<Server> {
        on_free_port(|port| self.serve_on(port)).await
    }

    async fn serve_on(&self, port: u16) -> Result<Server> {
        let number = self.servers.fetch_add(1, Ordering::Relaxed);
        let binlog = directory_in(&self.directory, &format!("binlog-{number}"))?;
        let mut command = Command::new("beanstalkd");
        command
            .args(["-f0", "-l", "127.0.0.1"])
            .arg("-b")
            .arg(&binlog);
        command.args(["-p", &port.to_string(), "-z", &JOB_BYTES_MAX.to_string()]);
        let log = self.directory.join(format!("beanstalkd-{number}.log"));
        let mut daemon = Daemon::start("beanstalkd", command, log, Ending::Kill)?;
        daemon.ready(|| Connection::open(port)).await?;
        Ok(Server {
            port,
            daemon,
            binlog,
        })
    }

    async fn measure_enqueue(&self, load: &Load) -> Result<Samples> {
        let server = self.serve().await?;
        let connections = server.producers(load.callers).await?;
        let payloads = Payloads::new(load.payload_bytes);
        let samples = closed_loop(load, |caller| {
            let connection = Arc::clone(&connections[caller]);
            let payloads = payloads.clone();
            move || {
                let (connection, payload) = (Arc::clone(&connection), payloads.any());
                async move { connection.lock().await.put(&payload).await }
            }
        });
        let samples = samples.await?;
        server.stop().await?;
        Ok(samples)
    }

    async fn measure_claim_settle(&self, in_flight: usize, load: &Load) -> Result<Samples> {
        let server = self.serve().await?;
        let backlog = PACE.backlog(in_flight, load);
        server.fill(backlog, load.payload_bytes).await?;
        let connections = server.workers(in_flight).await?;
        let samples = drain(load, in_flight, |worker| {
            let worker = Worker::new(Arc::clone(&connections[worker]));
            let worker = Arc::new(Mutex::new(worker));
            move || {
                let worker = Arc::clone(&worker);
                async move { worker.lock().await.settle_one().await }
            }
        });
        let samples = samples.await?;
        server.stop().await?;
        Ok(samples)
    }

    async fn measure_wake(&self, load: &Load) -> Result<Samples> {
        let server = self.serve().await?;
        let mut workers = server.workers(1).await?;
        let mut producers = server.producers(1).await?;
        let pair = BeanstalkdPair {
            producer: producers.remove(0),
            worker: workers.remove(0),
            observer: Arc::new(Mutex::new(server.connect().await?)),
            payloads: Payloads::new(load.payload_bytes),
        };
        let samples = rounds(load, pair).await?;
        server.stop().await?;
        Ok(samples)
    }

    async fn check(&self) -> Result<()> {
        let server = self.serve().await?;
        server.fill(CHECKED_MESSAGES, CHECKED_PAYLOAD_BYTES).await?;
        let mut worker = Worker::new(server.workers(1).await?.remove(0));
        let mut settled = 0;
        while worker.settle_one().await? == Claim::Settled {
            settled += 1;
        }
        check_count(settled)?;
        server.stop().await
    }
}

impl Server {
    async fn connect(&self) -> Result<Connection> {
        Connection::open(self.port).await
    }

    /// Connections that put, over all the queues in turn.
    async fn producers(&self, count: usize) -> Result<Vec<Shared>> {
        let mut producers = Vec::with_capacity(count);
        for index in 0..count {
            let mut connection = self.connect().await?;
            connection.put_into(index % QUEUES).await?;
            producers.push(Arc::new(Mutex::new(connection)));
        }
        Ok(producers)
    }

    /// Connections that reserve from every queue.
    async fn workers(&self, count: usize) -> Result<Vec<Shared>> {
        let mut workers = Vec::with_capacity(count);
        for _ in 0..count {
            let mut connection = self.connect().await?;
            connection.watch(0..QUEUES).await?;
            workers.push(Arc::new(Mutex::new(connection)));
        }
        Ok(workers)
    }

    async fn fill(&self, count: usize, payload_bytes: usize) -> Result<()> {
        let payloads = Payloads::new(payload_bytes);
        let producers = self.producers(FILL_CONNECTIONS).await?;
        let fillers = producers.into_iter().enumerate().map(|(index, producer)| {
            let payloads = payloads.clone();
            async move {
                let mut producer = producer.lock().await;
                for _ in (index..count).step_by(FILL_CONNECTIONS) {
                    producer.put(&payloads.any()).await?;
                }
                Ok(())
            }
        });
        futures_util::future::try_join_all(fillers).await.map(drop)
    }

    async fn stop(self) -> Result<()> {
        self.daemon.stop().await?;
        let removed = tokio::fs::remove_dir_all(&self.binlog).await;
        removed.with_context(|| format!("cannot remove {}", self.binlog.display()))
    }
}

impl Peer for Beanstalkd {
    fn kind(&self) -> PeerKind {
        PeerKind::Beanstalkd
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn durability(&self) -> &'static str {
        "binlog with -f0: synced for each put and delete before its reply; a claim is not written"
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
        Box::pin(async move { self.check().await.context("beanstalkd failed its check") })
    }

    fn stop(self: Box<Self>) -> Answer<'static, ()> {
        // Its servers live no longer than their measurements.
        Box::pin(async { Ok(()) })
    }
}

/// A producer, a worker blocked in `reserve`, and a connection that sees whether it is.
#[derive(Debug)]
struct BeanstalkdPair {
    producer: Shared,
    worker: Shared,
    observer: Shared,
    payloads: Payloads,
}

impl Pair for BeanstalkdPair {
    async fn round(&mut self) -> Result<Round> {
        let worker = Arc::clone(&self.worker);
        let waiting = tokio::spawn(async move {
            let job = worker.lock().await.reserve().await?;
            anyhow::Ok((job, Instant::now()))
        });
        until_waiting(|| is_waiting(&self.observer)).await?;
        let sent = Instant::now();
        self.producer.lock().await.put(&self.payloads.any()).await?;
        let (job, received) = waiting.await??;
        self.worker.lock().await.delete(job).await?;
        Ok(Round { sent, received })
    }
}

async fn is_waiting(observer: &Shared) -> Result<bool> {
    Ok(observer.lock().await.stat("current-waiting").await? == "1")
}

/// A worker: it holds one message, and settles it when it asks for the next.
#[derive(Debug)]
struct Worker {
    connection: Shared,
    held: Option<u64>,
}

impl Worker {
    fn new(connection: Shared) -> Self {
        Self {
            connection,
            held: None,
        }
    }

    async fn settle_one(&mut self) -> Result<Claim> {
        let mut connection = self.connection.lock().await;
        if self.held.is_none() {
            self.held = connection.reserve_now().await?;
        }
        let Some(job) = self.held.take() else {
            return Ok(Claim::Empty);
        };
        self.held = connection.delete_and_reserve(job).await?;
        Ok(Claim::Settled)
    }
}
