//! Compaction: which events need not be kept any longer, by their age, their number and their size.
//!
//! Age is counted in the time that servers ran, as everywhere, so that neither a clock that jumps nor a server that was
//! down deletes anything early. Invariant: what is kept is the newest of the log without a hole. A watch that keeps up is never
//! cut, nor is its client, wherever it reads on: it is told how far it is before anything is deleted that it was not told of.
//! One that reads too slowly, be it in the middle of its initial state, is told that what it wants next is gone, unless it
//! reads for a subscription, which the log waits for until that is too far behind (`lag.rs`). What this deliberately does
//! not do: delete; the engine does, in order with everything else.

use std::sync::Arc;

use sessiond_core::command::Command;
use sessiond_core::ids::Revision;
use sessiond_core::reply::Reply;
use sessiond_core::time::{EngineTime, Limit, Span};
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::{ReadAhead, Reader, Rows};

use crate::engine::{Handle, Refused};
use crate::feed::Feed;
use crate::limits::{
    COMPACT_EVERY, COMPACT_NOTICE, COMPACT_PAUSE, EVENT_BYTES_KEPT_DEFAULT, EVENTS_KEPT_DEFAULT,
};

mod lag;

/// How long events are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRetention {
    /// By their age.
    pub age: Limit,
    /// By their number; none: any number.
    pub max: Option<u64>,
    /// By what they weigh together, in bytes; none: any size.
    pub max_bytes: Option<u64>,
}

impl Default for EventRetention {
    fn default() -> Self {
        Self {
            age: Limit::After(Span::seconds(7 * 86_400)),
            max: Some(EVENTS_KEPT_DEFAULT),
            max_bytes: Some(EVENT_BYTES_KEPT_DEFAULT),
        }
    }
}

/// Whoever has the log compacted.
#[derive(Debug)]
pub(crate) struct Compactor {
    /// Snapshots.
    pub(crate) reader: Reader,
    /// Who deletes.
    pub(crate) engine: Handle,
    /// Who is told before.
    pub(crate) feed: Arc<Feed>,
    /// What is kept.
    pub(crate) retention: EventRetention,
}

/// Has the log compacted, and subscriptions let go that are too far behind, until the engine has ended.
pub(crate) async fn run(compactor: Compactor) {
    let Compactor {
        reader,
        engine,
        feed,
        retention,
    } = compactor;
    loop {
        // Either one; a look that comes too late is of no use to anybody.
        tokio::select! {
            () = engine.ended() => return,
            () = tokio::time::sleep(COMPACT_EVERY) => {}
        }
        let now = engine.clock().now().engine;
        let found = reader.snapshot().and_then(|rows| {
            let lagging = lag::lagging(&rows, now)?;
            Ok((lagging, outlived(&rows, retention, now)?))
        });
        let (lagging, through) = match found {
            Ok(found) => found,
            Err(fault) => {
                tracing::error!(fault = fault.describe(), "events are no longer deleted");
                return;
            }
        };
        if lag::report(&engine, lagging).await.is_err() {
            return;
        }
        let Some(through) = through else {
            continue;
        };
        // What waits for room is refused by nothing but the engine's end.
        match delete(&engine, &feed, through).await {
            Ok(reached) => tracing::debug!(through = reached.0, "events were deleted"),
            Err(_) => return,
        }
    }
}

/// Tells whoever watches, and has the engine delete events, a few at a time, so that it does everything else in between.
/// Fewer are, if a subscription needs some: answers with the newest that is deleted.
///
/// # Errors
/// [`Refused::Stopped`] only: what waits for room waits.
pub(crate) async fn delete(
    engine: &Handle,
    feed: &Feed,
    through: Revision,
) -> Result<Revision, Refused> {
    feed.announce_compaction(through);
    tokio::time::sleep(COMPACT_NOTICE).await;
    let mut before = None;
    loop {
        // With room or without: the busier the engine, the more there is to delete.
        let compact = Command::CompactEvents { through };
        let answer = engine.post_waiting(compact, ReadAhead::default()).await?;
        let answer = answer.await.map_err(|_| Refused::Stopped)?;
        let Ok(Reply::Compacted(reached)) = answer.outcome else {
            panic!("compaction is answered with how far it came: {answer:?}");
        };
        if reached >= through || before == Some(reached) {
            return Ok(reached);
        }
        before = Some(reached);
        tokio::time::sleep(COMPACT_PAUSE).await;
    }
}

/// The newest event that need not be kept any longer, if there is one.
fn outlived(
    rows: &Rows,
    retention: EventRetention,
    now: EngineTime,
) -> Result<Option<Revision>, Fault> {
    let (oldest, newest) = rows.log_bounds()?;
    let by_number = retention
        .max
        .map(|max| Revision(newest.0.saturating_sub(max)));
    let by_age = match retention.age {
        Limit::After(age) if now.0 > age.0 => {
            let before = rows.newest_event_before(EngineTime(now.0 - age.0))?;
            // Those of which it is not known when they were go with the first that is.
            let known = before.filter(|(_, at)| at.0 > 0);
            known.map(|(revision, _)| revision)
        }
        Limit::After(_) | Limit::Never => None,
    };
    let by_size = match retention.max_bytes {
        // What begins before the last so many bytes of the log.
        Some(max) => rows.newest_event_below(rows.counters()?.log_bytes.saturating_sub(max))?,
        None => None,
    };
    let through = by_number.max(by_age).max(by_size);
    // No further than subscriptions let: whoever watches need not be told of more.
    let through = through.map(|through| as_far_as_held(rows, through));
    let through = through.transpose()?;
    Ok(through.filter(|through| *through >= oldest))
}

/// Up to where events may go of those up to `through`: no further than active subscriptions let.
pub(crate) fn as_far_as_held(rows: &Rows, through: Revision) -> Result<Revision, Fault> {
    let held = rows.held_behind()?;
    Ok(held.map_or(through, |held| through.min(held)))
}

#[cfg(test)]
mod tests;
