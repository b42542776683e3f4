//! The counters of a store against the reference model: each is counted anew from the model's full state.

use sessiond_core::limits::REQUEST_RETENTION;
use sessiond_core::rows::{Counters, Row, RowKey};

use super::state::{Fate, Model, State};
use super::store::Store;

/// Expired request ids may be gone; the others are there, and their number is known.
pub(crate) fn check_requests(model: &Model, store: &Store, seen: usize) {
    let fresh = model.requests.values();
    let fresh = fresh.filter(|request| request.at + REQUEST_RETENTION.0 > model.now);
    assert!(seen >= fresh.count(), "a request id is forgotten");
    if let Some(Row::Counters(counters)) = store.rows.get(&RowKey::Counters) {
        assert_eq!(counters.requests, seen as u64, "the count of request ids");
    }
}

pub(crate) fn check_counters(model: &Model, row: &Counters) {
    let sessions = |wanted: fn(&State) -> bool| {
        let on_record = model.sessions.iter().filter(|s| !s.purged);
        on_record.filter(|s| wanted(&s.state)).count() as u64
    };
    assert_eq!(row.revision.0, model.revision, "the newest revision");
    assert_eq!(
        row.session.0,
        model.sessions.len() as u64,
        "the newest session"
    );
    assert_eq!(row.queue.0, model.queues.len() as u64, "the newest queue");
    assert_eq!(row.epoch.0, model.last_epoch, "the newest token");
    assert_eq!(row.calendar, model.calendar, "where the calendar stands");
    assert_eq!(row.compacted.0, model.compacted, "where the log begins");
    assert_eq!(row.nodes, model.nodes.len() as u64, "the nodes");
    let subscriptions = model.subscriptions.len() as u64;
    assert_eq!(row.subscriptions, subscriptions, "the subscriptions");
    assert_eq!((row.drain, row.serving), (model.drain, model.serving));
    assert_eq!(
        row.active,
        sessions(|s| matches!(s, State::Active)),
        "active sessions"
    );
    let queued = sessions(|s| matches!(s, State::Queued(_)));
    assert_eq!(row.queued, queued, "waiting sessions");
    let draining = sessions(|s| matches!(s, State::Draining(_)));
    assert_eq!(row.draining, draining, "draining sessions");
    assert_eq!(
        row.ended,
        sessions(|s| matches!(s, State::Ended(_))),
        "ended sessions"
    );
    let (mut pending, mut in_flight, mut dead_lettered) = (0, 0, 0);
    for queue in &model.queues {
        let (unsettled, out) = (queue.unsettled(), queue.out() as u64);
        if matches!(queue.fate, Fate::Purged | Fate::Gone) {
            continue;
        }
        dead_lettered += queue.messages.len() as u64 - unsettled;
        match queue.fate {
            Fate::Serving | Fate::Quiet | Fate::Held { .. } => {
                pending += unsettled - out;
                in_flight += out;
            }
            Fate::Dead => dead_lettered += unsettled,
            Fate::Discarded | Fate::Purged | Fate::Gone => {}
        }
    }
    let totals = (row.pending, row.in_flight, row.dead_lettered);
    assert_eq!(
        totals,
        (pending, in_flight, dead_lettered),
        "pending, in flight, dead letters"
    );
}
