//! The sessions which a worker was told to attach to, and where it stands with
//! each.
//!
//! Keeps asking as long as a session can be had: a lost lease is taken again, a
//! held or suspended one after a wait, a successor in place of what it succeeds.
//! It gives up only what is gone, or what an operator took away.

use std::time::Duration;

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::session_ref::Ref;
use tokio::time::Instant;

use crate::error::Error;
use crate::retry::{Backoff, RetryPolicy, heals};

/// All sessions to attach to.
#[derive(Debug)]
pub(super) struct Targets {
    targets: Vec<Target>,
}

#[derive(Debug)]
struct Target {
    session: pb::SessionRef,
    state: State,
    past: Past,
    backoff: Backoff,
}

/// Where the worker stands with a session.
#[derive(Debug)]
enum State {
    /// To be asked for at this time.
    Wanted { at: Instant },
    /// Asked for and not answered.
    Asked,
    /// This worker's.
    Held { session_id: String },
    /// There was nothing to do: the server gives it back when there is.
    Resting { session_id: String },
    /// Not to be asked for again.
    Gone { error: Option<Error> },
}

/// Whether the session was ever this worker's: then its end is no failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Past {
    NeverHeld,
    Held,
}

// === impl Targets ===

impl Targets {
    pub(super) fn new(sessions: Vec<pb::SessionRef>, policy: RetryPolicy, now: Instant) -> Self {
        let target = |session| Target {
            session,
            state: State::Wanted { at: now },
            past: Past::NeverHeld,
            backoff: Backoff::new(policy, fastrand::Rng::new()),
        };
        Self {
            targets: sessions.into_iter().map(target).collect(),
        }
    }

    /// A new stream is open: what was asked for on the old one, and what was
    /// not resumed, is to be asked for.
    pub(super) fn connected(&mut self, holds: impl Fn(&str) -> bool, now: Instant) {
        for target in &mut self.targets {
            let ask = match &target.state {
                State::Asked => true,
                State::Held { session_id } => !holds(session_id),
                // A new stream is told of nothing that the old one rested from.
                State::Resting { .. } => true,
                State::Wanted { .. } | State::Gone { .. } => false,
            };
            if ask {
                target.state = State::Wanted { at: now };
            }
        }
    }

    /// Takes the sessions that are to be asked for by now.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<pb::SessionRef> {
        let mut due = Vec::new();
        for target in &mut self.targets {
            if matches!(target.state, State::Wanted { at } if at <= now) {
                target.state = State::Asked;
                due.push(target.session.clone());
            }
        }
        due
    }

    /// When the next one is to be asked for.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let times = self.targets.iter().filter_map(|target| match target.state {
            State::Wanted { at } => Some(at),
            State::Asked | State::Held { .. } | State::Resting { .. } | State::Gone { .. } => None,
        });
        times.min()
    }

    /// A session was attached, asked for or not.
    pub(super) fn attached(&mut self, session: &pb::Session) {
        for target in &mut self.targets {
            let named = match &target.session.r#ref {
                Some(Ref::SessionId(id)) => *id == session.session_id,
                Some(Ref::Key(key)) => *key == session.key,
                None => false,
            };
            if named {
                target.state = State::Held {
                    session_id: session.session_id.clone(),
                };
                target.past = Past::Held;
                target.backoff.reset();
            }
        }
    }

    /// A session could not be attached. Returns after how long it is asked for
    /// again.
    pub(super) fn failed(
        &mut self,
        session: &pb::SessionRef,
        error: &Error,
        now: Instant,
    ) -> Option<Duration> {
        let asked = |target: &&mut Target| {
            matches!(target.state, State::Asked) && target.session == *session
        };
        let target = self.targets.iter_mut().find(asked)?;
        if passes(error) {
            let wait = target.backoff.next(error.retry_after());
            target.state = State::Wanted { at: now + wait };
            return Some(wait);
        }
        target.state = match target.past {
            Past::Held => State::Gone { error: None },
            Past::NeverHeld => State::Gone {
                error: Some(error.clone()),
            },
        };
        None
    }

    /// A lease was lost.
    pub(super) fn lost(&mut self, lost: &pb::LeaseLost, now: Instant) {
        for target in &mut self.targets {
            let held = matches!(
                &target.state,
                State::Held { session_id } | State::Resting { session_id }
                    if *session_id == lost.session_id
            );
            if held {
                target.lost(lost, now);
            }
        }
    }

    /// The worker stops: nothing is asked for any more.
    pub(super) fn clear(&mut self) {
        self.targets.clear();
    }

    /// Whether no session is left that could still be had.
    pub(super) fn all_gone(&self) -> bool {
        let gone = |target: &Target| matches!(target.state, State::Gone { .. });
        self.targets.iter().all(gone)
    }

    /// Why no session could be had; `None` when one was.
    pub(super) fn failure(&self) -> Option<Error> {
        let errors = self.targets.iter().map(|target| match &target.state {
            State::Gone { error } => error.clone(),
            State::Wanted { .. } | State::Asked | State::Held { .. } | State::Resting { .. } => {
                None
            }
        });
        // One that was had makes the whole a success.
        let errors: Option<Vec<Error>> = errors.collect();
        errors.and_then(|errors| errors.into_iter().next_back())
    }
}

// === impl Target ===

impl Target {
    fn lost(&mut self, lost: &pb::LeaseLost, now: Instant) {
        use pb::LeaseLostReason as Why;
        self.state = match (lost.reason(), &self.session.r#ref) {
            (Why::Succeeded, Some(Ref::SessionId(_))) if !lost.successor_id.is_empty() => {
                self.session = crate::client::session_id(lost.successor_id.clone());
                State::Wanted { at: now }
            }
            (Why::Succeeded | Why::SessionEnded, Some(Ref::SessionId(_)) | None) => {
                State::Gone { error: None }
            }
            // Its key may have a session again.
            (Why::Succeeded | Why::SessionEnded, Some(Ref::Key(_))) | (Why::Detached, _) => {
                State::Wanted { at: now }
            }
            (Why::Idle, _) => State::Resting {
                session_id: lost.session_id.clone(),
            },
            (Why::Revoked, _) => State::Gone {
                error: Some(Error::lease_lost("an operator revoked the lease")),
            },
            (
                Why::Unspecified | Why::Lapsed | Why::Fenced | Why::Stuck | Why::RestartLimited,
                _,
            ) => State::Wanted {
                at: now + self.backoff.next(None),
            },
        };
    }
}

/// Whether time may cure what an attach was refused for.
fn passes(error: &Error) -> bool {
    let waits = [
        Reason::SessionQueued,
        Reason::LeaseHeld,
        Reason::RestartLimited,
    ];
    heals(error) || error.reason().is_some_and(|reason| waits.contains(&reason))
}

#[cfg(test)]
mod tests;
