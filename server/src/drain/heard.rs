//! Who has heard of a drain and the ends that it made: it waits a little for those who read, and names those who did not
//! keep up with the ends.
//!
//! Invariant: a subscription is waited for only while its consumer reads, and all of them together for one part of the time.
//! What is not acknowledged is sent after the next start; nothing of it is lost. What this deliberately does not do: wait for
//! watches without a subscription, which are told everything before they are closed.

use sessiond_core::event::{EventKind, EventRow};
use sessiond_core::ids::Revision;
use sessiond_core::limits::SUBSCRIPTIONS_MAX;
use sessiond_core::subscription::SubscriptionKey;
use tokio::time::{Instant, sleep};

use super::{Drainer, Part};
use crate::feed::Unread;
use crate::limits::DRAIN_LOOK_EVERY;
use crate::over::Over;
use crate::wire::parse;
use crate::wire::query::EventQuery;

/// A subscription that may have events of the drain before it.
struct Listener {
    subscription: SubscriptionKey,
    query: EventQuery,
    acked: Revision,
    /// The last of the events that it is to hear of; 0 where there is none.
    last: Revision,
    /// Ends that it is to hear of and did not acknowledge.
    unheard: u64,
}

impl Drainer {
    /// Waits until each subscription that is read has acknowledged what the drain told after `before`, for its part of the time; answers
    /// with those that did not, and how many ends they have before them.
    pub(super) async fn wait_for_subscribers(
        &self,
        before: Revision,
    ) -> Result<Vec<(SubscriptionKey, u64)>, Over> {
        let began = Instant::now();
        let through = self.feed.newest();
        let mut listeners = self.listeners()?;
        self.each_event(before, through, &mut listeners, |one, event| {
            one.last = event.revision;
        })
        .await?;
        while self.is_awaited(&mut listeners)? && !self.drains.is_over(Part::Delivery, began) {
            if !self.engine.is_running() {
                return Err(Over::Ended);
            }
            sleep(DRAIN_LOOK_EVERY).await;
        }
        self.each_event(before, through, &mut listeners, |one, event| {
            let is_end = event.kind == EventKind::SessionEnd;
            one.unheard += u64::from(is_end && event.revision > one.acked);
        })
        .await?;
        let counted = listeners.into_iter();
        Ok(counted.map(|one| (one.subscription, one.unheard)).collect())
    }

    /// The subscriptions that keep the log; one that is stale was told so.
    fn listeners(&self) -> Result<Vec<Listener>, Over> {
        let rows = self.snapshot()?;
        let all = usize::try_from(SUBSCRIPTIONS_MAX).expect("there are few");
        let mut found = Vec::new();
        for subscription in rows.holding(all)? {
            if let Some(row) = rows.subscription(&subscription)? {
                found.push(Listener {
                    query: parse::subscription::query_of(&subscription.0, &row.settings),
                    subscription,
                    acked: row.acked,
                    last: Revision(0),
                    unheard: 0,
                });
            }
        }
        Ok(found)
    }

    /// Forgets those that have heard of everything, or are deleted; answers whether one of the others is read.
    fn is_awaited(&self, listeners: &mut Vec<Listener>) -> Result<bool, Over> {
        let rows = self.snapshot()?;
        let mut reads = false;
        for mut one in std::mem::take(listeners) {
            let Some(row) = rows.subscription(&one.subscription)? else {
                continue;
            };
            one.acked = row.acked;
            if one.acked < one.last {
                reads |= self.consumers.is_read(&one.subscription, row.epoch);
                listeners.push(one);
            }
        }
        Ok(reads)
    }

    /// Goes once over the events of a drain behind `before` up to `through`, with each subscription that is to hear of one.
    async fn each_event(
        &self,
        before: Revision,
        through: Revision,
        listeners: &mut [Listener],
        note: impl Fn(&mut Listener, &EventRow),
    ) -> Result<(), Over> {
        let mut at = before;
        while !listeners.is_empty() && at < through {
            let looked = self.feed.look(at, |event| {
                let kinds = [EventKind::SessionEnd, EventKind::ServerDraining];
                if !kinds.contains(&event.kind) || event.revision > through {
                    return;
                }
                for one in listeners.iter_mut() {
                    if one.query.matches(event) {
                        note(one, event);
                    }
                }
            });
            at = match looked {
                Ok(reached) if reached == at => return Ok(()),
                Ok(reached) => reached,
                // Nobody that keeps the log needed what is gone.
                Err(Unread::Compacted { oldest, .. }) => Revision(oldest.0 - 1),
                Err(Unread::Fault(fault)) => return Err(fault.into()),
            };
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}
