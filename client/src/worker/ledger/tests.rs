//! What a worker holds, without a server.

use super::*;

fn attached(session_id: &str, queue_id: u64, epoch: u64) -> pb::Attached {
    pb::Attached {
        lease: Some(pb::Lease {
            epoch,
            ..Default::default()
        }),
        session: Some(pb::Session {
            session_id: session_id.to_owned(),
            queue_id,
            ..Default::default()
        }),
        voided_keys: Vec::new(),
    }
}

fn delivery(session_id: &str, queue_id: u64, epoch: u64, seq: u64, id: u64) -> pb::Delivery {
    pb::Delivery {
        message: Some(pb::Message {
            session_id: session_id.to_owned(),
            queue_id,
            seq,
            ..Default::default()
        }),
        delivery_id: id,
        epoch,
        deadline: None,
    }
}

fn ledger() -> Ledger {
    Ledger::new(16, RelaxedSessions::OneByOne)
}

fn lost(session_id: &str, epoch: u64) -> pb::LeaseLost {
    pb::LeaseLost {
        session_id: session_id.to_owned(),
        epoch,
        ..Default::default()
    }
}

#[test]
fn answer_forgets_the_delivery() {
    let mut ledger = ledger();
    ledger.attached(attached("s", 1, 1)).unwrap();
    ledger.deliver(delivery("s", 1, 1, 1, 11)).unwrap();
    let job = ledger.start_next().unwrap();
    assert!(ledger.is_running());
    ledger.finished(job.key, Outcome::ack());
    assert!(!ledger.is_running());
    // Until it is answered, the server must hear of it after a reconnect.
    assert_eq!(ledger.resume()[0].delivery_ids, [11]);
    let frame = ledger.next_settle().unwrap();
    assert_eq!(frame.settlements.len(), 1);
    let mut result = pb::SettleResult::default();
    result.set_code(pb::SettleCode::Ok);
    let settled = pb::Settled {
        results: vec![result],
        revision: 2,
    };
    assert_eq!(ledger.settled(settled).unwrap(), []);
    assert!(ledger.is_settled());
    assert_eq!(ledger.resume()[0].delivery_ids, [0; 0]);
    assert!(ledger.newest.is_empty());
}

#[test]
fn word_about_an_old_lease_says_nothing_about_the_new_one() {
    let mut ledger = ledger();
    ledger.attached(attached("s", 1, 4)).unwrap();
    ledger.deliver(delivery("s", 1, 4, 1, 11)).unwrap();
    ledger.lease_lost(&lost("s", 3));
    assert!(ledger.holds("s"));
    assert!(ledger.start_next().is_some());
    ledger.lease_lost(&lost("s", 4));
    assert!(!ledger.holds("s"));
    assert_eq!(ledger.resume(), []);
}

#[test]
fn resume_fits_into_a_hello_and_keeps_what_is_in_progress() {
    let mut ledger = ledger();
    let count = RESUME_LEASES_MAX as u64 + 5;
    for number in 0..count {
        let name = format!("s{number:05}");
        ledger.attached(attached(&name, number, number)).unwrap();
    }
    let last = count - 1;
    let name = format!("s{last:05}");
    ledger.deliver(delivery(&name, last, last, 1, 11)).unwrap();
    let resume = ledger.resume();
    assert_eq!(resume.len(), RESUME_LEASES_MAX);
    assert_eq!(resume[0].session_id, name);
    // What is not listed is detached by the server: it is not held any longer.
    assert_eq!(ledger.leases.len(), RESUME_LEASES_MAX);
    assert!(!ledger.holds(&format!("s{:05}", last - 1)));
}

#[test]
fn delivery_under_an_older_lease_is_not_resumed() {
    let mut ledger = ledger();
    ledger.attached(attached("s", 1, 1)).unwrap();
    ledger.deliver(delivery("s", 1, 1, 1, 11)).unwrap();
    ledger.start_next().unwrap();
    ledger.lease_lost(&lost("s", 1));
    ledger.attached(attached("s", 1, 2)).unwrap();
    ledger.deliver(delivery("s", 1, 2, 2, 12)).unwrap();
    assert_eq!(ledger.resume()[0].delivery_ids, [12]);
}

#[test]
fn relaxed_session_may_go_at_once_where_it_was_asked_for() {
    for (relaxed, expected) in [(RelaxedSessions::OneByOne, 1), (RelaxedSessions::AtOnce, 3)] {
        let mut ledger = Ledger::new(16, relaxed);
        let mut frame = attached("r", 1, 1);
        if let Some(session) = &mut frame.session {
            session.set_ordering(pb::Ordering::Relaxed);
        }
        ledger.attached(frame).unwrap();
        ledger.attached(attached("s", 2, 2)).unwrap();
        for id in 1..=3 {
            ledger.deliver(delivery("r", 1, 1, id, id)).unwrap();
            ledger.deliver(delivery("s", 2, 2, id, id)).unwrap();
        }
        let started = std::iter::from_fn(|| ledger.start_next());
        let of_r = started
            .filter(|job| job.waiting.message.session_id == "r")
            .count();
        assert_eq!(of_r, expected, "{relaxed:?}");
    }
}

#[test]
fn stopped_worker_takes_nothing_and_starts_nothing() {
    let mut ledger = ledger();
    ledger.attached(attached("s", 1, 1)).unwrap();
    ledger.deliver(delivery("s", 1, 1, 1, 11)).unwrap();
    ledger.deliver(delivery("s", 1, 1, 2, 12)).unwrap();
    let job = ledger.start_next().unwrap();
    ledger.stop_taking();
    ledger.deliver(delivery("s", 1, 1, 3, 13)).unwrap();
    ledger.cancel_all();
    assert_eq!(*job.cancelled.borrow(), Some(Cancellation::Stopping));
    ledger.drop_running();
    assert!(!ledger.is_running() && ledger.is_settled());
    assert!(ledger.start_next().is_none());
    // A handler that was done in the same moment says nothing any more.
    ledger.finished(job.key, Outcome::ack());
    assert!(ledger.is_settled());
}

#[test]
fn frames_without_what_they_must_have_are_errors() {
    let mut ledger = ledger();
    assert!(ledger.attached(pb::Attached::default()).is_err());
    assert!(ledger.deliver(pb::Delivery::default()).is_err());
    assert!(ledger.settled(pb::Settled::default()).is_err());
}
