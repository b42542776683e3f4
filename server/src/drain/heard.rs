//! Who has heard of the ends that a drain made: it waits a little for those who read, and names those who did not keep up.
//!
//! Invariant: a subscription is waited for only while its consumer reads, and all of them together for one part of the time.
//! What is not acknowledged is sent after the next start; nothing of it is lost. What this deliberately does not do: wait for
//! watches without a subscription, which are told everything before they are closed.

use sessiond_core::event::{EventKind, EventRow};
use sessiond_core::ids::Revision;
use sessiond_core::limits::SUBSCRIPTIONS_MAX;
use sessiond_core::subscription::{SubscriptionKey, SubscriptionRow};
use tokio::time::{Instant, sleep};

use super::{Drainer, Part};
use crate::feed::Unread;
use crate::limits::DRAIN_LOOK_EVERY;
use crate::over::Over;
use crate::wire::parse;
use crate::wire::query::EventQuery;

/// A subscription that may have ends before it.
struct Listener {
    subscription: SubscriptionKey,
    query: EventQuery,
    /// Up to here it has nothing to hear of, or heard of it.
    clear: Revision,
    /// Whether its consumer has a watch open.
    reads: bool,
}

/// How many of the ends up to a place a subscription has before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ahead {
    /// Whether there is one.
    First,
    /// All.
    Count,
}

impl Drainer {
    /// Waits until each subscription that is read has acknowledged the ends after `before`, for its part of the time; answers
    /// with those that did not, and how many ends they have before them.
    pub(super) async fn wait_for_subscribers(
        &self,
        before: Revision,
    ) -> Result<Vec<(SubscriptionKey, u64)>, Over> {
        let began = Instant::now();
        let through = self.feed.newest();
        let mut behind = self.listeners(before)?;
        loop {
            self.hear(&mut behind, through).await?;
            let waits = behind.iter().any(|one| one.reads);
            if !waits || self.drains.is_over(Part::Delivery, began) {
                break;
            }
            if !self.engine.is_running() {
                return Err(Over::Ended);
            }
            sleep(DRAIN_LOOK_EVERY).await;
        }
        let mut unheard = Vec::with_capacity(behind.len());
        for mut one in behind {
            let count = self.ahead(&mut one, through, Ahead::Count).await?;
            unheard.push((one.subscription, count));
        }
        Ok(unheard)
    }

    /// The subscriptions that keep the log; one that is stale was told so.
    fn listeners(&self, before: Revision) -> Result<Vec<Listener>, Over> {
        let rows = self.snapshot()?;
        let all = usize::try_from(SUBSCRIPTIONS_MAX).expect("there are few");
        let mut found = Vec::new();
        for subscription in rows.holding(all)? {
            if let Some(row) = rows.subscription(&subscription)? {
                let query = parse::subscription::query_of(&subscription.0, &row.settings);
                found.push(Listener {
                    query,
                    clear: before,
                    reads: false,
                    subscription,
                });
            }
        }
        Ok(found)
    }

    /// Forgets those that have nothing before them any more, and sees who of the others reads.
    async fn hear(&self, behind: &mut Vec<Listener>, through: Revision) -> Result<(), Over> {
        for mut one in std::mem::take(behind) {
            let Some(row) = self.snapshot()?.subscription(&one.subscription)? else {
                continue;
            };
            let SubscriptionRow { acked, epoch, .. } = &*row;
            one.clear = one.clear.max(*acked);
            one.reads = self.consumers.is_read(&one.subscription, *epoch);
            if self.ahead(&mut one, through, Ahead::First).await? > 0 {
                behind.push(one);
            }
        }
        Ok(())
    }

    /// How many ends it has before it, or whether there is one.
    async fn ahead(
        &self,
        one: &mut Listener,
        through: Revision,
        ahead: Ahead,
    ) -> Result<u64, Over> {
        let (mut count, mut at) = (0, one.clear);
        while at < through {
            let mut first = None;
            let looked = self.feed.look(at, |event| {
                if event.revision <= through && is_end(event, &one.query) {
                    first.get_or_insert(event.revision);
                    count += 1;
                }
            });
            match (looked, first, ahead) {
                (Ok(_), Some(first), Ahead::First) => {
                    one.clear = Revision(first.0 - 1);
                    return Ok(count);
                }
                (Ok(reached), _, _) if reached == at => break,
                (Ok(reached), _, _) => at = reached,
                // An active subscription keeps what it did not acknowledge; this one is stale by now.
                (Err(Unread::Compacted { oldest, .. }), _, _) => at = Revision(oldest.0 - 1),
                (Err(Unread::Fault(fault)), _, _) => return Err(fault.into()),
            }
            tokio::task::yield_now().await;
        }
        if ahead == Ahead::First {
            one.clear = through;
        }
        Ok(count)
    }
}

fn is_end(event: &EventRow, query: &EventQuery) -> bool {
    event.kind == EventKind::SessionEnd && query.matches(event)
}
