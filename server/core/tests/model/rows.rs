//! Every row against the reference model: one pass over the store after every decision, nothing missing and nothing
//! more. Sessions that are over are compared once per commit.
//!
//! Depths are recounted from the model's full state, so a gauge that drifts is found at the decision that moved it; so are
//! counters, in `counter_rows`.

use std::collections::BTreeMap;

use sessiond_core::ids::{QueueId, SessionKey, SessionNo};
use sessiond_core::key_window::RememberedKey;
use sessiond_core::limits::REQUEST_RETENTION;
use sessiond_core::message::Standing;
use sessiond_core::rows::{KeyRow, Row, RowKey};
use sessiond_core::session::{ActivityRow, Lifecycle, SessionRow};
use sessiond_core::time::Limit;

use super::circuits;
use super::counter_rows::{check_counters, check_requests};
use super::nodes;
use super::queue_rows::{check_lease, check_message, check_queue};
use super::resource_rows as outside;
use super::state::{Fate, Model, State};
use super::store::Store;
use super::subscriptions;

/// How closely rows are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// Rows of ended sessions, which hardly ever change, are only counted.
    Live,
    /// Every row.
    All,
}

/// How many rows of each kind were seen.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    sessions: usize,
    activities: usize,
    queues: usize,
    messages: usize,
    dead_letters: usize,
    payloads: usize,
    leases: usize,
    ids: usize,
    names: usize,
    requests: usize,
    resources: usize,
}

/// Panics when a row differs from the model.
pub(crate) fn check(model: &Model, store: &Store, care: Care) {
    let mut seen = Seen::default();
    for (key, row) in &store.rows {
        check_row(model, key, row, care, &mut seen);
    }
    let messages = || {
        model
            .queues
            .iter()
            .flat_map(|queue| queue.messages.values())
    };
    let dead = messages().filter(|message| message.is_dead()).count();
    let sessions = model.sessions.iter().filter(|s| !s.purged).count();
    let queues = model.queues.iter().filter(|q| q.fate != Fate::Gone);
    let wanted = Seen {
        sessions,
        activities: sessions,
        queues: queues.count(),
        messages: messages().count() - dead,
        dead_letters: dead,
        payloads: messages().count(),
        leases: model.leases.len(),
        ids: sessions,
        names: model.queues.iter().map(|queue| queue.names.len()).sum(),
        requests: seen.requests,
        resources: model.with_resources(),
    };
    assert_eq!(seen, wanted, "rows are missing or too many");
    check_requests(model, store, seen.requests);
    nodes::check_all(model, store);
    subscriptions::check_all(model, store);
    for session in &model.sessions {
        let ended = matches!(session.state, State::Ended(_));
        assert_eq!(
            session.ends,
            u32::from(ended),
            "one end of session {}",
            session.no
        );
    }
}

fn check_row(model: &Model, key: &RowKey, row: &Row, care: Care, seen: &mut Seen) {
    let over = |no: SessionNo| care == Care::Live && model.session(no.0).ends > 0;
    match (key, row) {
        (RowKey::Counters, Row::Counters(row)) => check_counters(model, row),
        (RowKey::Session(no), Row::Session(row)) => {
            assert_eq!(row.no, *no);
            seen.sessions += 1;
            assert!(!over(*no) || row.is_ended(), "session {no} is not over");
            outside::check_unreleased(model, row);
            if !over(*no) {
                check_session(model, row);
            }
        }
        (RowKey::Activity(no), Row::Activity(row)) => {
            assert_eq!(row.session, *no);
            seen.activities += 1;
            if !over(*no) {
                check_activity(model, row);
            }
        }
        (RowKey::Queue(id), Row::Queue(row)) => {
            assert_eq!(row.id, *id);
            seen.queues += 1;
            check_queue(model, row);
        }
        (RowKey::Message(queue, seq), Row::Message(row)) => {
            seen.messages += 1;
            check_message(model, *queue, *seq, row);
        }
        (RowKey::DeadLetter(queue, seq), Row::Message(row)) => {
            seen.dead_letters += 1;
            assert!(
                matches!(row.standing, Standing::Dead { .. }),
                "a dead letter lives"
            );
            check_message(model, *queue, *seq, row);
        }
        (RowKey::Payload(queue, seq), Row::Payload(bytes)) => {
            seen.payloads += 1;
            let message = model.queue(queue.0).messages.get(&seq.0);
            let wanted = message.map(|message| &message.payload);
            assert_eq!(Some(bytes), wanted, "the payload of {queue}/{seq}");
        }
        (RowKey::Lease(epoch), Row::Lease(row)) => {
            assert_eq!(row.epoch, *epoch);
            seen.leases += 1;
            check_lease(model, row);
        }
        (RowKey::Resources(no), Row::Resources(row)) => {
            assert_eq!(row.session, *no);
            seen.resources += 1;
            outside::check_resources(model, row);
        }
        (key, row) => check_name(model, key, row, seen),
    }
}

/// Rows that say what a text stands for, and counts of pools.
fn check_name(model: &Model, key: &RowKey, row: &Row, seen: &mut Seen) {
    match (key, row) {
        (RowKey::Key(_, key), Row::Key(row)) => check_key(model, key, row),
        (RowKey::SessionId(_, id), Row::SessionId(no)) => {
            seen.ids += 1;
            assert_eq!(model.session(no.0).id, *id, "who {id} is");
        }
        (RowKey::KeyBlock(queue, _), Row::KeyBlock(block)) => {
            for key in &block.keys {
                seen.names += usize::from(is_newest(model, *queue, key));
            }
        }
        (RowKey::Request(_, id), Row::Request(row)) => {
            seen.requests += 1;
            let wanted = model
                .requests
                .get(id)
                .map(|r| (r.body, r.subject, r.flag, r.at, r.resource));
            let resource = row.resource.map(|number| number.0);
            let is = (row.body, row.subject.0, row.flag, row.at.0, resource);
            assert_eq!(Some(is), wanted, "what {id} stands for");
        }
        (RowKey::Pool(_, pool), Row::Pool(row)) => {
            let wanted = outside::pool_row(model, pool);
            assert_eq!(*row, wanted, "the counts of pool {pool}");
        }
        (RowKey::Node(_, name), Row::Node(row)) => nodes::check_row(model, name, row),
        (RowKey::Subscription(_, name), Row::Subscription(row)) => {
            subscriptions::check_row(model, name, row);
        }
        (RowKey::Drain, Row::Drain(row)) => assert_eq!(Some(&**row), model.last_drain.as_ref()),
        (key, row) => panic!("under {key:?} lies {row:?}"),
    }
}

/// Whether a remembered key is what its name stands for; if not, its time was over before the name was given again.
fn is_newest(model: &Model, queue: QueueId, key: &RememberedKey) -> bool {
    let mut names = model.queue(queue.0).names.iter();
    let named = names.find(|(name, _)| name.digest() == key.digest);
    let (name, (seq, at)) = named.unwrap_or_else(|| panic!("{key:?} came from nowhere"));
    if key.seq.0 == *seq {
        assert_eq!(key.at.0, *at, "when {name} was given");
        return true;
    }
    assert!(
        key.at.0 + REQUEST_RETENTION.0 <= *at,
        "{name} stands for two"
    );
    false
}

fn check_session(model: &Model, row: &SessionRow) {
    let session = model.session(row.no.0);
    assert_eq!(row.id, session.id);
    assert_eq!(row.key, session.key);
    assert_eq!(row.pool, session.pool);
    assert_eq!(row.queue.0, session.queue);
    assert_eq!(row.profile, session.profile);
    assert_eq!(row.timeouts, session.timeouts);
    assert_eq!(row.ordering, session.ordering);
    assert_eq!(row.max_in_flight.get(), session.max_in_flight);
    assert_eq!(
        row.predecessor, session.predecessor,
        "the predecessor of {}",
        row.id
    );
    assert_eq!(
        row.successor, session.successor,
        "the successor of {}",
        row.id
    );
    assert_eq!(row.created_at.0, session.created_at);
    assert_eq!(row.active_since.0, session.active_since);
    assert!(
        row.ranked_at.0 <= session.idle_since(),
        "{} is ranked as used when it was not",
        row.id
    );
    assert_eq!(
        row.revision.0, session.revision,
        "the revision of {}",
        row.id
    );
    let lease = row.lease.map(|epoch| epoch.0);
    assert_eq!(lease, model.lease_of(row.no.0), "the lease of {}", row.id);
    match (&row.lifecycle, &session.state) {
        (Lifecycle::Active, State::Active) => {}
        (Lifecycle::Queued(wait), State::Queued(turn)) => {
            let is = (wait.until.map(|at| at.0), wait.place.0);
            assert_eq!(is, (turn.until, turn.place), "the turn of {}", row.id);
            outside::check_behind(wait.behind, turn.behind);
        }
        (Lifecycle::Draining(intent), State::Draining(ending)) => {
            assert_eq!(intent.reason, ending.reason);
            assert_eq!(intent.actor, ending.actor);
            assert_eq!(intent.mode, ending.mode);
            assert_eq!(intent.deadline.0, ending.deadline);
            assert_eq!(intent.pending, ending.pending);
        }
        (Lifecycle::Ended(end), State::Ended(reason)) => assert_eq!(end.reason, *reason),
        (is, wanted) => panic!("session {} is {is:?}, not {wanted:?}", row.id),
    }
}

fn check_activity(model: &Model, row: &ActivityRow) {
    let session = model.session(row.session.0);
    assert_eq!(
        row.last_activity.0, session.last_activity,
        "activity of {}",
        session.id
    );
    assert_eq!(
        row.owner_seen.0, session.owner_seen,
        "owner of {}",
        session.id
    );
    assert_eq!(row.touch_count, session.touches);
    assert_eq!(row.prompt_number, session.prompt_number);
    assert_eq!(row.usage, session.usage);
    assert_eq!(row.totals, session.totals, "totals of {}", session.id);
    circuits::check(&row.circuits, &session.circuits);
    let volatile = (&row.volatile.instance, &row.volatile.entries);
    assert_eq!(volatile, (&session.volatile.0, &session.volatile.1));
    let requests = row.requests.live.iter();
    let requests: BTreeMap<u64, (u64, u64)> = requests
        .filter(|request| request.until.0 > model.now)
        .map(|request| (request.number.0, (request.lease.0, request.until.0)))
        .collect();
    assert_eq!(
        requests,
        session.live_requests(model.now),
        "the requests of {}",
        session.id
    );
    assert_eq!(row.requests.begun.0, session.requests_begun);
    let failures = row.restart_guard.failures.iter();
    let failures: Vec<u64> = failures.map(|until| until.0).collect();
    assert_eq!(failures, session.failures, "failures of {}", session.id);
    let warned = [row.warned.idle, row.warned.age];
    let warned = warned.map(|end| end.map(|at| at.0));
    assert_eq!(warned, session.warned, "warnings of {}", session.id);
    let suspended = row.restart_guard.suspended_until.map(|until| until.0);
    assert_eq!(suspended, session.suspended, "whether {} waits", session.id);
    let limited = [
        session.timeouts.idle,
        session.timeouts.lifetime,
        session.timeouts.owner,
    ]
    .iter()
    .any(|limit| *limit != Limit::Never);
    let watched = match &session.state {
        State::Active => limited || row.next_timer().is_some(),
        // Whoever waits for as long as it takes is looked at once, and then only for its owner.
        State::Queued(turn) if turn.until.is_none() && !session.has_owner_limit() => {
            row.check_at.is_some()
        }
        State::Queued(_) | State::Draining(_) => true,
        State::Ended(_) => {
            let check_at = row.check_at.map(|at| at.0);
            return assert_eq!(check_at, session.check_at, "when {} goes", session.id);
        }
    };
    assert_eq!(
        row.check_at.is_some(),
        watched,
        "whether {} is looked at",
        session.id
    );
}

fn check_key(model: &Model, key: &SessionKey, row: &KeyRow) {
    assert_eq!(
        row.live.map(|no| no.0),
        model.live_of(key),
        "who {key} means"
    );
    let held = model.held.get(key).copied();
    assert_eq!(row.held.map(|id| id.0), held, "what {key} holds");
    let newest = model.of_key.get(key).cloned().unwrap_or_default();
    let remembered: Vec<u64> = row.sessions.iter().map(|no| no.0).collect();
    assert_eq!(remembered, newest, "the sessions of {key}");
    let left = row.unreleased.map(|no| no.0);
    assert_eq!(left, model.left_of(key), "what {key} waits for");
    outside::check_key_left(model, key);
    let some = row.live.is_some() || held.is_some() || !newest.is_empty() || left.is_some();
    assert!(some, "{key} means nothing and has a row");
}
