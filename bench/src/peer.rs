//! What a peer is asked: the same work as sessiond, in the peer's own words.
//!
//! Invariant: every peer says how durable its answers are, and an answer it gives as an error ends the
//! measurement. What it deliberately does not do: pretend that a peer has what it lacks (`None` then).
//!
//! The peers themselves are in `peers`, which has
//! `start(kind, directory) -> Result<Box<dyn Peer>>` (an own process, its data under `directory`).

use std::fmt;
use std::pin::Pin;

use anyhow::Result;

use crate::samples::{Load, Samples};

/// What a peer answers later; boxed, so that peers are told apart by value and not by type.
pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// The systems sessiond is measured beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum PeerKind {
    /// Redis streams, append-only file with fsync before each reply.
    Redis,
    /// PostgreSQL, one connection a caller.
    PostgreSql,
    /// PostgreSQL behind a pool of 32 connections.
    PostgreSqlPooled,
    /// etcd.
    Etcd,
    /// beanstalkd with its binlog synced at each write.
    Beanstalkd,
}

impl PeerKind {
    /// Every peer there is.
    pub(crate) const ALL: [Self; 5] = [
        Self::Redis,
        Self::PostgreSql,
        Self::PostgreSqlPooled,
        Self::Etcd,
        Self::Beanstalkd,
    ];

    /// Its name in tables, records and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::PostgreSql => "postgresql",
            Self::PostgreSqlPooled => "postgresql-pooled",
            Self::Etcd => "etcd",
            Self::Beanstalkd => "beanstalkd",
        }
    }

    /// The Debian package that has it.
    pub(crate) fn package(self) -> &'static str {
        match self {
            Self::Redis => "redis-server",
            Self::PostgreSql | Self::PostgreSqlPooled => "postgresql",
            Self::Etcd => "etcd-server",
            Self::Beanstalkd => "beanstalkd",
        }
    }

    /// The peer of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for PeerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A peer that runs, in a process and a directory of its own. Dropping it kills the process.
pub(crate) trait Peer: Send + Sync {
    /// Which one it is.
    fn kind(&self) -> PeerKind;

    /// Its version, as the peer tells it.
    fn version(&self) -> &str;

    /// When its answers are on disk, in one honest sentence.
    fn durability(&self) -> &'static str;

    /// Makes `load.callers` messages durable at a time, over 64 queues or more, one request each.
    fn enqueue<'a>(&'a self, load: &'a Load) -> Answer<'a, Samples>;

    /// The same with `in_flight` requests sent ahead of their answers on one connection.
    fn enqueue_pipelined<'a>(
        &'a self,
        in_flight: usize,
        load: &'a Load,
    ) -> Answer<'a, Option<Samples>>;

    /// Claims messages that are there and settles them, `in_flight` at a time; a message is an operation.
    /// The messages are enqueued beforehand or beside it, so that claims find work; that does not count.
    fn claim_settle<'a>(&'a self, in_flight: usize, load: &'a Load) -> Answer<'a, Option<Samples>>;

    /// One message at a time to a worker that waits: the latency is from the send to the receipt by it.
    fn wake<'a>(&'a self, load: &'a Load) -> Answer<'a, Option<Samples>>;

    /// Enqueues a few messages, claims and settles them and counts exactly as many: a peer that fails
    /// this is not measured.
    fn self_check(&self) -> Answer<'_, ()>;

    /// Ends its process and waits until it is gone.
    fn stop(self: Box<Self>) -> Answer<'static, ()>;
}
