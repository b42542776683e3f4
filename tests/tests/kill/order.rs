//! In which order queues handed their messages out, and how they counted (I13).
//!
//! Invariant: judged by the numbers of the hand-outs, which each queue gives one after the other, and not
//! by the moments at which clients heard of them. A number that nobody saw belongs to an answer that was
//! cut off, and is the one excuse there is. What this deliberately does not do: ask the server.

use std::collections::{BTreeMap, BTreeSet};

use super::journal::{Book, Call, HandOut, Place, Wait};

/// Hand-outs of a message before it is given up: the default.
pub(crate) const ATTEMPTS_MAX: u32 = 3;

/// A hand-out, and how many numbers before it nobody saw.
#[derive(Clone, Copy, Debug)]
struct Seen {
    delivery: u64,
    unseen: u64,
    hand_out: HandOut,
}

/// Checks all hand-outs so far. `dead`: what was given up.
pub(crate) fn check(book: &Book, dead: &BTreeSet<Place>) {
    for (queue, deliveries) in &book.handed_out {
        let seen = number(deliveries);
        let unseen = seen.last().map_or(0, |last| last.unseen);
        assert!(
            unseen == 0 || book.unknown.contains_key(&Call::Claim),
            "{unseen} hand-outs of queue {queue} came to nobody"
        );
        firsts(*queue, &seen);
        attempts(book, *queue, &seen);
        for (place, settling) in &book.settling {
            if place.0 == *queue && !dead.contains(place) {
                for (delivery, wait) in &settling.waits {
                    nothing_passed(*place, *delivery, *wait, &seen);
                }
            }
        }
    }
}

fn number(deliveries: &BTreeMap<u64, HandOut>) -> Vec<Seen> {
    let numbered = deliveries.iter().zip(1..);
    numbered
        .map(|((delivery, hand_out), at)| Seen {
            delivery: *delivery,
            unseen: delivery - at,
            hand_out: *hand_out,
        })
        .collect()
}

/// Messages are first handed out in order. One can only seem late if an earlier hand-out of it was seen by
/// nobody.
fn firsts(queue: u64, seen: &[Seen]) {
    let mut met = BTreeSet::new();
    let mut late = 0;
    for one in seen {
        let seq = one.hand_out.seq;
        late += u64::from(met.last().is_some_and(|highest| seq < *highest) && !met.contains(&seq));
        met.insert(seq);
        assert!(
            late <= one.unseen,
            "queue {queue} first handed {seq} out late: {one:?}"
        );
    }
}

/// Each hand-out counts one, or nothing if it was refunded; what counted stays counted.
fn attempts(book: &Book, queue: u64, seen: &[Seen]) {
    let mut latest: BTreeMap<u64, Seen> = BTreeMap::new();
    for one in seen {
        let HandOut { seq, attempt, .. } = one.hand_out;
        assert!(
            (1..=ATTEMPTS_MAX).contains(&attempt),
            "{one:?} of queue {queue}"
        );
        let Some(before) = latest.insert(seq, *one) else {
            continue;
        };
        let settling = book.settling.get(&(queue, seq));
        let wait = settling.and_then(|settling| settling.waits.get(&before.delivery));
        let least = before.hand_out.attempt + u32::from(wait.is_some_and(|wait| wait.counted));
        let most = u64::from(before.hand_out.attempt) + 1 + (one.unseen - before.unseen);
        let range = u64::from(least)..=most;
        assert!(
            range.contains(&attempt.into()),
            "{one:?} of queue {queue} after {before:?}"
        );
    }
}

/// While a message waits, nothing behind it is handed out for the first time.
fn nothing_passed(place: Place, delivery: u64, wait: Wait, seen: &[Seen]) {
    let first = |of: &Seen| {
        let same = |other: &&Seen| other.hand_out.seq == of.hand_out.seq;
        seen.iter()
            .find(same)
            .is_some_and(|first| first.delivery == of.delivery)
    };
    let Some(start) = seen.iter().find(|one| one.delivery == wait.after) else {
        return;
    };
    let back = |one: &Seen| one.hand_out.seq == place.1 && one.delivery > delivery;
    if seen
        .iter()
        .any(|one| back(one) && one.delivery <= wait.after)
    {
        // It went out again before it was known that it waited.
        return;
    }
    let later = seen.iter().filter(|one| one.delivery > wait.after);
    // Until it goes out itself, or may have done so unseen.
    let meanwhile =
        later.take_while(|one| one.hand_out.seq != place.1 && one.unseen == start.unseen);
    let passed: Vec<&Seen> = meanwhile
        .filter(|one| one.hand_out.seq > place.1 && first(one))
        .collect();
    // What seems new may come back from a hand-out that nobody saw.
    assert!(
        passed.len() as u64 <= start.unseen,
        "{passed:?} passed {place:?}, which waits since hand-out {delivery}"
    );
}
