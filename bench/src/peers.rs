//! The peers: how each is started, fed and asked, with nothing held back that makes it fast.
//!
//! Invariant: every peer runs in a process and a directory of its own, acknowledges only what is on
//! disk, and starts each measurement without what the last one left. What it deliberately does not do:
//! use an instance that runs on this machine already, or hide an error (it ends the measurement).

mod beanstalkd;
mod drain;
mod etcd;
mod payloads;
mod postgresql;
mod process;
mod redis;
mod wake;

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::peer::{Peer, PeerKind};
use crate::peers::postgresql::Connections;

/// How many queues messages are spread over: as many as sessiond has sessions.
const QUEUES: usize = 64;

/// How long a peer may take over one request, in a measurement or beside it.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// How many messages a self check sends through a peer.
const CHECKED_MESSAGES: usize = 2 * QUEUES + 1;

/// Bytes of payload in each of them.
const CHECKED_PAYLOAD_BYTES: usize = 2_048;

/// Starts a peer with its data under `directory`, and waits until it answers.
///
/// # Errors
/// When its program is missing, ends, or does not answer in time: with the end of its log.
pub(crate) async fn start(kind: PeerKind, directory: &Path) -> Result<Box<dyn Peer>> {
    Ok(match kind {
        PeerKind::Redis => Box::new(redis::Redis::start(directory).await?),
        PeerKind::PostgreSql => {
            Box::new(postgresql::PostgreSql::start(directory, Connections::EachCaller).await?)
        }
        PeerKind::PostgreSqlPooled => {
            Box::new(postgresql::PostgreSql::start(directory, Connections::Pooled).await?)
        }
        PeerKind::Etcd => Box::new(etcd::Etcd::start(directory).await?),
        PeerKind::Beanstalkd => Box::new(beanstalkd::Beanstalkd::start(directory).await?),
    })
}

/// The end of a self check.
fn check_count(settled: usize) -> Result<()> {
    ensure!(
        settled == CHECKED_MESSAGES,
        "{settled} messages came back of {CHECKED_MESSAGES}"
    );
    Ok(())
}
