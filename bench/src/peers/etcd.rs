//! etcd: each message a fresh key, a worker a watch. It has no claim to settle.
//!
//! Invariant: one member, on its defaults for durability, with room for every message of a measurement.
//! What it deliberately does not do: build a queue out of transactions; etcd does not call itself one.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use super::payloads::Payloads;
use super::process::{Daemon, Ending, free_port, on_free_port};
use super::wake::{Pair, Round, rounds};
use super::{ANSWER_WITHIN, CHECKED_MESSAGES, CHECKED_PAYLOAD_BYTES, QUEUES, check_count};
use crate::peer::{Answer, Peer, PeerKind};
use crate::samples::{Load, Samples, closed_loop};

mod wire;

use wire::{KeyRange, WatchResponse};

/// Bytes the store may have, deleted revisions included, until it refuses to write; its own limit is 2 GiB.
const QUOTA_BYTES: &str = "8589934592";

/// What every key begins with.
const PREFIX: &str = "q/";

/// The first key behind all that begin so.
const PREFIX_END: &str = "q0";

/// Connections that callers are spread over.
const CONNECTIONS: usize = 4;

/// A running etcd.
#[derive(Debug)]
pub(crate) struct Etcd {
    url: String,
    version: String,
    keys: Arc<AtomicU64>,
    daemon: Daemon,
}

impl Etcd {
    /// Starts one with its data in `directory`.
    pub(crate) async fn start(directory: &Path) -> Result<Self> {
        on_free_port(|port| Self::start_on(directory, port)).await
    }

    async fn start_on(directory: &Path, port: u16) -> Result<Self> {
        let url = format!("http://127.0.0.1:{port}");
        let command = server(
            directory,
            &url,
            &format!("http://127.0.0.1:{}", free_port()?),
        );
        let log = directory.join("etcd.log");
        let mut daemon = Daemon::start("etcd", command, log, Ending::Kill)?;
        let version = daemon.ready(|| version(&url)).await?;
        Ok(Self {
            url,
            version,
            keys: Arc::new(AtomicU64::new(0)),
            daemon,
        })
    }

    async fn channels(&self, count: usize) -> Result<Vec<Channel>> {
        let mut channels = Vec::with_capacity(count);
        for _ in 0..count {
            channels.push(connect(&self.url).await?);
        }
        Ok(channels)
    }

    /// Drops every message, its history, and the room that took.
    async fn clear(&self) -> Result<()> {
        let channel = connect(&self.url).await?;
        let written = wire::delete(channel.clone(), all()).await?;
        let header = written.header.context("etcd does not tell its revision")?;
        wire::compact(channel.clone(), header.revision).await?;
        Ok(wire::defragment(channel).await?)
    }

    async fn measure_enqueue(&self, load: &Load) -> Result<Samples> {
        let channels = self.channels(CONNECTIONS.min(load.callers)).await?;
        let payloads = Payloads::new(load.payload_bytes);
        let samples = closed_loop(load, |caller| {
            let channel = channels[caller % channels.len()].clone();
            let (payloads, keys) = (payloads.clone(), Arc::clone(&self.keys));
            move || put(channel.clone(), &keys, payloads.any())
        });
        let samples = samples.await?;
        self.clear().await?;
        Ok(samples)
    }

    async fn measure_wake(&self, load: &Load) -> Result<Samples> {
        let pair = EtcdPair {
            producer: connect(&self.url).await?,
            worker: watch(connect(&self.url).await?).await?,
            keys: Arc::clone(&self.keys),
            payloads: Payloads::new(load.payload_bytes),
        };
        let samples = rounds(load, pair).await?;
        self.clear().await?;
        Ok(samples)
    }

    async fn check(&self) -> Result<()> {
        let channel = connect(&self.url).await?;
        let payloads = Payloads::new(CHECKED_PAYLOAD_BYTES);
        for _ in 0..CHECKED_MESSAGES {
            put(channel.clone(), &self.keys, payloads.any()).await?;
        }
        let range = KeyRange {
            count_only: true,
            ..all()
        };
        check_count(usize::try_from(wire::count(channel.clone(), range).await?)?)?;
        let deleted = wire::delete(channel, all()).await?.deleted;
        check_count(usize::try_from(deleted)?)?;
        self.clear().await
    }
}

impl Peer for Etcd {
    fn kind(&self) -> PeerKind {
        PeerKind::Etcd
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn durability(&self) -> &'static str {
        "a single member's raft log, synced before a put is applied and answered"
    }

    fn enqueue<'a>(&'a self, load: &'a Load) -> Answer<'a, Samples> {
        Box::pin(self.measure_enqueue(load))
    }

    fn enqueue_pipelined<'a>(&'a self, _: usize, _: &'a Load) -> Answer<'a, Option<Samples>> {
        Box::pin(async { Ok(None) })
    }

    fn claim_settle<'a>(&'a self, _: usize, _: &'a Load) -> Answer<'a, Option<Samples>> {
        Box::pin(async { Ok(None) })
    }

    fn wake<'a>(&'a self, load: &'a Load) -> Answer<'a, Option<Samples>> {
        Box::pin(async move { self.measure_wake(load).await.map(Some) })
    }

    fn self_check(&self) -> Answer<'_, ()> {
        Box::pin(async move { self.check().await.context("etcd failed its check") })
    }

    fn stop(self: Box<Self>) -> Answer<'static, ()> {
        Box::pin(self.daemon.stop())
    }
}

/// A producer, and a worker that watches.
struct EtcdPair {
    producer: Channel,
    worker: Streaming<WatchResponse>,
    keys: Arc<AtomicU64>,
    payloads: Payloads,
}

impl Pair for EtcdPair {
    async fn round(&mut self) -> Result<Round> {
        let received = async {
            let response = self.worker.message().await?.context("etcd ended a watch")?;
            ensure!(
                response.events.len() == 1,
                "etcd shows a watch no single event"
            );
            anyhow::Ok(Instant::now())
        };
        let sent = Instant::now();
        let put = put(self.producer.clone(), &self.keys, self.payloads.any());
        let ((), received) = tokio::try_join!(put, received)?;
        Ok(Round { sent, received })
    }
}

fn server(directory: &Path, url: &str, peer_url: &str) -> Command {
    let mut command = Command::new("etcd");
    command.arg("--data-dir").arg(directory.join("etcd"));
    command.args(["--name", "default", "--quota-backend-bytes", QUOTA_BYTES]);
    command.args(["--listen-client-urls", url, "--advertise-client-urls", url]);
    command.args(["--listen-peer-urls", peer_url]);
    command.args(["--initial-advertise-peer-urls", peer_url]);
    command.args(["--initial-cluster", &format!("default={peer_url}")]);
    // Each option can come from the environment as well, and must not.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ETCD_") {
            command.env_remove(name);
        }
    }
    command
}

async fn connect(url: &str) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(url.to_owned())?;
    let endpoint = endpoint.tcp_nodelay(true).timeout(ANSWER_WITHIN);
    endpoint.connect().await.context("cannot connect to etcd")
}

async fn version(url: &str) -> Result<String> {
    let status = wire::status(connect(url).await?).await?;
    ensure!(status.leader != 0, "etcd has no leader yet");
    Ok(status.version)
}

fn all() -> KeyRange {
    KeyRange {
        key: Bytes::from_static(PREFIX.as_bytes()),
        range_end: Bytes::from_static(PREFIX_END.as_bytes()),
        count_only: false,
    }
}

/// Puts a message under a key that none had before; keys of a queue follow one another.
fn put(
    channel: Channel,
    keys: &AtomicU64,
    payload: Bytes,
) -> impl Future<Output = Result<()>> + Send + use<> {
    let number = keys.fetch_add(1, Ordering::Relaxed);
    let key = format!("{PREFIX}{:02}/{number:016x}", number % QUEUES as u64);
    async move { Ok(wire::put(channel, Bytes::from(key), payload).await?) }
}

async fn watch(channel: Channel) -> Result<Streaming<WatchResponse>> {
    let mut answers = wire::watch(channel, all()).await?;
    let first = tokio::time::timeout(ANSWER_WITHIN, answers.message()).await;
    let first = first.context("etcd does not open a watch")??;
    match first {
        Some(answer) if answer.created && !answer.canceled => Ok(answers),
        Some(_) | None => bail!("etcd refuses a watch"),
    }
}
