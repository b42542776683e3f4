//! Lag: a subscription that is too far behind holds nothing any more, and says so with an event.
//!
//! How far it is behind is judged here, from the first event that it did not acknowledge: whoever asks only has a suspicion.
//! Age counts in the time that servers ran, so one that was down makes nobody stale.

use super::consume;
use crate::draft::events::Particulars;
use crate::draft::{Draft, Stop};
use crate::event::{About, Actor, EventKind};
use crate::reply::Reply;
use crate::subscription::{
    SubscriptionKey, SubscriptionRejection, SubscriptionRow, SubscriptionStanding,
};

/// Makes a subscription stale, if it is too far behind.
pub(super) fn lagging(draft: &mut Draft<'_>, key: &SubscriptionKey) -> Result<Reply, Stop> {
    let Some(row) = draft.subscription(key)?.filter(|row| row.is_active()) else {
        return Ok(Reply::Done);
    };
    let counters = draft.counters()?;
    if row.acked >= counters.revision {
        return Ok(Reply::Done);
    }
    let first = draft.event_row(row.acked.next())?;
    let first = first.expect("an active subscription holds what it did not acknowledge");
    let most = row.settings.max_lag;
    if !most.is_passed(first, draft.now.engine, counters.log_bytes) {
        return Ok(Reply::Done);
    }
    let age = draft.now.engine.since(first.at);
    let bytes = counters.log_bytes - first.offset;
    let oldest = counters.compacted.next();
    consume::cut(
        draft,
        key,
        SubscriptionRejection::stale(&row, oldest).into(),
    );
    let attributes = [
        ("subscription", row.name.to_string()),
        ("acked_revision", row.acked.to_string()),
        (
            "lag_events",
            (counters.revision.0 - row.acked.0).to_string(),
        ),
        ("lag_ms", age.0.to_string()),
        ("lag_bytes", bytes.to_string()),
    ];
    let particulars = Particulars {
        message: None,
        attributes: attributes
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
    };
    let time = draft.now.wall;
    let stale = SubscriptionRow {
        standing: SubscriptionStanding::Stale { time },
        ..SubscriptionRow::clone(&row)
    };
    draft.put_subscription(stale.into())?;
    let kind = EventKind::SubscriptionStale;
    let about = About::Subscription(key.clone());
    draft.event_about(kind, Actor::reaper(), about, particulars)?;
    Ok(Reply::Done)
}
