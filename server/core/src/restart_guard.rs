//! The restart guard: how often the workers of a session failed lately.
//!
//! Each failure is remembered until it no longer counts; one more than the policy allows suspends the
//! session until the first of them is forgotten, so that workers which fail again and again are given it at
//! a bounded pace. Work that succeeds takes back the oldest failure. A session whose workers never failed
//! carries nothing for it. What this deliberately does not do: decide what a failure is; `decide` does.

use crate::time::{EngineTime, Span};

/// The failures of one session's workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestartGuard {
    /// When each that may still count is forgotten, in order; at most one more than the policy's limit.
    pub failures: Vec<EngineTime>,
    /// No worker is given the session before this time.
    pub suspended_until: Option<EngineTime>,
}

/// What a failure came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It counts.
    Counted,
    /// It is one too many.
    Tripped,
}

impl RestartGuard {
    /// How many failures count now.
    #[must_use]
    pub fn count(&self, now: EngineTime) -> u32 {
        let fresh = self.failures.iter().filter(|until| **until > now);
        u32::try_from(fresh.count()).expect("failures are bounded by the policy's limit")
    }

    /// Notes a failure.
    pub(crate) fn failed(&mut self, now: EngineTime, window: Span, limit: u32) -> Verdict {
        self.failures.retain(|until| *until > now);
        self.failures.push(now + window);
        let over = self.failures.len().saturating_sub(limit as usize);
        if over == 0 || self.suspended_until.is_some() {
            return Verdict::Counted;
        }
        // A policy that allows fewer than the one before may find several too many.
        self.failures.drain(..over - 1);
        self.suspended_until = self.failures.first().copied();
        Verdict::Tripped
    }

    /// Notes that work succeeded.
    pub(crate) fn succeeded(&mut self) {
        if !self.failures.is_empty() {
            self.failures.remove(0);
        }
    }

    /// Ends the suspension if its time is over; tells whether it did.
    pub(crate) fn lift(&mut self, now: EngineTime) -> bool {
        let over = self.suspended_until.is_some_and(|until| until <= now);
        if over {
            self.suspended_until = None;
            self.failures.retain(|until| *until > now);
        }
        over
    }
}
