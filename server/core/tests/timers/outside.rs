//! What a session has outside, scripted: states that random scripts do not come to, each to its end.
//!
//! Each step is held against the reference model as well. What this deliberately does not do: repeat what random
//! scripts meet often.

use sessiond_core::command::resource::{Attempted, Declare, Knowledge};
use sessiond_core::command::{
    Command, ConflictPolicy, End, NewSessionId, Open, Purge, TimeoutOverrides,
};
use sessiond_core::event::{Actor, EventKind};
use sessiond_core::ids::{PoolName, ResourceNo, SessionId, SessionKey, SessionNo, SessionRef};
use sessiond_core::limits::{KEY_SESSIONS_MAX, PoolOverrides, WhenFull};
use sessiond_core::node::Witness;
use sessiond_core::reply::Reply;
use sessiond_core::resource::{Attempt, ReleaseOutcome, Scope, Target};
use sessiond_core::session::{EndMode, EndReason, PendingPolicy, Profile};
use sessiond_core::time::{Limit, Span};

use super::desk::{Desk, MINUTE, SECOND, patient, s, unlimited};

/// Puts something outside on record.
fn declare(desk: &mut Desk, session: SessionRef) {
    let declare = Declare {
        namespace: desk.world.namespace.clone(),
        session,
        name: None,
        scope: Scope::Session,
        node: None,
        target: Target::Marked,
        witness: Witness::Server,
        salt: 7,
        request: None,
        actor: Actor::reaper(),
    };
    desk.did(&Command::Declare(Box::new(declare)));
}

/// The first resource of a session is gone.
fn gone(desk: &mut Desk, session: u64) {
    desk.did(&Command::Attempted(Attempted {
        session: SessionNo(session),
        number: ResourceNo(1),
        knew: Knowledge::Mark,
        attempt: Attempt::Gone(ReleaseOutcome::Killed),
        witness: Witness::Server,
    }));
}

fn id(text: &str) -> SessionId {
    SessionId::parse(text).expect("an id")
}

/// A session of a key and a pool; answers whether it has its slot.
fn open(desk: &mut Desk, text: &str, key: &str, pool: &str) -> bool {
    let open = Open {
        namespace: desk.world.namespace.clone(),
        key: SessionKey::parse(key).ok(),
        id: NewSessionId::Brought(id(text)),
        pool: PoolName::parse(pool).ok(),
        profile: Profile::default(),
        prompt_number: None,
        timeouts: unlimited(),
        conflict: ConflictPolicy::Fail,
        wait: None,
        ordering: None,
        max_in_flight: None,
        parent: None,
        request: None,
        actor: Actor::reaper(),
    };
    let reply = desk.did(&Command::Open(Box::new(open)));
    let Reply::Opened { session, .. } = reply else {
        panic!("an open is answered with {reply:?}");
    };
    session.session.is_active()
}

fn end(desk: &mut Desk, text: &str) {
    desk.did(&Command::End(End {
        namespace: desk.world.namespace.clone(),
        session: SessionRef::Id(id(text)),
        reason: EndReason::Completed,
        detail: String::new(),
        mode: EndMode::Immediate,
        grace: None,
        pending: PendingPolicy::Keep,
        successor: None,
        request: None,
        actor: Actor::reaper(),
    }));
}

fn purge(desk: &mut Desk, text: &str) {
    desk.did(&Command::Purge(Purge {
        namespace: desk.world.namespace.clone(),
        session: id(text),
        pending: PendingPolicy::Discard,
        exported: None,
        actor: Actor::reaper(),
    }));
}

/// A key remembers a few of its sessions, and what is left of one of them for as long as it is.
#[test]
fn a_key_knows_what_is_left_of_a_session_that_it_remembers_no_more() {
    let mut desk = Desk::open(patient(), unlimited());
    declare(&mut desk, s());
    end(&mut desk, "s");
    let later: Vec<String> = (0..KEY_SESSIONS_MAX).map(|n| format!("later{n}")).collect();
    for text in &later {
        assert!(!open(&mut desk, text, "k", "default"), "{text} has to wait");
        end(&mut desk, text);
    }
    for text in &later {
        purge(&mut desk, text);
    }
    assert!(
        !open(&mut desk, "last", "k", "default"),
        "s has something left"
    );
    gone(&mut desk, 1);
    assert_eq!(desk.count(EventKind::SessionAdmitted), 1, "it goes on");
    end(&mut desk, "last");
    purge(&mut desk, "last");
    purge(&mut desk, "s");
}

/// The same, when nobody comes after that: then the key means nothing, and has no row.
#[test]
fn a_key_of_which_only_what_is_left_is_known_is_gone_with_it() {
    let mut desk = Desk::open(patient(), unlimited());
    declare(&mut desk, s());
    end(&mut desk, "s");
    for n in 0..KEY_SESSIONS_MAX {
        let text = format!("later{n}");
        open(&mut desk, &text, "k", "default");
        end(&mut desk, &text);
    }
    for n in 0..KEY_SESSIONS_MAX {
        purge(&mut desk, &format!("later{n}"));
    }
    gone(&mut desk, 1);
    purge(&mut desk, "s");
}

/// Whoever took its turn after a wait without end looks for room at the pace of all who wait, whatever it is sent.
#[test]
fn a_session_that_waits_without_end_still_comes_by_the_room_that_comes_to_be_had() {
    let mut policy = patient();
    let small = PoolName::parse("small").expect("an id");
    policy.pools.insert(small, one_slot());
    let mut desk = Desk::open(policy, TimeoutOverrides::default());
    declare(&mut desk, s());
    end(&mut desk, "s");
    assert!(
        open(&mut desk, "busy", "other", "small"),
        "the slot is free"
    );
    assert!(
        !open(&mut desk, "next", "k", "small"),
        "s has something left"
    );
    gone(&mut desk, 1);
    desk.send(SessionRef::Id(id("next")));
    desk.pass(MINUTE + 2 * SECOND);
    let ended = desk.count(EventKind::SessionEnd);
    assert_eq!(ended, 2, "what is idle for too long makes room");
    assert_eq!(desk.count(EventKind::SessionAdmitted), 1, "for it");
}

/// A pool of one, which ends what is idle for a minute when it is full.
fn one_slot() -> PoolOverrides {
    PoolOverrides {
        max_sessions: Some(Some(1)),
        when_full: Some(WhenFull::Reject),
        emergency_idle: Some(Limit::After(Span(MINUTE))),
        ..PoolOverrides::default()
    }
}

/// The slot of a session that gave way passes to whoever took its place, and that of one whose heir is over is anybody's.
#[test]
fn a_kept_slot_is_anybodys_once_nobody_is_to_have_it() {
    let mut policy = patient();
    let small = PoolName::parse("small").expect("an id");
    let waits = PoolOverrides {
        max_sessions: Some(Some(1)),
        when_full: Some(WhenFull::Wait),
        wait: Some(Limit::After(Span(60 * MINUTE))),
        ..PoolOverrides::default()
    };
    policy.pools.insert(small, waits);
    let mut desk = Desk::open(policy, unlimited());
    assert!(open(&mut desk, "first", "j", "small"), "the slot is free");
    declare(&mut desk, SessionRef::Id(id("first")));
    end(&mut desk, "first");
    assert!(!open(&mut desk, "waits", "i", "small"), "the slot is kept");
    assert!(
        !open(&mut desk, "heir", "j", "small"),
        "first has something left"
    );
    desk.pass(10 * MINUTE);
    assert_eq!(
        desk.count(EventKind::SessionAdmitted),
        0,
        "time frees nothing"
    );
    gone(&mut desk, 2);
    assert_eq!(
        desk.count(EventKind::SessionAdmitted),
        1,
        "waits came first"
    );
    end(&mut desk, "waits");
    assert_eq!(desk.count(EventKind::SessionAdmitted), 2, "then its heir");
}
