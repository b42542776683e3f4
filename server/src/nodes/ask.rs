//! What the agent of a node is asked, and what it answers.
//!
//! Both sides of a link have these; how they are spelled on it is in `wire`. Invariant: an answer is of the kind of its
//! question. What this deliberately does not do: send anything, or say what an answer means for a session.

use std::time::Duration;

use sessiond_core::resource::{Attempt, LingeringCause, ResourceToken, Target};
use sessiond_core::time::Span;

use crate::env::{Agent, LocalCaller, Marked, Presence, Proof, ReleaseTerms, Sought, Unregistered};
use crate::limits::{NODE_ANSWER_MARGIN, NODE_LOOK_WITHIN, NODE_TMUX_WITHIN};

/// A question to an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// End a resource and see that it is gone.
    Release {
        /// Which, and its mark.
        token: ResourceToken,
        /// What it is.
        target: Target,
        /// How to go about it.
        terms: ReleaseTerms,
    },
    /// Look whether resources that were registered are there.
    Look {
        /// Which, and what they are; at most as many as a session may have.
        subjects: Vec<(ResourceToken, Target)>,
        /// Whether weak identities count.
        terms: ReleaseTerms,
    },
    /// Find out what is meant by somebody who names it.
    Register {
        /// What is named.
        sought: Sought,
        /// Whose mark it must carry, if any.
        marker: Option<ResourceToken>,
    },
    /// List the processes that carry the mark of any resource.
    ListMarked,
}

/// An agent's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Of a release.
    Released(Attempt),
    /// Of a look, in its order.
    Looked(Vec<Presence>),
    /// Of a registration.
    Registered(Result<Target, Unregistered>),
    /// Of a list.
    Marked(Vec<Marked>),
}

/// What an agent lets callers of the server have registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// What carries the mark of a declared resource.
    Marked,
    /// Everything of the agent's own user too.
    OwnUser,
}

impl Ask {
    /// How long an agent that is here may take to answer.
    #[must_use]
    pub fn within(&self) -> Duration {
        match self {
            Self::Release { terms, .. } => {
                let duration = |Span(ms)| Duration::from_millis(ms);
                NODE_ANSWER_MARGIN + duration(terms.grace) + duration(terms.verify)
            }
            Self::Register { .. } => NODE_ANSWER_MARGIN,
            // A tmux server that hangs takes its time for each.
            Self::Look { subjects, .. } => {
                let tmux = subjects.iter();
                let tmux = tmux.filter(|(_, target)| matches!(target, Target::Tmux(_)));
                let tmux = u32::try_from(tmux.count()).unwrap_or(u32::MAX);
                NODE_LOOK_WITHIN.saturating_add(NODE_TMUX_WITHIN.saturating_mul(tmux))
            }
            Self::ListMarked => NODE_LOOK_WITHIN,
        }
    }

    /// Does what is asked on this machine. It blocks, for as long as its terms say.
    #[must_use]
    pub fn carry_out(&self, agent: &dyn Agent, adoption: Adoption) -> Outcome {
        match self {
            Self::Release {
                token,
                target,
                terms,
            } => Outcome::Released(agent.release(*token, target, terms)),
            Self::Look { subjects, terms } => {
                let subjects = subjects.iter();
                let look = subjects.map(|(token, target)| agent.presence(*token, target, terms));
                Outcome::Looked(look.collect())
            }
            Self::Register { sought, marker } => {
                let caller = match adoption {
                    Adoption::Marked => LocalCaller::Unknown,
                    Adoption::OwnUser => LocalCaller::SameUser,
                };
                let marker = *marker;
                Outcome::Registered(agent.register(sought, Proof { marker, caller }))
            }
            Self::ListMarked => Outcome::Marked(agent.marked()),
        }
    }
}

impl Outcome {
    /// Whether it answers a question of this kind.
    pub(crate) fn answers(&self, ask: &Ask) -> bool {
        match (ask, self) {
            (Ask::Release { .. }, Self::Released(_))
            | (Ask::Register { .. }, Self::Registered(_))
            | (Ask::ListMarked, Self::Marked(_)) => true,
            (Ask::Look { subjects, .. }, Self::Looked(seen)) => subjects.len() == seen.len(),
            (
                Ask::Release { .. } | Ask::Register { .. } | Ask::ListMarked | Ask::Look { .. },
                _,
            ) => false,
        }
    }
}

/// What becomes of a release whose agent is not here.
pub(crate) fn away(why: &str) -> Attempt {
    Attempt::Left {
        cause: LingeringCause::NodeAway,
        detail: why.to_owned(),
    }
}
