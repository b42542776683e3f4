//! `sessionctl subscription follow`: a plugin that prints.
//!
//! Invariant: an event is acknowledged after it is written, never before; one that could not be written comes again. What
//! this deliberately does not do: know what became of a line once it is written.

use clap::Args;
use futures_util::StreamExt as _;
use sessiond_client::{Client, WatchItem, pb};

use super::NameArg;
use crate::failure::Failure;
use crate::output::Output;
use crate::watch;

/// Which subscription to follow, and for how long.
#[derive(Debug, Args)]
pub(crate) struct FollowArgs {
    #[command(flatten)]
    name: NameArg,
    /// Acknowledge nothing: everything that is printed comes again.
    #[arg(long)]
    no_ack: bool,
    /// Take the subscription over from whoever reads it.
    #[arg(long)]
    take_over: bool,
    /// Stop after this many events.
    #[arg(long, value_name = "EVENTS")]
    count: Option<u64>,
}

// === impl FollowArgs ===

impl FollowArgs {
    pub(super) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let mut builder = client.watch().subscription(&self.name.name);
        if self.take_over {
            builder = builder.take_over();
        }
        let mut events = builder.start();
        let mut epoch = 0;
        let mut left = self.count.unwrap_or(u64::MAX);
        while left > 0 {
            let Some(item) = events.next().await else {
                break;
            };
            let handled = match item? {
                WatchItem::Started(started) | WatchItem::Reconnected(started) => {
                    epoch = started.subscription_epoch;
                    continue;
                }
                WatchItem::Event(event) => {
                    output.thing(&*event)?;
                    left -= 1;
                    event.revision
                }
                WatchItem::Bookmark(bookmark) => bookmark.revision,
                // It fell too far behind meanwhile: nothing that is gone passes for printed.
                WatchItem::Gap { oldest, current } => {
                    return Err(Failure::Conflict(watch::missing(oldest, current)));
                }
                WatchItem::Initial(_) | WatchItem::InitialEnd => continue,
            };
            self.acknowledge(client, handled, epoch).await?;
        }
        Ok(())
    }

    async fn acknowledge(&self, client: &Client, revision: u64, epoch: u64) -> Result<(), Failure> {
        // A bookmark may come before there is any event.
        if self.no_ack || revision == 0 {
            return Ok(());
        }
        let request = pb::AckEventsRequest {
            name: self.name.name.clone(),
            revision,
            epoch,
        };
        client.ack_events(request).await?;
        Ok(())
    }
}
