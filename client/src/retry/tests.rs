//! The table of what is repeated, and the waits, on a paused clock.

use std::cell::Cell;

use super::*;
use crate::error::Refusal;

const SECOND: Duration = Duration::from_secs(1);

fn refused(reason: Reason, retry_after: Option<Duration>) -> Error {
    let mut refusal = Refusal::local("ABORTED", "refused");
    refusal.reason = Some(reason);
    refusal.retry_after = retry_after;
    refusal.origin = Origin::Server;
    Error::Conflict(refusal)
}

fn unavailable(origin: Origin) -> Error {
    let mut refusal = Refusal::local("UNAVAILABLE", "gone");
    refusal.origin = origin;
    Error::Unavailable(refusal)
}

/// Runs attempts that fail with `error` for ever; returns how many there were
/// and how long it took.
async fn attempts(policy: RetryPolicy, repeat: Repeat, error: Error) -> (u32, Duration) {
    let start = Instant::now();
    let count = Cell::new(0);
    let answer: Result<(), Error> = run(policy, Duration::ZERO, repeat, |_| {
        count.set(count.get() + 1);
        let error = error.clone();
        async move { Err(error) }
    })
    .await;
    assert_eq!(answer.unwrap_err().to_string(), error.to_string());
    (count.get(), start.elapsed())
}

#[test]
fn table_is_what_it_should_be() {
    let named = |wanted: Verdict| -> Vec<&str> {
        let reasons = Reason::ALL
            .iter()
            .filter(|reason| by_reason(**reason) == wanted);
        reasons.map(|reason| reason.as_str()).collect()
    };
    assert_eq!(named(Verdict::Always), ["RATE_LIMITED", "OVERLOADED"]);
    assert_eq!(
        named(Verdict::WhenHarmless),
        ["SERVER_DRAINING", "STORE_UNAVAILABLE"]
    );
    assert_eq!(verdict(&unavailable(Origin::Connect)), Verdict::Always);
    for origin in [Origin::Server, Origin::Transport] {
        assert_eq!(verdict(&unavailable(origin)), Verdict::WhenHarmless);
    }
    assert_eq!(verdict(&Error::deadline("late")), Verdict::Never);
    assert_eq!(verdict(&Error::protocol("odd")), Verdict::Never);
}

#[tokio::test(start_paused = true)]
async fn unsafe_repeats_are_not_made() {
    let policy = RetryPolicy::within(60 * SECOND);
    for (error, repeat, again) in [
        (unavailable(Origin::Transport), Repeat::CountsTwice, false),
        (unavailable(Origin::Transport), Repeat::Harmless, true),
        (unavailable(Origin::Connect), Repeat::CountsTwice, true),
        (
            refused(Reason::StoreUnavailable, None),
            Repeat::CountsTwice,
            false,
        ),
        (refused(Reason::Overloaded, None), Repeat::CountsTwice, true),
        (refused(Reason::EtagMismatch, None), Repeat::Harmless, false),
        (
            refused(Reason::QueueFull, Some(SECOND)),
            Repeat::Harmless,
            false,
        ),
        (
            refused(Reason::StoreFull, Some(SECOND)),
            Repeat::Harmless,
            false,
        ),
    ] {
        let text = format!("{error:?} {repeat:?}");
        let (count, _) = attempts(policy, repeat, error).await;
        assert_eq!(count > 1, again, "{text}: {count} attempts");
    }
}

#[tokio::test(start_paused = true)]
async fn repeats_end_with_the_total_time() {
    for total in [SECOND, 30 * SECOND] {
        let policy = RetryPolicy::within(total);
        let error = unavailable(Origin::Connect);
        let (count, took) = attempts(policy, Repeat::Harmless, error).await;
        assert!(count > 2, "{count} attempts");
        assert!(took <= total, "{took:?}");
    }
    let error = unavailable(Origin::Connect);
    let once = attempts(RetryPolicy::none(), Repeat::Harmless, error).await;
    assert_eq!(once, (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn server_is_obeyed_about_the_wait() {
    let error = refused(Reason::RateLimited, Some(7 * SECOND));
    let policy = RetryPolicy::within(20 * SECOND);
    let (count, took) = attempts(policy, Repeat::Harmless, error.clone()).await;
    // 0 s, 7 s and a little, 14 s and a little; the next would be past 20 s.
    assert_eq!(count, 3);
    assert!(took >= 14 * SECOND && took < 20 * SECOND, "{took:?}");
    // A wait that does not fit is not begun: the caller learns of it at once.
    let short = attempts(RetryPolicy::within(5 * SECOND), Repeat::Harmless, error).await;
    assert_eq!(short, (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn attempts_learn_how_much_time_is_left() {
    let policy = RetryPolicy::within(10 * SECOND);
    let left = Cell::new(Vec::new());
    let answer: Result<(), Error> = run(policy, 5 * SECOND, Repeat::Harmless, |time| {
        let mut seen = left.take();
        seen.push(time);
        left.set(seen);
        async {
            tokio::time::advance(4 * SECOND).await;
            Err(unavailable(Origin::Transport))
        }
    })
    .await;
    answer.unwrap_err();
    let left = left.take();
    assert_eq!(left[0], 15 * SECOND);
    assert!(left.iter().is_sorted_by(|one, next| one > next), "{left:?}");
    assert!(left[1] <= 11 * SECOND);
}

#[test]
fn waits_grow_to_their_bound_and_start_over() {
    let (first, max) = (SECOND, 5 * SECOND);
    let policy = RetryPolicy::within(SECOND).backoff(first, max);
    let mut longest = [Duration::ZERO; 5];
    for seed in 0..500 {
        let mut backoff = Backoff::new(policy, fastrand::Rng::with_seed(seed));
        for longest in &mut longest {
            *longest = (*longest).max(backoff.next(None));
        }
        backoff.reset();
        assert!(backoff.next(None) <= first);
    }
    for (longest, bound) in longest.into_iter().zip([1, 2, 4, 5, 5]) {
        let bound = bound * SECOND;
        assert!(longest <= bound, "{longest:?} of {bound:?}");
        // Full jitter uses the whole range.
        assert!(longest > bound.mul_f64(0.9), "{longest:?} of {bound:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_connection_that_lasted_starts_over() {
    let policy = RetryPolicy::default();
    let mut backoff = Backoff::new(policy, fastrand::Rng::with_seed(1));
    let since = Instant::now();
    assert_eq!(backoff.broke(None), Stability::Doubtful);
    tokio::time::advance(STABLE_AFTER - Duration::from_millis(1)).await;
    assert_eq!(backoff.broke(Some(since)), Stability::Doubtful);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(backoff.broke(Some(since)), Stability::Good);
}
