//! Lease progress: how many sessions workers hold, and whether what they took gets on.
//!
//! It is told from presence alone, by one look at every lease: asked for statistics, on nobody's hot path. What this
//! deliberately does not do: end anything; a holder that gets on with nothing for too long is found by its alarm (`lapse`).

use crate::draft::Draft;
use crate::limits::STALLED_AFTER;
use crate::presence::LeaseClock;
use crate::reply::{LeaseProgress, Reply, Slowest};

/// Counts the leases that hold sessions, of all namespaces.
pub(super) fn lease_progress(draft: &Draft<'_>) -> Reply {
    let now = draft.now;
    let clocks = || draft.view.presence.clocks();
    let works = |clock: &&LeaseClock| clock.load.messages > 0;
    let stalls = |clock: &&LeaseClock| now.engine.since(clock.moved_at) >= STALLED_AFTER;
    let slowest = clocks().filter(works).min_by_key(|clock| clock.moved_at);
    let count = |clocks: usize| u64::try_from(clocks).expect("leases are counted in 64 bits");
    Reply::LeaseProgress(LeaseProgress {
        held: count(clocks().count()),
        working: count(clocks().filter(works).count()),
        stalled: count(clocks().filter(works).filter(stalls).count()),
        slowest: slowest.map(|clock| Slowest {
            session: clock.session,
            moved_at: now.wall_of(clock.moved_at),
        }),
    })
}
