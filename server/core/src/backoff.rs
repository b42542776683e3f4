//! Backoff: how long a message that failed waits until it is tried again, when its worker does not say.
//!
//! Twice as long after each attempt, up to a bound, and spread: what failed together does not come back together. The
//! spread follows from the message and the attempt, so that a decision taken again is the same one.

use crate::ids::{QueueId, Seq};
use crate::limits::{Policy, RETRY_SPREAD_PART};
use crate::time::Span;

/// Doublings beyond which every pause is at its bound.
const DOUBLINGS_MAX: u32 = 32;

/// The pause after so many attempts of a message, from 1 on: at least what the doubling says, longer by up to one part
/// in [`RETRY_SPREAD_PART`], and never longer than the policy's bound.
#[must_use]
pub fn retry_pause(policy: &Policy, queue: QueueId, seq: Seq, attempt: u32) -> Span {
    let doublings = if faulty!(BackoffFlat) {
        0
    } else {
        attempt.saturating_sub(1).min(DOUBLINGS_MAX)
    };
    let longest = policy.retry_pause_max.0;
    let first = policy.retry_pause_first.0;
    let pause = first.saturating_mul(1 << doublings).min(longest);
    let spread = pause / RETRY_SPREAD_PART;
    let shortest = pause.min(longest - spread);
    Span(shortest + scattered(queue, seq, attempt) % (spread + 1))
}

/// A number that is far from those of neighbouring messages and attempts.
fn scattered(queue: QueueId, seq: Seq, attempt: u32) -> u64 {
    let mut mixed = 0;
    for part in [queue.0, seq.0, u64::from(attempt)] {
        mixed = mix(mixed ^ part);
    }
    mixed
}

/// The step of SplitMix64: each bit of what comes in changes half of those that go out.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn pauses(policy: &Policy, attempt: u32) -> BTreeSet<u64> {
        let seqs = 1..=1_000;
        seqs.map(|seq| retry_pause(policy, QueueId(1), Seq(seq), attempt).0)
            .collect()
    }

    #[test]
    fn pauses_double_up_to_their_bound_and_are_spread() {
        let policy = Policy::default();
        let bounds = [
            (1, 1_000, 1_125),
            (2, 2_000, 2_250),
            (3, 4_000, 4_500),
            (4, 7_000, 8_000),
            (5, 7_000, 8_000),
            (u32::MAX, 7_000, 8_000),
        ];
        for (attempt, least, most) in bounds {
            let pauses = pauses(&policy, attempt);
            let (first, last) = (pauses.first(), pauses.last());
            assert!(
                first.is_some_and(|first| *first >= least),
                "{attempt}: {first:?}"
            );
            assert!(
                last.is_some_and(|last| *last <= most),
                "{attempt}: {last:?}"
            );
            assert!(pauses.len() > 100, "{attempt}: {} pauses", pauses.len());
        }
    }

    #[test]
    fn a_pause_is_the_same_whenever_it_is_asked_for() {
        let policy = Policy::default();
        let pause = || retry_pause(&policy, QueueId(7), Seq(9), 2);
        assert_eq!(pause(), pause());
    }

    #[test]
    fn extreme_bounds_are_kept() {
        let shortest = Policy {
            retry_pause_first: Span(1),
            retry_pause_max: Span(1),
            ..Policy::default()
        };
        assert_eq!(pauses(&shortest, 9), [1].into());
        let unbounded = Policy {
            retry_pause_max: Span(u64::MAX),
            ..shortest
        };
        let longest = pauses(&unbounded, 40);
        assert!(longest.first().is_some_and(|first| *first >= 1 << 32));
    }
}
