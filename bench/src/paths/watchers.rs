//! Very many watchers, 200 to a connection, that count what they get.
//!
//! Invariant: a watcher that ends early, for whatever reason, fails the measurement. What it
//! deliberately does not do: keep or compare events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http::uri::PathAndQuery;
use sessiond_proto::v1 as pb;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tonic::Streaming;
use tonic::client::Grpc;

use super::event_count::{CountingCodec, Seen};
use crate::caller::Caller;

/// Watchers on one connection: fewer than the streams it may have, so that calls find room too.
const PER_CONNECTION: usize = 200;
/// Watchers started at once.
const STARTS_AT_ONCE: usize = 50;
/// How long events may take to reach everybody.
const EVERYBODY_WITHIN: Duration = Duration::from_secs(120);
const WATCH: &str = "/sessiond.v1.SessionService/WatchSessionEvents";

/// Watchers that watch until they are dropped.
#[derive(Debug)]
pub(super) struct Watchers {
    seen: Arc<Counter>,
    tasks: JoinSet<Result<()>>,
}

/// Events seen by all watchers together, and how many are waited for.
#[derive(Debug, Default)]
struct Counter {
    seen: AtomicU64,
    wanted: AtomicU64,
    reached: Notify,
}

impl Watchers {
    /// Starts this many, with the filter of each by its index; each has had its first frame.
    pub(super) async fn start(
        address: &str,
        count: usize,
        filter: impl Fn(usize) -> Option<pb::EventFilter>,
    ) -> Result<Self> {
        let mut watchers = Self {
            seen: Arc::default(),
            tasks: JoinSet::new(),
        };
        let indices: Vec<usize> = (0..count).collect();
        for some in indices.chunks(PER_CONNECTION) {
            let caller = Caller::connect(address).await?;
            for at_once in some.chunks(STARTS_AT_ONCE) {
                let starts = at_once
                    .iter()
                    .map(|&index| start_one(&caller, filter(index)));
                for stream in futures_util::future::try_join_all(starts).await? {
                    let seen = Arc::clone(&watchers.seen);
                    watchers.tasks.spawn(count_events(stream, seen));
                }
            }
        }
        Ok(watchers)
    }

    /// Waits until all watchers together have seen this many events since they started.
    ///
    /// # Errors
    /// When they see more, a watch ends, or it takes too long.
    pub(super) async fn have_seen(&mut self, events: u64) -> Result<()> {
        self.seen.wanted.store(events, Ordering::SeqCst);
        let reached = async {
            loop {
                let reached = self.seen.reached.notified();
                match self.seen.seen.load(Ordering::SeqCst) {
                    seen if seen < events => reached.await,
                    seen if seen == events => return Ok(()),
                    seen => bail!("watchers saw {seen} events where there were {events}"),
                }
            }
        };
        // A watch that ended never sees the rest, so its end wins.
        tokio::select! {
            biased;
            Some(ended) = self.tasks.join_next() => ended.context("a watcher died")?,
            reached = tokio::time::timeout(EVERYBODY_WITHIN, reached) => {
                reached.context("events did not reach every watcher")?
            }
        }
    }
}

/// Starts one watch from now on and takes its first frame.
async fn start_one(caller: &Caller, filter: Option<pb::EventFilter>) -> Result<Streaming<Seen>> {
    let request = pb::WatchSessionEventsRequest {
        filter,
        ..pb::WatchSessionEventsRequest::default()
    };
    let mut client = Grpc::new(caller.channel());
    client.ready().await.context("no connection for a watch")?;
    let path = PathAndQuery::from_static(WATCH);
    let stream = client.server_streaming(caller.call(request), path, CountingCodec);
    let mut stream = stream.await.context("failed to watch")?.into_inner();
    match stream.message().await.context("a watch failed")? {
        Some(Seen::Place) => Ok(stream),
        Some(Seen::Events(_) | Seen::Over) | None => bail!("a watch does not say where it starts"),
    }
}

async fn count_events(mut stream: Streaming<Seen>, counter: Arc<Counter>) -> Result<()> {
    loop {
        match stream.message().await.context("a watch failed")? {
            Some(Seen::Events(events)) => {
                let seen = counter.seen.fetch_add(events, Ordering::SeqCst) + events;
                if seen >= counter.wanted.load(Ordering::SeqCst) {
                    counter.reached.notify_one();
                }
            }
            Some(Seen::Place) => {}
            Some(Seen::Over) | None => bail!("a watch was ended"),
        }
    }
}
