//! Lease progress: how many sessions workers hold, and whether what they took gets on.
//!
//! It is told from presence alone, by one look at every lease: some milliseconds of the engine's for a hundred thousand, so it
//! is asked for statistics only. What this deliberately does not do: end anything; a holder that gets on with nothing for
//! too long is found by its alarm (`lapse`).

use crate::draft::Draft;
use crate::limits::STALLED_AFTER;
use crate::presence::LeaseClock;
use crate::reply::{LeaseProgress, Reply, Slowest};

/// Counts the leases that hold sessions, of all namespaces.
pub(super) fn lease_progress(draft: &Draft<'_>) -> Reply {
    let now = draft.now;
    let mut progress = LeaseProgress::default();
    let mut slowest: Option<&LeaseClock> = None;
    for clock in draft.view.presence.clocks() {
        progress.held += 1;
        if clock.load.messages == 0 {
            continue;
        }
        progress.working += 1;
        progress.stalled += u64::from(now.engine.since(clock.moved_at) >= STALLED_AFTER);
        if slowest.is_none_or(|slowest| clock.moved_at < slowest.moved_at) {
            slowest = Some(clock);
        }
    }
    progress.slowest = slowest.map(|clock| Slowest {
        session: clock.session,
        moved_at: now.wall_of(clock.moved_at),
    });
    Reply::LeaseProgress(progress)
}
