//! Frames of settlements, and what is worth one.

use super::*;

fn entry(delivery_id: u64) -> Entry {
    let settlement = pb::Settlement {
        delivery_id,
        ..Default::default()
    };
    Entry {
        key: FlightKey {
            queue_id: 1,
            delivery_id,
        },
        settlement,
        purpose: Purpose::End,
    }
}

fn ids(frame: &pb::Settle) -> Vec<u64> {
    let each = frame.settlements.iter();
    each.map(|settlement| settlement.delivery_id).collect()
}

fn answer(count: usize) -> pb::Settled {
    pb::Settled {
        results: vec![pb::SettleResult::default(); count],
        revision: 1,
    }
}

#[test]
fn frames_are_bounded_in_size_and_number() {
    let mut settles = Settles::default();
    let per_frame = SETTLEMENTS_PER_FRAME_MAX as u64;
    let frames = FRAMES_UNANSWERED_MAX as u64 + 1;
    for id in 0..per_frame * frames {
        settles.push(entry(id));
    }
    for _ in 0..FRAMES_UNANSWERED_MAX {
        let frame = settles.next_frame().unwrap();
        assert_eq!(frame.settlements.len(), SETTLEMENTS_PER_FRAME_MAX);
    }
    assert!(!settles.has_frame());
    assert_eq!(settles.next_frame(), None);
    let answered = settles.answered(answer(SETTLEMENTS_PER_FRAME_MAX)).unwrap();
    assert_eq!(answered[0].0.key.delivery_id, 0);
    assert_eq!(
        settles.next_frame().unwrap().settlements.len(),
        SETTLEMENTS_PER_FRAME_MAX
    );
}

#[test]
fn broken_stream_repeats_in_order_before_what_is_new() {
    let mut settles = Settles::default();
    settles.push(entry(1));
    settles.push(entry(2));
    assert_eq!(ids(&settles.next_frame().unwrap()), [1, 2]);
    settles.push(entry(3));
    assert_eq!(ids(&settles.next_frame().unwrap()), [3]);
    settles.push(entry(4));
    settles.disconnected();
    assert_eq!(ids(&settles.next_frame().unwrap()), [1, 2, 3, 4]);
    assert!(!settles.is_empty());
    settles.answered(answer(4)).unwrap();
    assert!(settles.is_empty());
}

#[test]
fn answer_that_fits_no_frame_is_an_error() {
    let mut settles = Settles::default();
    assert!(settles.answered(answer(0)).is_err());
    settles.push(entry(1));
    settles.next_frame();
    assert!(settles.answered(answer(2)).is_err());
    // The settlement is still there, to be sent again.
    settles.disconnected();
    assert_eq!(ids(&settles.next_frame().unwrap()), [1]);
}

#[test]
fn what_a_handler_says_late_is_said_only_if_it_counts() {
    let lost = Cancellation::LeaseLost {
        reason: pb::LeaseLostReason::Lapsed,
        successor_id: String::new(),
    };
    let requested = Cancellation::Requested {
        reason: pb::CancelReason::Stuck,
    };
    let outcomes = [
        Outcome::ack(),
        Outcome::retry("x"),
        Outcome::defer("x", Duration::from_secs(1)),
        Outcome::permanent("x"),
        Outcome::Abandoned,
    ];
    for (cancelled, counts) in [
        (None, [true, true, true, true, true]),
        (Some(lost), [true, false, false, false, false]),
        (Some(requested), [true, false, false, false, false]),
        (
            Some(Cancellation::Stopping),
            [true, false, false, false, false],
        ),
        (Some(Cancellation::Superseded), [false; 5]),
    ] {
        for (outcome, counts) in outcomes.iter().zip(counts) {
            let said = worth_settling(outcome.clone(), cancelled.as_ref());
            assert_eq!(said.is_some(), counts, "{outcome:?} after {cancelled:?}");
        }
    }
}

#[test]
fn nack_stays_within_the_limits_of_the_server() {
    let long = Outcome::Retry {
        error: "ä".repeat(NACK_ERROR_BYTES_MAX),
        delay: Some(NACK_DELAY_MAX * 2),
    };
    let Some(pb::settlement::Outcome::Nack(nack)) = worth_settling(long, None) else {
        panic!("expected a nack");
    };
    assert_eq!(nack.error.len(), NACK_ERROR_BYTES_MAX);
    assert_eq!(nack.delay.unwrap().seconds, 24 * 3_600);
    let at_once = Outcome::defer("x", Duration::ZERO);
    let Some(pb::settlement::Outcome::Nack(nack)) = worth_settling(at_once, None) else {
        panic!("expected a nack");
    };
    assert_eq!(nack.delay, None);
}
