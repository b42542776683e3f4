//! Redis: streams with consumer groups, and an append-only file that is synced before each reply.
//!
//! Invariant: a message is settled only when Redis says that it acknowledged and deleted exactly one.
//! What it deliberately does not do: claim more than one message a call, as sessiond hands out each by
//! itself. It does settle a message and claim the next in one round trip, which costs one sync, not two.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, cmd, pipe};
use tokio::sync::Mutex;

use super::drain::{Claim, Pace, drain};
use super::payloads::Payloads;
use super::process::{Daemon, Ending, on_free_port};
use super::wake::{Pair, Round, rounds, until_waiting};
use super::{ANSWER_WITHIN, CHECKED_MESSAGES, CHECKED_PAYLOAD_BYTES, QUEUES, check_count};
use crate::peer::{Answer, Peer, PeerKind};
use crate::samples::{Load, Samples, closed_loop};

mod commands;

use commands::{
    Worker, add, add_all, check_settled, claimed, create_groups, read_group, settlement,
};

/// Commands of one pipeline at most; fewer where that keeps every connection busy.
const PIPELINE: usize = 64;

/// Connections that callers share, and pipelines. Redis reads 16 KiB of a connection before each sync: on
/// a single one it would sync for every few messages. One connection a caller is slower: 42 to 45 thousand
/// messages a second against 62 to 64 at 64 callers, 57 against 74 to 86 at 256.
const CONNECTIONS: usize = 8;

/// How many requests a connection takes before its senders wait: more than any load has.
const CONNECTION_BUFFER: usize = 4_096;

/// How long a waiting worker waits before it asks again, in milliseconds; longer than any round.
const BLOCK_MS: usize = 30_000;

/// How fast it was drained at most, with room for a machine twice as fast.
const PACE: Pace = Pace {
    each: 12_000,
    most: 130_000,
};

/// A running Redis.
#[derive(Debug)]
pub(crate) struct Redis {
    client: Client,
    version: String,
    daemon: Daemon,
}

impl Redis {
    /// Starts one with its data in `directory`.
    pub(crate) async fn start(directory: &Path) -> Result<Self> {
        on_free_port(|port| Self::start_on(directory, port)).await
    }

    async fn start_on(directory: &Path, port: u16) -> Result<Self> {
        let log = directory.join("redis.log");
        let command = server(directory, port);
        let mut daemon = Daemon::start("redis-server", command, log, Ending::Kill)?;
        let info = ("127.0.0.1", port).into_connection_info()?;
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = Client::open(info)?;
        let version = daemon.ready(|| version(&client)).await?;
        let redis = Self {
            client,
            version,
            daemon,
        };
        redis
            .clear()
            .await
            .map_err(|error| redis.daemon.blame(error))?;
        Ok(redis)
    }

    async fn connect(&self) -> Result<MultiplexedConnection> {
        connect(&self.client).await
    }

    async fn connections(&self, count: usize) -> Result<Vec<MultiplexedConnection>> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            connections.push(self.connect().await?);
        }
        Ok(connections)
    }

    /// Drops every message, and the file that has them.
    async fn clear(&self) -> Result<()> {
        let mut connection = self.connect().await?;
        let () = cmd("FLUSHALL")
            .arg("SYNC")
            .query_async(&mut connection)
            .await?;
        rewrite(&mut connection).await?;
        Ok(create_groups().exec_async(&mut connection).await?)
    }

    /// Adds `count` messages, as fast as it goes.
    async fn fill(&self, count: usize, payload_bytes: usize) -> Result<()> {
        let connections = self.connections(CONNECTIONS).await?;
        let payloads = Payloads::new(payload_bytes);
        let fillers = connections
            .into_iter()
            .enumerate()
            .map(|(index, connection)| {
                let payloads = payloads.clone();
                async move {
                    let mut next = index * PIPELINE;
                    while next < count {
                        let end = count.min(next + PIPELINE);
                        add_all(connection.clone(), next..end, &payloads).await?;
                        next += CONNECTIONS * PIPELINE;
                    }
                    Ok(())
                }
            });
        futures_util::future::try_join_all(fillers).await.map(drop)
    }

    async fn measure_enqueue(&self, load: &Load) -> Result<Samples> {
        let connections = self.connections(CONNECTIONS).await?;
        let payloads = Payloads::new(load.payload_bytes);
        let samples = closed_loop(load, |caller| {
            let connection = connections[caller % CONNECTIONS].clone();
            let payloads = payloads.clone();
            let mut next = caller;
            move || {
                next += 1;
                add(connection.clone(), next % QUEUES, payloads.any())
            }
        });
        let samples = samples.await?;
        self.clear().await?;
        Ok(samples)
    }

    async fn measure_pipelined(&self, in_flight: usize, load: &Load) -> Result<Samples> {
        let commands = PIPELINE.min((in_flight / CONNECTIONS).max(1));
        let connections = self.connections(CONNECTIONS).await?;
        let payloads = Payloads::new(load.payload_bytes);
        let pipelines = Load {
            callers: in_flight.div_ceil(commands).max(1),
            ..load.clone()
        };
        let samples = closed_loop(&pipelines, |caller| {
            let connection = connections[caller % CONNECTIONS].clone();
            let payloads = payloads.clone();
            let mut next = caller;
            move || {
                next += commands;
                let (connection, payloads) = (connection.clone(), payloads.clone());
                async move { add_all(connection, next..next + commands, &payloads).await }
            }
        });
        let mut samples = samples.await?;
        samples.operations *= u64::try_from(commands)?;
        self.clear().await?;
        Ok(samples)
    }

    async fn measure_claim_settle(&self, in_flight: usize, load: &Load) -> Result<Samples> {
        self.fill(PACE.backlog(in_flight, load), load.payload_bytes)
            .await?;
        let connections = self.connections(CONNECTIONS).await?;
        let samples = drain(load, in_flight, |worker| {
            let connection = connections[worker % CONNECTIONS].clone();
            let worker = Worker::new(connection, worker, in_flight);
            let worker = Arc::new(Mutex::new(worker));
            move || {
                let worker = Arc::clone(&worker);
                async move { worker.lock().await.settle_one().await }
            }
        });
        let samples = samples.await?;
        self.clear().await?;
        Ok(samples)
    }

    async fn measure_wake(&self, load: &Load) -> Result<Samples> {
        let pair = RedisPair {
            producer: self.connect().await?,
            worker: self.connect().await?,
            observer: self.connect().await?,
            payloads: Payloads::new(load.payload_bytes),
        };
        let samples = rounds(load, pair).await?;
        self.clear().await?;
        Ok(samples)
    }

    async fn check(&self) -> Result<()> {
        let connection = self.connect().await?;
        let (name, policy): (String, String) = cmd("CONFIG")
            .arg("GET")
            .arg("appendfsync")
            .query_async(&mut connection.clone())
            .await?;
        ensure!(policy == "always", "redis has `{name}` at `{policy}`");
        let payloads = Payloads::new(CHECKED_PAYLOAD_BYTES);
        for message in 0..CHECKED_MESSAGES {
            add(connection.clone(), message % QUEUES, payloads.any()).await?;
        }
        let mut worker = Worker::new(connection.clone(), 0, 1);
        let mut settled = 0;
        while worker.settle_one().await? == Claim::Settled {
            settled += 1;
        }
        check_count(settled)?;
        self.fill(CHECKED_MESSAGES, CHECKED_PAYLOAD_BYTES).await?;
        let mut lengths = pipe();
        for queue in 0..QUEUES {
            lengths.cmd("XLEN").arg(queue);
        }
        let lengths: Vec<usize> = lengths.query_async(&mut connection.clone()).await?;
        check_count(lengths.iter().sum())?;
        self.clear().await
    }
}

impl Peer for Redis {
    fn kind(&self) -> PeerKind {
        PeerKind::Redis
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn durability(&self) -> &'static str {
        "append-only file, appendfsync always: synced before the replies of each turn of its loop"
    }

    fn enqueue<'a>(&'a self, load: &'a Load) -> Answer<'a, Samples> {
        Box::pin(self.measure_enqueue(load))
    }

    fn enqueue_pipelined<'a>(
        &'a self,
        in_flight: usize,
        load: &'a Load,
    ) -> Answer<'a, Option<Samples>> {
        Box::pin(async move { self.measure_pipelined(in_flight, load).await.map(Some) })
    }

    fn claim_settle<'a>(&'a self, in_flight: usize, load: &'a Load) -> Answer<'a, Option<Samples>> {
        Box::pin(async move { self.measure_claim_settle(in_flight, load).await.map(Some) })
    }

    fn wake<'a>(&'a self, load: &'a Load) -> Answer<'a, Option<Samples>> {
        Box::pin(async move { self.measure_wake(load).await.map(Some) })
    }

    fn self_check(&self) -> Answer<'_, ()> {
        Box::pin(async move { self.check().await.context("redis failed its check") })
    }

    fn stop(self: Box<Self>) -> Answer<'static, ()> {
        Box::pin(self.daemon.stop())
    }
}

/// A producer, a worker blocked in XREADGROUP, and a connection that sees whether it is.
struct RedisPair {
    producer: MultiplexedConnection,
    worker: MultiplexedConnection,
    observer: MultiplexedConnection,
    payloads: Payloads,
}

impl Pair for RedisPair {
    async fn round(&mut self) -> Result<Round> {
        let mut worker = self.worker.clone();
        let waiting = tokio::spawn(async move {
            let read = read_group(0, 0, Some(BLOCK_MS));
            let entries = read.query_async(&mut worker).await?;
            anyhow::Ok((claimed(entries), Instant::now()))
        });
        until_waiting(|| is_blocked(self.observer.clone())).await?;
        let sent = Instant::now();
        add(self.producer.clone(), 0, self.payloads.any()).await?;
        let (id, received) = waiting.await??;
        let id = id.context("the worker woke without a message")?;
        let (acknowledged, deleted) = settlement(0, &id).query_async(&mut self.worker).await?;
        check_settled(acknowledged, deleted)?;
        Ok(Round { sent, received })
    }
}

fn server(directory: &Path, port: u16) -> Command {
    let mut command = Command::new("redis-server");
    let port = port.to_string();
    let settings = [
        ("--bind", "127.0.0.1"),
        ("--port", port.as_str()),
        ("--save", ""),
        ("--appendonly", "yes"),
        ("--appendfsync", "always"),
        ("--no-appendfsync-on-rewrite", "no"),
        ("--auto-aof-rewrite-percentage", "0"),
        ("--daemonize", "no"),
    ];
    for (name, value) in settings {
        command.args([name, value]);
    }
    command.arg("--dir").arg(directory).current_dir(directory);
    command
}

async fn connect(client: &Client) -> Result<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWER_WITHIN))
        .set_response_timeout(Some(ANSWER_WITHIN))
        .set_pipeline_buffer_size(CONNECTION_BUFFER);
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    connection.await.context("cannot connect to redis")
}

async fn version(client: &Client) -> Result<String> {
    let mut connection = connect(client).await?;
    let info: String = cmd("INFO")
        .arg("server")
        .query_async(&mut connection)
        .await?;
    Ok(field(&info, "redis_version")?.to_owned())
}

/// A field of what INFO says.
fn field<'a>(info: &'a str, name: &str) -> Result<&'a str> {
    let mut pairs = info.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = pairs
        .find(|(key, _)| *key == name)
        .ok_or_else(|| anyhow!("redis does not tell its `{name}`"))?;
    Ok(value.trim())
}

/// Has the append-only file written anew, so that what was dropped leaves the disk as well.
async fn rewrite(connection: &mut MultiplexedConnection) -> Result<()> {
    let () = cmd("BGREWRITEAOF").query_async(connection).await?;
    let done = until_waiting(|| {
        let mut connection = connection.clone();
        async move {
            let info: String = cmd("INFO")
                .arg("persistence")
                .query_async(&mut connection)
                .await?;
            let running = field(&info, "aof_rewrite_in_progress")?;
            let scheduled = field(&info, "aof_rewrite_scheduled")?;
            Ok((running, scheduled) == ("0", "0"))
        }
    });
    let done = tokio::time::timeout(ANSWER_WITHIN, done).await;
    done.context("redis does not finish the rewrite of its file")?
}

async fn is_blocked(mut connection: MultiplexedConnection) -> Result<bool> {
    let info: String = cmd("INFO")
        .arg("clients")
        .query_async(&mut connection)
        .await?;
    Ok(field(&info, "blocked_clients")? == "1")
}
