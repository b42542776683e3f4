//! Which entries follow from a row.
//!
//! Invariant: a row has the entries that its own function says, whatever the others are. What this deliberately does not
//! do: look at two rows together.

use super::{Due, IndexEntry};
use crate::lease::{LeaseRow, LeaseStanding};
use crate::message::{MessageRow, Standing, Turn};
use crate::queue::{Disposition, QueueRow};
use crate::resource::{Resource, ResourcesRow};
use crate::session::{ActivityRow, Lifecycle, SessionRow};
use crate::subscription::SubscriptionRow;
use crate::time::EngineTime;

/// The entries that follow from one row: at most four.
pub type Entries = [Option<IndexEntry>; 4];

/// The entries of a message row.
#[must_use]
pub fn entries_of_message(row: &MessageRow) -> Entries {
    let (queue, seq) = (row.queue, row.seq);
    let pending = Some(IndexEntry::Pending(queue, seq));
    let coalesced = || {
        let key = row.coalesce_key.as_ref()?;
        Some(IndexEntry::Coalesced(queue, key.digest(), seq))
    };
    match row.standing {
        Standing::Ready(rank) => {
            let ready = IndexEntry::Ready(queue, rank, seq);
            [pending, Some(ready), coalesced(), None]
        }
        Standing::InFlight(epoch) => {
            let in_flight = IndexEntry::InFlight(queue, epoch, seq);
            let also = if faulty!(InFlightCoalesced) {
                coalesced()
            } else {
                None
            };
            [pending, Some(in_flight), also, None]
        }
        Standing::Waiting { due, turn } => {
            let due = IndexEntry::Due(due, Due::Message(queue, seq));
            let kept = turn == Turn::Keeps;
            let returned = kept.then_some(IndexEntry::Returned(queue, row.mode.lane(), seq));
            [pending, Some(due), returned, coalesced()]
        }
        Standing::Debounced => {
            let debounced = IndexEntry::Debounced(queue, seq);
            [pending, Some(debounced), coalesced(), None]
        }
        Standing::Dead { until, .. } => {
            let due = until.map(|at| IndexEntry::Due(at, Due::Message(queue, seq)));
            [Some(IndexEntry::GivenUp(queue, seq)), due, None, None]
        }
    }
}

/// The entries of a queue row.
#[must_use]
pub fn entries_of_queue(row: &QueueRow) -> Entries {
    let unserved = row.wants_worker().then(|| {
        let since = row.oldest.map_or(EngineTime(0), |oldest| oldest.at);
        IndexEntry::Unserved(row.namespace.clone(), since, row.id)
    });
    let due = match row.disposition {
        Disposition::Held { until: due }
        | Disposition::Discarded { next: due }
        | Disposition::Purged { next: due }
        | Disposition::Dead {
            until: Some(due), ..
        } => Some(IndexEntry::Due(due, Due::Queue(row.id))),
        Disposition::Serving | Disposition::Quiet | Disposition::Dead { until: None, .. } => None,
    };
    let dead_letters = row.has_dead_letters();
    let dead_letters = dead_letters.then(|| IndexEntry::DeadLetters(row.namespace.clone(), row.id));
    let pause = row.pause.filter(|_| row.is_live());
    let pause = pause.map(|pause| IndexEntry::Due(pause.until, Due::Queue(row.id)));
    [unserved, due, dead_letters, pause]
}

/// The entries of a session's cold row.
#[must_use]
pub fn entries_of_session(row: &SessionRow) -> Entries {
    let (namespace, pool) = (row.namespace.clone(), row.pool.clone());
    let live = IndexEntry::Live(namespace.clone(), pool.clone(), row.no);
    let place = match &row.lifecycle {
        // Whoever waits for another's resources is not in the line: those behind it may pass.
        Lifecycle::Queued(wait) => Some(match wait.behind {
            Some(behind) => IndexEntry::Behind(behind.predecessor, row.no),
            None => IndexEntry::Waiting(namespace, pool, wait.place, row.no),
        }),
        Lifecycle::Active => Some(IndexEntry::Idle(namespace, pool, row.ranked_at, row.no)),
        Lifecycle::Draining(_) => None,
        Lifecycle::Ended(_) => return Entries::default(),
    };
    [Some(live), place, None, None]
}

/// The entries of the row of what a session has outside.
#[must_use]
pub fn entries_of_resources(row: &ResourcesRow) -> Entries {
    let unreleased = row.unreleased().count > 0;
    let unreleased = unreleased.then(|| IndexEntry::Unreleased(row.namespace.clone(), row.session));
    let releasing = row.list.iter().any(Resource::is_releasing);
    let releasing = releasing.then_some(IndexEntry::Releasing(row.session));
    [unreleased, releasing, None, None]
}

/// The entries of a session's warm row.
#[must_use]
pub fn entries_of_activity(row: &ActivityRow) -> Entries {
    let due = row
        .check_at
        .map(|at| IndexEntry::Due(at, Due::Session(row.session)));
    [due, None, None, None]
}

/// The entries of a lease row.
#[must_use]
pub fn entries_of_lease(row: &LeaseRow) -> Entries {
    let due = match row.standing {
        LeaseStanding::Current => row.cancel_by,
        LeaseStanding::Superseded { until } => Some(until),
    };
    let due = due.map(|at| IndexEntry::Due(at, Due::Lease(row.epoch)));
    [due, None, None, None]
}

/// The entries of a subscription.
#[must_use]
pub fn entries_of_subscription(row: &SubscriptionRow) -> Entries {
    let holding = row.is_active() || faulty!(StaleHolds);
    let (namespace, name) = (&row.namespace, &row.name);
    let required = holding && row.settings.required;
    let holding =
        holding.then(|| IndexEntry::Holding(row.holds_after, namespace.clone(), name.clone()));
    let required =
        required.then(|| IndexEntry::Required(namespace.clone(), row.acked, name.clone()));
    [holding, required, None, None]
}
