//! What must hold beside the rows: presence against the model, and nothing overdue once its time is worked off.

use sessiond_core::change::Change;
use sessiond_core::deadlines::is_overlooked;
use sessiond_core::ids::{Epoch, Namespace, SessionNo};
use sessiond_core::lease::LeaseMode;
use sessiond_core::limits::ADMIT_RETRY;
use sessiond_core::presence::Presence;
use sessiond_core::rows::{Row, RowKey};
use sessiond_core::time::{EngineTime, Limit, Span};

use super::marks::Mark;
use super::nodes;
use super::state::{Fate, Model, Session, State, Status, Turn};
use super::store::Store;
use super::subscriptions;

/// Panics when the engine's memory of who is here differs from the model's.
pub(crate) fn presence(model: &Model, presence: &Presence, namespace: &Namespace) {
    for (instance, worker) in &model.workers {
        let key = (namespace.clone(), instance.clone());
        let found = presence.instance(&key);
        assert_eq!(
            found.and_then(|i| i.stream),
            worker.stream,
            "the stream of {instance}"
        );
        let leases: Vec<u64> = presence
            .leases_of(&key)
            .iter()
            .map(|epoch| epoch.0)
            .collect();
        assert_eq!(
            leases,
            model.leases_of(instance),
            "the leases of {instance}"
        );
        let Some(found) = found.filter(|i| i.stream.is_some()) else {
            continue;
        };
        let load = found.in_flight;
        let is = (load.messages, load.bytes, load.sessions);
        assert_eq!(is, model.load_of(instance), "what {instance} has in flight");
        assert_eq!(found.window, worker.window);
    }
    for (epoch, lease) in &model.leases {
        let clock = presence.clock(Epoch(*epoch));
        assert_eq!(
            clock.is_some(),
            lease.until.is_none(),
            "the clock of lease {epoch}"
        );
        let Some(clock) = clock else {
            continue;
        };
        assert_eq!(clock.mode, lease.mode, "how lease {epoch} is renewed");
        let holder = presence.instance(&clock.holder);
        let lapse_at = clock.lapse_at(holder).0;
        assert_eq!(
            lapse_at,
            model.lapse_at(*epoch),
            "when lease {epoch} lapses"
        );
        let stuck = model.stuck_at(*epoch).unwrap_or(u64::MAX);
        if let (Limit::After(limit), LeaseMode::Stream) = (model.policy.worker_idle, lease.mode) {
            let soon = model.now + model.policy.cleanup_interval.0;
            let idle = (lease.moved_at + limit.0 + 1).max(soon);
            assert!(
                clock.alarm.0 <= idle,
                "an idle holder of {epoch} is not seen"
            );
        }
        assert!(
            clock.alarm.0 <= lapse_at.min(stuck),
            "the alarm of lease {epoch} is late"
        );
    }
    nodes::check_links(model, presence, namespace);
    subscriptions::check_readers(model, presence, namespace);
    let clocks = presence.due(EngineTime(u64::MAX), usize::MAX);
    let current = model.leases.values().filter(|lease| lease.until.is_none());
    assert_eq!(clocks.len(), current.count(), "a clock without a lease");
}

/// Panics when a use has a session looked at although nothing would come of it: that would be one more decision for
/// every use of a session that has passed a limit and is protected. `store` is as it was before the changes.
pub(crate) fn nothing_pulled_back(model: &mut Model, store: &Store, changes: &[Change]) {
    for change in changes {
        let Change::Row(key @ RowKey::Activity(no), Some(Row::Activity(after))) = change else {
            continue;
        };
        let Some(Row::Activity(before)) = store.rows.get(key) else {
            continue;
        };
        let session = model.session(no.0);
        let ahead = before.check_at.is_some_and(|at| at.0 > model.now);
        if !session.is_active() || !ahead {
            continue;
        }
        let limits = model.limits_of(no.0);
        let due = after.check_at.is_some_and(|at| at.0 <= model.now);
        let near = !model.warnings(no.0).is_empty();
        let lapse = after.next_timer();
        let lapsed = lapse.is_some_and(|at| at.0 <= model.now);
        assert!(
            limits.ends.is_some() || lapsed || near || !due,
            "{} is looked at in vain",
            session.id
        );
        let used = after.last_activity > before.last_activity;
        model
            .marks
            .hit_if(limits.excused && used, Mark::ProtectedUse);
    }
}

/// Panics when something whose time has come was not done.
pub(crate) fn nothing_overdue(model: &Model, store: &Store) {
    let now = model.now;
    for (place, queue) in model.queues.iter().enumerate() {
        let id = place + 1;
        match queue.fate {
            Fate::Held { until } => assert!(until > now, "queue {id} is held too long"),
            Fate::Discarded | Fate::Purged => panic!("queue {id} is still there"),
            Fate::Dead => assert!(
                queue.dead_until.is_none_or(|until| until > now),
                "the dead letters of queue {id} are kept too long"
            ),
            Fate::Serving | Fate::Quiet | Fate::Gone => {}
        }
        let live = matches!(queue.fate, Fate::Serving | Fate::Quiet);
        let over = queue.pause.filter(|_| live);
        assert!(
            over.is_none_or(|(until, _)| until > now),
            "the pause of queue {id} is overdue"
        );
        for (seq, message) in &queue.messages {
            if let Status::Paused { due } | Status::Deferred { due } = message.status {
                assert!(due > now, "message {seq} of queue {id} is overdue");
            }
            assert!(
                message.dead_until.is_none_or(|until| until > now),
                "message {seq} of queue {id} is kept too long"
            );
        }
    }
    for (epoch, lease) in &model.leases {
        let over = lease.until.unwrap_or_else(|| model.lapse_at(*epoch));
        assert!(over > now, "lease {epoch} outlives its time");
        let stuck = lease.until.is_none() && model.is_stuck(*epoch);
        assert!(!stuck, "the holder of lease {epoch} is stuck");
        let stops = lease.cancel_by.filter(|_| model.is_cancelling(*epoch));
        assert!(
            stops.is_none_or(|by| by > now),
            "lease {epoch} is not stopped"
        );
    }
    for session in &model.sessions {
        if let State::Draining(ending) = &session.state {
            assert!(
                ending.deadline > now,
                "{} drains beyond its deadline",
                session.id
            );
        }
        assert!(
            session.check_at.is_none_or(|at| at > now),
            "{} is kept too long",
            session.id
        );
        if let State::Active = &session.state {
            check_watched(session, store, now, model.policy.cleanup_interval);
            if !model.warnings(session.no).is_empty() {
                check_soon(session, store, now, model.policy.cleanup_interval);
            }
        }
        if session.purged {
            continue;
        }
        check_timers(session, store, now);
        check_not_overlooked(model, session, store);
        if let State::Queued(turn) = &session.state {
            check_waiter(model, session, *turn, store);
        }
    }
}

/// A session that became unprotected near its end is looked at within the pace, and warned of then.
fn check_soon(session: &Session, store: &Store, now: u64, pace: Span) {
    let Some(Row::Activity(row)) = store.rows.get(&RowKey::Activity(SessionNo(session.no))) else {
        panic!("{} has no warm row", session.id);
    };
    let check_at = row.check_at.map_or(u64::MAX, |at| at.0);
    let soon = now + pace.0;
    assert!(
        check_at <= soon,
        "nobody is warned of the end of {}",
        session.id
    );
}

/// Nothing is found by comparing records that is not a defect.
fn check_not_overlooked(model: &Model, session: &Session, store: &Store) {
    let no = SessionNo(session.no);
    let rows = (
        store.rows.get(&RowKey::Session(no)),
        store.rows.get(&RowKey::Activity(no)),
    );
    let (Some(Row::Session(row)), Some(Row::Activity(activity))) = rows else {
        panic!("{} is not on record", session.id);
    };
    let overlooked = is_overlooked(row, activity, &model.policy, EngineTime(model.now));
    assert!(!overlooked, "{} looks as if it were overlooked", session.id);
}

/// No request outlives its lease and no suspension its time, and the next of them is looked at in time.
fn check_timers(session: &Session, store: &Store, now: u64) {
    let Some(Row::Activity(row)) = store.rows.get(&RowKey::Activity(SessionNo(session.no))) else {
        panic!("{} has no warm row", session.id);
    };
    if let Some(lapse) = row.next_timer() {
        assert!(
            lapse.0 > now,
            "something of {} outlives its time",
            session.id
        );
        let check_at = row.check_at.map_or(u64::MAX, |at| at.0);
        assert!(check_at <= lapse.0, "{} is looked at too late", session.id);
    }
}

/// A waiting session ends in time, looks for room at a steady pace when its turn is next, and waits beside no free slot.
fn check_waiter(model: &Model, session: &Session, turn: Turn, store: &Store) {
    let now = model.now;
    let Some(Row::Activity(row)) = store.rows.get(&RowKey::Activity(SessionNo(session.no))) else {
        panic!("{} has no warm row", session.id);
    };
    let id = &session.id;
    assert!(
        turn.until.is_none_or(|until| until > now),
        "{id} waits too long"
    );
    assert!(
        turn.behind.is_some() || model.is_full(&session.pool, 0),
        "{id} waits beside a free slot"
    );
    let mut latest = turn.until.unwrap_or(u64::MAX);
    if let Limit::After(span) = session.timeouts.owner {
        latest = latest.min(session.owner_seen + span.0 + 1);
    }
    if model.line(&session.pool).first() == Some(&session.no) {
        latest = latest.min(now + ADMIT_RETRY.0);
    }
    // Whoever waits for as long as it takes and has no owner to lose need not look.
    let check_at = row.check_at.map_or(u64::MAX, |at| at.0);
    assert!(check_at > now, "{id} was not looked at");
    assert!(check_at <= latest, "{id} is looked at too late");
}

/// An active session's limits are looked at in time: when the first of them may be passed, or, while its use protects
/// it, at a steady pace.
fn check_watched(session: &Session, store: &Store, now: u64, pace: Span) {
    let Some(Row::Activity(row)) = store.rows.get(&RowKey::Activity(SessionNo(session.no))) else {
        panic!("{} has no warm row", session.id);
    };
    let limits = [
        (session.timeouts.idle, session.idle_since()),
        (session.timeouts.lifetime, session.active_since),
        (session.timeouts.owner, session.owner_seen),
    ];
    let first = limits.iter().filter_map(|(limit, since)| match limit {
        Limit::After(span) => Some(since + span.0 + 1),
        Limit::Never => None,
    });
    let Some(first) = first.min() else {
        return;
    };
    let check_at = row.check_at.map_or(0, |at| at.0);
    assert!(check_at > now, "{} was not looked at", session.id);
    let latest = first.max(now + pace.0);
    assert!(check_at <= latest, "{} is looked at too late", session.id);
}
