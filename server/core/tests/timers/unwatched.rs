//! Clocks and deadlines that were lost, which no rule of ours does, and what is due in vain.

use sessiond_core::command::{Command, NackKind, Outcome, Purge, TimeoutOverrides};
use sessiond_core::event::{Actor, EventKind};
use sessiond_core::ids::{SessionId, SessionNo};
use sessiond_core::index::Due;
use sessiond_core::limits::Policy;
use sessiond_core::presence::PresenceChange;
use sessiond_core::reply::Reply;
use sessiond_core::session::{EndMode, EndReason, PendingPolicy};
use sessiond_core::time::{Limit, Span};

use super::desk::{Desk, MINUTE, SECOND, after, patient, s, unlimited};

/// Proves: G3.
#[test]
fn a_lease_that_nobody_watches_gets_its_clock_back_and_a_watched_one_keeps_its_own() {
    let mut desk = Desk::open(patient(), unlimited());
    desk.send(s());
    let out = desk.claim("w", 10 * SECOND);
    let epoch = out[0].epoch;
    let restore = Command::Restore(vec![epoch]);
    desk.pass(4 * SECOND);
    assert_eq!(desk.did(&restore), Reply::Restored(Vec::new()));
    desk.pass(6 * SECOND - 1);
    assert_eq!(
        desk.count(EventKind::WorkerLost),
        0,
        "it has a term of its own"
    );
    let presence = &mut desk.world.view.presence;
    presence.apply(PresenceChange::Clock(epoch, None));
    // To the model this is a restart that only the one lease met.
    desk.world.model.term_anew(epoch.0);
    assert_eq!(desk.did(&restore), Reply::Restored(vec![epoch]));
    desk.pass(10 * SECOND);
    assert_eq!(
        desk.count(EventKind::WorkerLost),
        1,
        "and lapses after a term"
    );
}

/// Proves: G3.
#[test]
fn a_session_that_is_looked_at_anew_ends_neither_sooner_nor_later_for_it() {
    let limits = TimeoutOverrides {
        idle: after(MINUTE),
        ..unlimited()
    };
    let mut desk = Desk::open(patient(), limits);
    let start = desk.now();
    desk.pass(10 * SECOND);
    assert_eq!(desk.did(&Command::Recheck(SessionNo(1))), Reply::Done);
    assert_eq!(desk.did(&Command::Recheck(SessionNo(1))), Reply::Done);
    desk.pass(50 * SECOND);
    assert_eq!(desk.end(), None);
    desk.pass(1);
    assert_eq!(desk.end(), Some((EndReason::Idle, start + MINUTE + 1)));
    // One that has ended, and one that was never there.
    assert_eq!(desk.did(&Command::Recheck(SessionNo(1))), Reply::Done);
    assert_eq!(desk.did(&Command::Recheck(SessionNo(9))), Reply::Done);
}

/// A letter that stays due although nothing comes of it is looked at for ever, before all that is due later.
#[test]
fn a_dead_letter_whose_time_comes_while_its_queue_is_emptied_is_gone() {
    let policy = Policy {
        dead_letter_retention: Limit::After(Span(MINUTE)),
        ..patient()
    };
    let mut desk = Desk::open(policy, unlimited());
    desk.send(s());
    let out = desk.claim("w", 10 * SECOND);
    desk.settle(
        &out[0],
        Outcome::Nack {
            kind: NackKind::Permanent,
            delay: None,
            error: String::new(),
        },
    );
    desk.finish(EndMode::Immediate);
    let purge = Purge {
        namespace: desk.world.namespace.clone(),
        session: SessionId::parse("s").expect("an id"),
        pending: PendingPolicy::Keep,
        exported: None,
        actor: Actor::reaper(),
    };
    desk.did(&Command::Purge(purge));
    // Nothing is looked at meanwhile, as when there is much to empty.
    desk.world.engine_ms += 2 * MINUTE;
    let place = (out[0].message.queue, out[0].message.seq);
    let due = Command::Due(Due::Message(place.0, place.1));
    assert_eq!(desk.did(&due), Reply::Done);
    assert!(
        !desk
            .world
            .store
            .due(desk.now())
            .contains(&Due::Message(place.0, place.1))
    );
    desk.pass(1);
    assert!(desk.world.store.due(desk.now()).is_empty(), "all is done");
}
