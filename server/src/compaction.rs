//! Compaction: which events need not be kept any longer, by their age, their number and their size.
//!
//! Age is counted in the time that servers ran, as everywhere, so that neither a clock that jumps nor a server that was
//! down deletes anything early. Invariant: what is kept is the newest of the log without a hole. A watch that keeps up is never
//! cut: it has a bookmark more often than events can grow too old. One that reads too slowly, be it in the middle of its
//! initial state, is told that what it wants next is gone. What this deliberately does not do: delete; the engine does, in
//! order with everything else.

use sessiond_core::command::Command;
use sessiond_core::ids::Revision;
use sessiond_core::reply::Reply;
use sessiond_core::time::{EngineTime, Limit, Span};
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::{ReadAhead, Reader, Rows};

use crate::engine::{Handle, Refused};
use crate::limits::{COMPACT_EVERY, COMPACT_PAUSE, EVENT_BYTES_KEPT_DEFAULT, EVENTS_KEPT_DEFAULT};

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

/// Has the log compacted until the engine has ended.
pub(crate) async fn run(reader: Reader, engine: Handle, retention: EventRetention) {
    loop {
        // Either one; a look that comes too late is of no use to anybody.
        tokio::select! {
            () = engine.ended() => return,
            () = tokio::time::sleep(COMPACT_EVERY) => {}
        }
        let now = engine.clock().now().engine;
        let found = reader
            .snapshot()
            .and_then(|rows| outlived(&rows, retention, now));
        let through = match found {
            Ok(None) => continue,
            Ok(Some(through)) => through,
            Err(fault) => {
                tracing::error!(fault = fault.describe(), "events are no longer deleted");
                return;
            }
        };
        // What waits for room is refused by nothing but the engine's end.
        if delete(&engine, through).await.is_err() {
            return;
        }
    }
}

/// Has the engine delete events, a few at a time, so that it does everything else in between.
async fn delete(engine: &Handle, through: Revision) -> Result<(), Refused> {
    loop {
        // With room or without: the busier the engine, the more there is to delete.
        let compact = Command::CompactEvents { through };
        let answer = engine.post_waiting(compact, ReadAhead::default()).await?;
        let answer = answer.await.map_err(|_| Refused::Stopped)?;
        let Ok(Reply::Compacted(reached)) = answer.outcome else {
            panic!("compaction is answered with how far it came: {answer:?}");
        };
        if reached >= through {
            tracing::debug!(through = reached.0, "events were deleted");
            return Ok(());
        }
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
    Ok(through.filter(|through| *through >= oldest))
}

#[cfg(test)]
mod tests;
