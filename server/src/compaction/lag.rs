//! Subscriptions that seem to be too far behind: they are found from a snapshot, and the engine decides.

use sessiond_core::command::Command;
use sessiond_core::command::subscription::{SubscriptionCommand, SubscriptionStep};
use sessiond_core::limits::SUBSCRIPTIONS_MAX;
use sessiond_core::subscription::SubscriptionKey;
use sessiond_core::time::EngineTime;
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::Rows;

use crate::engine::{Handle, Refused};

/// The active subscriptions that are too far behind.
pub(super) fn lagging(rows: &Rows, now: EngineTime) -> Result<Vec<SubscriptionKey>, Fault> {
    let counters = rows.counters()?;
    let all = usize::try_from(SUBSCRIPTIONS_MAX).expect("there are few");
    let mut found = Vec::new();
    for key in rows.holding(all)? {
        let Some(row) = rows.subscription(&key)? else {
            continue;
        };
        let first = rows.event(row.acked.next())?;
        let most = row.settings.max_lag;
        if first.is_some_and(|first| most.is_passed(&first, now, counters.log_bytes)) {
            found.push(key);
        }
    }
    Ok(found)
}

/// Has the engine look at them.
pub(super) async fn report(engine: &Handle, lagging: Vec<SubscriptionKey>) -> Result<(), Refused> {
    if lagging.is_empty() {
        return Ok(());
    }
    let commands = lagging.into_iter().map(|subscription| {
        let step = SubscriptionStep::Lagging;
        Command::Subscription(SubscriptionCommand { subscription, step })
    });
    engine.tell(commands.collect()).await
}
