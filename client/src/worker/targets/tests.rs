//! What becomes of a session that a worker wants, for every way to lose it.

use pb::LeaseLostReason as Why;

use super::*;
use crate::client::{session_id, session_key};

fn targets(session: pb::SessionRef) -> (Targets, Instant) {
    let now = Instant::now();
    let policy = RetryPolicy::default();
    (Targets::new(vec![session], policy, now), now)
}

fn held(session: pb::SessionRef) -> (Targets, Instant) {
    let (mut targets, now) = targets(session.clone());
    assert_eq!(targets.take_due(now), [session]);
    targets.attached(&pb::Session {
        session_id: "s".to_owned(),
        key: "k".to_owned(),
        ..Default::default()
    });
    assert_eq!(targets.next_due(), None);
    (targets, now)
}

fn lost(reason: Why, successor_id: &str) -> pb::LeaseLost {
    let mut lost = pb::LeaseLost {
        session_id: "s".to_owned(),
        successor_id: successor_id.to_owned(),
        ..Default::default()
    };
    lost.set_reason(reason);
    lost
}

#[tokio::test(start_paused = true)]
async fn every_loss_has_its_consequence() {
    // By id, by key: `again`, `later`, `rests`, `gone` or the id of the successor.
    for (reason, successor, by_id, by_key) in [
        (Why::Lapsed, "", "later", "later"),
        (Why::Fenced, "", "later", "later"),
        (Why::Stuck, "", "later", "later"),
        (Why::Idle, "", "rests", "rests"),
        (Why::RestartLimited, "", "later", "later"),
        (Why::Unspecified, "", "later", "later"),
        (Why::Detached, "", "again", "again"),
        (Why::Succeeded, "s2", "s2", "again"),
        (Why::Succeeded, "", "gone", "again"),
        (Why::SessionEnded, "", "gone", "again"),
        (Why::Revoked, "", "gone", "gone"),
    ] {
        for (session, expected) in [(session_id("s"), by_id), (session_key("k"), by_key)] {
            let (mut targets, now) = held(session.clone());
            targets.lost(&lost(reason, successor), now);
            let text = format!("{reason:?} {session:?}");
            match expected {
                "later" => assert!(targets.next_due() >= Some(now), "{text}"),
                "again" => assert_eq!(targets.take_due(now), [session], "{text}"),
                "gone" => assert!(targets.all_gone(), "{text}"),
                "rests" => {
                    assert_eq!(targets.next_due(), None, "{text}");
                    assert!(!targets.all_gone(), "{text}");
                }
                id => assert_eq!(targets.take_due(now), [session_id(id)], "{text}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn loss_of_another_session_is_none_of_its_business() {
    let (mut targets, now) = held(session_key("k"));
    let mut other = lost(Why::SessionEnded, "");
    other.session_id = "t".to_owned();
    targets.lost(&other, now);
    assert!(!targets.all_gone());
    assert_eq!(targets.next_due(), None);
}

#[tokio::test(start_paused = true)]
async fn refusal_is_waited_out_or_final() {
    for (reason, waits) in [
        (Reason::LeaseHeld, true),
        (Reason::SessionQueued, true),
        (Reason::RestartLimited, true),
        (Reason::QuotaExceeded, true),
        (Reason::SessionNotFound, false),
        (Reason::SessionEnded, false),
        (Reason::SessionDraining, false),
        (Reason::FieldInvalid, false),
    ] {
        let (mut targets, now) = targets(session_key("k"));
        targets.take_due(now);
        let asked = Duration::from_secs(3);
        let status = pb::RefusalStatus {
            code: 9,
            reason: reason.as_str().to_owned(),
            retry_after: Some(asked.try_into().unwrap()),
            ..Default::default()
        };
        let retry_in = targets.failed(&session_key("k"), &Error::from(&status), now);
        assert_eq!(retry_in.is_some(), waits, "{reason}");
        assert_eq!(targets.all_gone(), !waits, "{reason}");
        assert_eq!(targets.failure().is_some(), !waits, "{reason}");
        assert!(
            retry_in.is_none_or(|retry_in| retry_in >= asked),
            "{reason}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn one_session_that_was_had_makes_the_whole_a_success() {
    let now = Instant::now();
    let both = vec![session_key("k"), session_key("none")];
    let mut targets = Targets::new(both, RetryPolicy::default(), now);
    assert_eq!(targets.take_due(now).len(), 2);
    targets.attached(&pb::Session {
        session_id: "s".to_owned(),
        key: "k".to_owned(),
        ..Default::default()
    });
    let status = pb::RefusalStatus {
        reason: Reason::SessionNotFound.as_str().to_owned(),
        ..Default::default()
    };
    let error = Error::from(&status);
    targets.failed(&session_key("none"), &error, now);
    assert!(!targets.all_gone());
    targets.lost(&lost(Why::SessionEnded, ""), now);
    targets.take_due(now);
    targets.failed(&session_key("k"), &error, now);
    assert!(targets.all_gone());
    assert!(targets.failure().is_none());
}

#[tokio::test(start_paused = true)]
async fn new_stream_asks_for_what_it_does_not_hold() {
    let (mut targets, now) = held(session_key("k"));
    targets.connected(|session_id| session_id == "s", now);
    assert_eq!(targets.next_due(), None);
    targets.connected(|_| false, now);
    assert_eq!(targets.take_due(now), [session_key("k")]);
    // Asked for on a stream that broke before the answer.
    targets.connected(|_| false, now);
    assert_eq!(targets.take_due(now), [session_key("k")]);
}
