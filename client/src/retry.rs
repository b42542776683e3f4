//! What the SDK repeats by itself, how long it waits in between, and when it
//! gives up.
//!
//! Keeps two promises: a call whose effect would count twice is repeated only
//! when the server certainly refused it, and no repeat begins after the total
//! time of the policy or before the time the server asked for. It knows no
//! calls: what may be repeated safely is said by the caller of [`run`].

use std::time::Duration;

use sessiond_proto::reason::Reason;
use tokio::time::Instant;

use crate::error::{Error, Origin};

/// How long a call is repeated in all unless the policy says otherwise. Longer
/// than a restart of the server takes, shorter than a person's patience.
pub const RETRY_TOTAL_DEFAULT: Duration = Duration::from_secs(30);

/// The upper bound of the first wait.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(100);

/// The upper bound of every wait.
pub const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// The upper bound of every wait before a stream is opened again: a worker must
/// be back before its leases lapse, after 15 s.
const STREAM_BACKOFF_MAX: Duration = Duration::from_secs(5);

/// A connection that lasted this long was a good one: the next wait is short.
const STABLE_AFTER: Duration = BACKOFF_MAX;

/// How the SDK repeats calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    total: Duration,
    first: Duration,
    max: Duration,
}

/// Whether a second execution of a request has an effect of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// A read, or a mutation which the server recognizes.
    Harmless,
    /// It would count twice.
    CountsTwice,
}

/// What the table says about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Time alone does not help, or the caller must decide.
    Never,
    /// The outcome is unknown, so only what is harmless is repeated.
    WhenHarmless,
    /// The server certainly did not do it.
    Always,
}

/// Whether a connection lasted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stability {
    Good,
    Doubtful,
}

/// The waits between attempts: exponential, with full jitter.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    ceiling: Duration,
    policy: RetryPolicy,
    random: fastrand::Rng,
}

/// The one table of what is repeated.
pub(crate) fn verdict(error: &Error) -> Verdict {
    match error.reason() {
        Some(reason) => by_reason(reason),
        None => by_kind(error),
    }
}

/// Runs `attempt` until it succeeds, until its error is none that is repeated,
/// or until the total time is over; then answers the last error. `attempt` gets
/// the time that is left.
pub(crate) async fn run<T, F>(
    policy: RetryPolicy,
    extra: Duration,
    repeat: Repeat,
    mut attempt: impl FnMut(Duration) -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let total = policy.total.saturating_add(extra);
    let start = Instant::now();
    let mut backoff = Backoff::new(policy, fastrand::Rng::new());
    loop {
        let left = total.saturating_sub(start.elapsed());
        let error = match attempt(left).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if policy.total.is_zero() || !may_repeat(&error, repeat) {
            return Err(error);
        }
        let delay = backoff.next(error.retry_after());
        if delay >= total.saturating_sub(start.elapsed()) {
            return Err(error);
        }
        tracing::debug!(%error, ?delay, "repeating a call");
        tokio::time::sleep(delay).await;
    }
}

/// Whether a stream that worked before is worth opening again after `error`. More
/// than a call: a stream resumes, so that even an unknown outcome is harmless,
/// and whatever is between it and the server may end it for its own reasons.
pub(crate) fn heals(error: &Error) -> bool {
    match error {
        Error::Unavailable(_)
        | Error::Deadline(_)
        | Error::Cancelled(_)
        | Error::Internal(_)
        | Error::ResourceExhausted { .. } => true,
        // Whoever holds it may be this client's own stream that just broke.
        Error::FailedPrecondition(refusal) => refusal.reason == Some(Reason::LeaseHeld),
        Error::NotFound(_)
        | Error::AlreadyExists(_)
        | Error::Conflict(_)
        | Error::Invalid { .. }
        | Error::LeaseLost(_)
        | Error::Compacted { .. }
        | Error::LogChanged(_)
        | Error::Unauthenticated(_)
        | Error::PermissionDenied(_)
        | Error::NotBuilt(_)
        | Error::Protocol(_)
        | Error::Setting(_) => false,
    }
}

fn may_repeat(error: &Error, repeat: Repeat) -> bool {
    match (verdict(error), repeat) {
        (Verdict::Always, Repeat::Harmless | Repeat::CountsTwice)
        | (Verdict::WhenHarmless, Repeat::Harmless) => true,
        (Verdict::Never, Repeat::Harmless | Repeat::CountsTwice)
        | (Verdict::WhenHarmless, Repeat::CountsTwice) => false,
    }
}

fn by_reason(reason: Reason) -> Verdict {
    match reason {
        // Refused before anything was done, and over soon.
        Reason::Overloaded | Reason::RateLimited => Verdict::Always,
        // The outcome may be unknown.
        Reason::ServerDraining | Reason::StoreUnavailable => Verdict::WhenHarmless,
        // Room that somebody must make, or a holder that must let go: how long
        // to insist is the caller's decision, `retry_after` helps with it.
        Reason::TooManySessions
        | Reason::QueueFull
        | Reason::QuotaExceeded
        | Reason::StoreFull
        | Reason::LeaseHeld
        | Reason::RestartLimited
        | Reason::NodeAway
        | Reason::SessionUnacknowledged
        | Reason::SessionQueued => Verdict::Never,
        // Facts that no repeat changes.
        Reason::SessionNotFound
        | Reason::SubscriptionNotFound
        | Reason::PoolNotFound
        | Reason::RequestNotFound
        | Reason::ResourceNotFound
        | Reason::NodeNotFound
        | Reason::NodeElsewhere
        | Reason::SessionKeyInUse
        | Reason::SessionIdInUse
        | Reason::SubscriptionExists
        | Reason::NamespaceNotFound
        | Reason::Unauthenticated
        | Reason::PermissionDenied
        | Reason::NotBuilt
        | Reason::SessionEnded
        | Reason::SessionDraining
        | Reason::SessionActive
        | Reason::QueueHeld
        | Reason::ResourceReleased
        | Reason::ResourceRegistered
        | Reason::ResourcesUnreleased
        | Reason::ExportFailed
        | Reason::CauseTooDeep
        | Reason::DrainNotCancellable
        | Reason::LeaseFenced
        | Reason::StaleDelivery
        | Reason::EtagMismatch
        | Reason::RevisionCompacted
        | Reason::LogChanged
        | Reason::SubscriptionStale
        | Reason::RequestIdReused
        | Reason::FieldInvalid
        | Reason::MessageTooLarge => Verdict::Never,
    }
}

fn by_kind(error: &Error) -> Verdict {
    match error {
        Error::Unavailable(refusal) => match refusal.origin {
            Origin::Connect => Verdict::Always,
            Origin::Server | Origin::Transport | Origin::Local => Verdict::WhenHarmless,
        },
        // A deadline is the caller's, and it is over. The rest are facts, or a
        // server that fails and would fail again.
        Error::Deadline(_)
        | Error::ResourceExhausted { .. }
        | Error::Cancelled(_)
        | Error::Internal(_)
        | Error::NotFound(_)
        | Error::AlreadyExists(_)
        | Error::FailedPrecondition(_)
        | Error::Conflict(_)
        | Error::Invalid { .. }
        | Error::LeaseLost(_)
        | Error::Compacted { .. }
        | Error::LogChanged(_)
        | Error::Unauthenticated(_)
        | Error::PermissionDenied(_)
        | Error::NotBuilt(_)
        | Error::Protocol(_)
        | Error::Setting(_) => Verdict::Never,
    }
}

// === impl RetryPolicy ===

impl RetryPolicy {
    /// Every call is made once.
    #[must_use]
    pub const fn none() -> Self {
        Self::within(Duration::ZERO)
    }

    /// Repeats for at most `total`, measured from the start of the call.
    #[must_use]
    pub const fn within(total: Duration) -> Self {
        Self {
            total,
            first: BACKOFF_FIRST,
            max: BACKOFF_MAX,
        }
    }

    /// Sets the upper bounds of the first and of every wait; the wait itself is
    /// random below its bound, which doubles each time.
    #[must_use]
    pub const fn backoff(mut self, first: Duration, max: Duration) -> Self {
        self.first = first;
        self.max = max;
        self
    }

    /// How long a call is repeated in all.
    #[must_use]
    pub const fn total(&self) -> Duration {
        self.total
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::within(RETRY_TOTAL_DEFAULT)
    }
}

// === impl Backoff ===

impl Backoff {
    pub(crate) fn new(policy: RetryPolicy, random: fastrand::Rng) -> Self {
        Self {
            ceiling: policy.first.min(policy.max),
            policy,
            random,
        }
    }

    /// The waits of a stream, which must not stay away for long.
    pub(crate) fn of_stream(policy: RetryPolicy) -> Self {
        let max = policy.max.min(STREAM_BACKOFF_MAX);
        Self::new(policy.backoff(policy.first, max), fastrand::Rng::new())
    }

    /// The next wait: at least what the server asked for, and the jitter on top
    /// of it, so that those who were told the same do not come back together.
    pub(crate) fn next(&mut self, retry_after: Option<Duration>) -> Duration {
        let jitter = self.ceiling.mul_f64(self.random.f64());
        self.ceiling = self.ceiling.saturating_mul(2).min(self.policy.max);
        retry_after.unwrap_or_default().saturating_add(jitter)
    }

    /// Starts over with the first wait: something worked.
    pub(crate) fn reset(&mut self) {
        self.ceiling = self.policy.first.min(self.policy.max);
    }

    /// Starts over if the connection that broke had been a good one. One that
    /// is greeted and breaks at once, again and again, is none.
    pub(crate) fn broke(&mut self, connected: Option<Instant>) -> Stability {
        match connected {
            Some(since) if since.elapsed() >= STABLE_AFTER => {
                self.reset();
                Stability::Good
            }
            Some(_) | None => Stability::Doubtful,
        }
    }
}

#[cfg(test)]
mod tests;
