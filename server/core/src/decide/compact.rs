//! Compact: deletes events that need not be kept any longer, oldest first, a few at a time.
//!
//! Invariant: the log has no hole and begins with a whole decision, so whoever reads it sees all of what happened at once or
//! none of it; and nothing is deleted that an active subscription did not acknowledge, whoever asks. Up to where it is
//! deleted is in the counters, so an empty log knows what it had. What this deliberately does not do: know how long events
//! are kept; the edge says which ones (`compaction.rs`), and what was old enough once stays so.

use crate::draft::{Draft, Stop};
use crate::ids::Revision;
use crate::index::{IndexEntry, Scan};
use crate::limits::EVENTS_COMPACTED_MAX;
use crate::reply::Reply;
use crate::rows::RowKey;

/// Deletes the oldest events up to `through`, or as many of them as one decision does; whoever asked goes on from there.
pub(super) fn compact(draft: &mut Draft<'_>, through: Revision) -> Result<Reply, Stop> {
    let mut counters = draft.counters()?;
    let before = counters.compacted;
    let through = through.min(counters.revision).min(held_behind(draft)?);
    if through <= before {
        return Ok(Reply::Compacted(before));
    }
    let reach = through.min(Revision(before.0 + EVENTS_COMPACTED_MAX));
    let last = if faulty!(CompactedInTwo) {
        reach
    } else {
        whole(draft, reach)?
    };
    for revision in before.0 + 1..=last.0 {
        draft.remove(RowKey::Event(Revision(revision)));
    }
    counters.compacted = last;
    draft.put_counters(counters);
    Ok(Reply::Compacted(last))
}

/// Behind which event active subscriptions need the log: the one furthest behind says.
fn held_behind(draft: &Draft<'_>) -> Result<Revision, Stop> {
    if faulty!(HoldForgotten) {
        return Ok(Revision(u64::MAX));
    }
    let first = draft.scan(&Scan::Holding, 1)?;
    let held = first.first().and_then(IndexEntry::holds_after);
    Ok(held.map_or(Revision(u64::MAX), |(after, _)| after))
}

/// The end of the decision that an event is of.
fn whole(draft: &Draft<'_>, revision: Revision) -> Result<Revision, Stop> {
    let event = draft.event_row(revision)?;
    let event = event.expect("an event that was not compacted is on record");
    Ok(Revision(revision.0 + u64::from(event.siblings_after)))
}
