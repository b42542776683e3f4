//! Subscriptions: one is made, moved to another place of the log, deleted.
//!
//! Invariant: what is acknowledged lies between where the log begins and where it ends, so an active subscription misses
//! nothing. Whoever makes one that exists gets it as it is, unless it is to be another. One that is moved or deleted has no
//! consumer after it: whoever was is told, and comes back for a new token. What this deliberately does not do: send events.

use std::sync::Arc;

use super::{consume, lag, request, room};
use crate::command::RequestTag;
use crate::command::subscription::{SubscriptionCommand, SubscriptionStep};
use crate::draft::{Draft, Stop};
use crate::ids::{Revision, SessionNo};
use crate::limits::SUBSCRIPTIONS_MAX;
use crate::rejection::Rejection;
use crate::reply::Reply;
use crate::subscription::{
    EventStart, SubscriptionKey, SubscriptionRejection, SubscriptionReply, SubscriptionRow,
    SubscriptionSettings, SubscriptionStanding,
};

/// No session has it.
const NO_SESSION: SessionNo = SessionNo(0);

/// Does what is asked of a subscription.
pub(super) fn subscription(
    draft: &mut Draft<'_>,
    command: &SubscriptionCommand,
) -> Result<Reply, Stop> {
    let key = &command.subscription;
    match &command.step {
        SubscriptionStep::Create {
            settings,
            start,
            request,
        } => create(draft, key, settings, *start, request.as_ref()),
        SubscriptionStep::Seek { start, request } => seek(draft, key, *start, request.as_ref()),
        SubscriptionStep::Delete { request } => delete(draft, key, request.as_ref()),
        SubscriptionStep::Consume {
            consumer,
            stream,
            take_over,
        } => consume::consume(draft, key, consumer, *stream, *take_over),
        SubscriptionStep::Left { stream } => Ok(consume::left(draft, key, *stream)),
        SubscriptionStep::Ack {
            revision,
            epoch,
            delivered,
        } => consume::ack(draft, key, *revision, *epoch, *delivered),
        SubscriptionStep::Lagging => lag::lagging(draft, key),
    }
}

/// A subscription that must be on record.
pub(super) fn find(draft: &Draft<'_>, key: &SubscriptionKey) -> Result<Arc<SubscriptionRow>, Stop> {
    let name = || key.1.clone();
    let row = draft.subscription(key)?;
    row.ok_or_else(|| SubscriptionRejection::NotFound { name: name() }.into())
}

fn create(
    draft: &mut Draft<'_>,
    key: &SubscriptionKey,
    settings: &SubscriptionSettings,
    start: EventStart,
    tag: Option<&RequestTag>,
) -> Result<Reply, Stop> {
    if request::earlier(draft, &key.0, tag)?.is_some() {
        return Ok(answer(find(draft, key)?, false, true));
    }
    if let Some(row) = draft.subscription(key)? {
        let differing = row.settings.differing(settings);
        if !differing.is_empty() {
            let name = key.1.clone();
            return Err(SubscriptionRejection::Exists { name, differing }.into());
        }
        return Ok(answer(row, false, false));
    }
    room::refuse_more(draft)?;
    let mut counters = draft.counters()?;
    if counters.subscriptions >= SUBSCRIPTIONS_MAX {
        let limit = SUBSCRIPTIONS_MAX;
        return Err(SubscriptionRejection::TooMany { limit }.into());
    }
    let (acked, holds_after) = place(draft, start)?;
    counters.subscriptions += 1;
    draft.put_counters(counters);
    let row = Arc::new(SubscriptionRow {
        namespace: key.0.clone(),
        name: key.1.clone(),
        settings: settings.clone(),
        acked,
        holds_after,
        standing: SubscriptionStanding::Active,
        epoch: consume::fresh_epoch(draft)?,
        consumer: None,
        create_time: draft.now.wall,
    });
    draft.put_subscription(Arc::clone(&row))?;
    request::record(draft, &key.0, tag, NO_SESSION, true)?;
    Ok(answer(row, true, false))
}

fn seek(
    draft: &mut Draft<'_>,
    key: &SubscriptionKey,
    start: EventStart,
    tag: Option<&RequestTag>,
) -> Result<Reply, Stop> {
    if request::earlier(draft, &key.0, tag)?.is_some() {
        return Ok(answer(find(draft, key)?, false, true));
    }
    let mut row = SubscriptionRow::clone(&*find(draft, key)?);
    (row.acked, row.holds_after) = place(draft, start)?;
    row.standing = SubscriptionStanding::Active;
    // What its consumer has yet to acknowledge is of the place where it was.
    let given = row.epoch;
    row.epoch = consume::fresh_epoch(draft)?;
    row.consumer = None;
    let moved = SubscriptionRejection::Fenced {
        name: key.1.clone(),
        given,
        current: row.epoch,
    };
    consume::cut(draft, key, moved.into());
    let row = Arc::new(row);
    draft.put_subscription(Arc::clone(&row))?;
    request::record(draft, &key.0, tag, NO_SESSION, false)?;
    Ok(answer(row, false, false))
}

fn delete(
    draft: &mut Draft<'_>,
    key: &SubscriptionKey,
    tag: Option<&RequestTag>,
) -> Result<Reply, Stop> {
    if request::earlier(draft, &key.0, tag)?.is_some() {
        return Ok(Reply::Subscription(SubscriptionReply::Changed {
            subscription: None,
            created: false,
            duplicate: true,
        }));
    }
    let row = find(draft, key)?;
    let gone = SubscriptionRejection::NotFound {
        name: key.1.clone(),
    };
    consume::cut(draft, key, gone.into());
    draft.remove_subscription(key)?;
    let mut counters = draft.counters()?;
    counters.subscriptions -= 1;
    draft.put_counters(counters);
    request::record(draft, &key.0, tag, NO_SESSION, false)?;
    Ok(answer(row, false, false))
}

/// What a subscription that begins at a place has acknowledged, and what it holds the log behind.
fn place(draft: &Draft<'_>, start: EventStart) -> Result<(Revision, Revision), Stop> {
    let counters = draft.counters()?;
    let (begin, newest) = (counters.compacted, counters.revision);
    let after = match start {
        EventStart::Now => return Ok((newest, newest)),
        EventStart::Oldest => return Ok((begin, begin)),
        EventStart::After(after) => after,
    };
    let oldest = begin.next();
    if after > newest {
        return Err(SubscriptionRejection::Ahead { oldest, newest }.into());
    }
    if after < begin {
        return Err(SubscriptionRejection::Compacted {
            after,
            oldest,
            newest,
        }
        .into());
    }
    // In the middle of a decision nothing is deleted; what is before is held a little longer.
    let holds_after = if ends_decision(draft, after)? {
        after
    } else {
        begin
    };
    Ok((after, holds_after))
}

/// Whether the log may be cut behind an event, or where it begins.
pub(super) fn ends_decision(draft: &Draft<'_>, revision: Revision) -> Result<bool, Stop> {
    if revision == draft.counters()?.compacted {
        return Ok(true);
    }
    let event = draft.event_row(revision)?;
    let event = event.expect("an event that was not compacted is on record");
    Ok(event.siblings_after == 0)
}

fn answer(row: Arc<SubscriptionRow>, created: bool, duplicate: bool) -> Reply {
    Reply::Subscription(SubscriptionReply::Changed {
        subscription: Some(row),
        created,
        duplicate,
    })
}

impl From<SubscriptionRejection> for Stop {
    fn from(rejection: SubscriptionRejection) -> Self {
        Rejection::Subscription(rejection).into()
    }
}

impl From<SubscriptionRejection> for Rejection {
    fn from(rejection: SubscriptionRejection) -> Self {
        Self::Subscription(rejection)
    }
}
