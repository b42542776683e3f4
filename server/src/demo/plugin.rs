//! The demo's plugin: follows every event and notes each end, as a memory plugin would.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use futures_util::StreamExt;
use sessiond_client::{Client, EventStream, WatchItem, pb};
use tokio::task::JoinHandle;

/// What the plugin has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Ends by session id, each with how often it came.
    pub(crate) ends: BTreeMap<String, (u64, pb::SessionEnd)>,
    /// Events seen.
    pub(crate) events: u64,
    /// Revisions that were not the one after the last.
    pub(crate) breaks: u64,
    /// Times the watch went on over a new connection.
    pub(crate) resumed: u64,
    last: u64,
}

/// A plugin at work.
#[derive(Debug)]
pub(crate) struct Plugin {
    task: JoinHandle<anyhow::Result<Seen>>,
}

impl Plugin {
    /// Watches until `ends` sessions have ended.
    pub(crate) fn start(client: &Client, ends: u64) -> Self {
        let stream = client.watch().after(0).start();
        Self {
            task: tokio::spawn(follow(stream, ends)),
        }
    }

    /// What it has seen by the last end.
    pub(crate) async fn finish(self) -> anyhow::Result<Seen> {
        self.task.await.context("the plugin died")?
    }
}

async fn follow(mut stream: EventStream, ends: u64) -> anyhow::Result<Seen> {
    let mut seen = Seen::default();
    while (seen.ends.len() as u64) < ends {
        let item = stream.next().await.context("the watch ended")??;
        match item {
            WatchItem::Event(event) => seen.note(*event),
            WatchItem::Reconnected(_) => seen.resumed += 1,
            WatchItem::Gap { oldest, current } => {
                bail!("events up to {oldest} of {current} are gone")
            }
            WatchItem::Started(_)
            | WatchItem::Initial(_)
            | WatchItem::InitialEnd
            | WatchItem::Bookmark(_) => {}
        }
    }
    Ok(seen)
}

impl Seen {
    fn note(&mut self, event: pb::SessionEvent) {
        self.events += 1;
        if event.revision != self.last + 1 {
            self.breaks += 1;
        }
        self.last = event.revision;
        if event.r#type() != pb::EventType::SessionEnd {
            return;
        }
        let end = event.end.unwrap_or_default();
        let session = event.session.unwrap_or_default();
        super::say(&format!(
            "plugin     session_end {} {:<9} {:>3} messages  revision {}",
            session.session_id,
            end.reason().as_str_name().trim_start_matches("END_REASON_"),
            end.counts.unwrap_or_default().processed,
            event.revision,
        ));
        let entry = self.ends.entry(session.session_id).or_default();
        entry.0 += 1;
        entry.1 = end;
    }
}
