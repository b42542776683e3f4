//! What a session has outside, as the model keeps it, and who waits for it.
//!
//! Invariant: what was forgotten has no record here either. What this deliberately does not do: decide, or count what
//! can be found by looking.

use sessiond_core::ids::{NodeName, ResourceName, ResourceNo, SessionNo};
use sessiond_core::resource::{
    self as core, LingeringCause, ReleaseOutcome, ResourceToken, Scope, Target,
};

use super::{Session, State};

/// One resource that is on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) number: u64,
    pub(crate) salt: u64,
    pub(crate) name: Option<ResourceName>,
    /// The lease that it must not outlive, if it must not outlive one.
    pub(crate) lease: Option<u64>,
    pub(crate) node: Option<NodeName>,
    pub(crate) target: Target,
    pub(crate) standing: Standing,
    /// When it was declared, by the wall clock.
    pub(crate) declared: u64,
}

/// Whether a resource is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Held,
    /// It is to go.
    Releasing,
    /// It was to go and did not: why, in words, and since when.
    Lingering(LingeringCause, String, u64),
    /// It is gone: how that is known, and since when.
    Released(ReleaseOutcome, u64),
}

/// Whose resources a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Behind {
    pub(crate) predecessor: u64,
    /// Whether the slot of that one passes to it.
    pub(crate) inherits: bool,
}

impl Resource {
    /// What is on record or answered, in the model's words.
    pub(crate) fn of(resource: &core::Resource) -> Self {
        Self {
            number: resource.number.0,
            salt: resource.salt,
            name: resource.name.clone(),
            lease: match resource.scope {
                Scope::Session => None,
                Scope::Lease(epoch) => Some(epoch.0),
            },
            node: resource.node.clone(),
            target: resource.target.clone(),
            standing: match &resource.standing {
                core::Standing::Held => Standing::Held,
                core::Standing::Releasing(None) => Standing::Releasing,
                core::Standing::Releasing(Some(left)) => {
                    Standing::Lingering(left.cause, left.detail.clone(), left.since.0)
                }
                core::Standing::Released { outcome, time } => Standing::Released(*outcome, time.0),
            },
            declared: resource.create_time.0,
        }
    }

    pub(crate) fn is_released(&self) -> bool {
        matches!(self.standing, Standing::Released(..))
    }

    pub(crate) fn is_lingering(&self) -> bool {
        matches!(self.standing, Standing::Lingering(..))
    }

    /// Whether it is to go.
    pub(crate) fn is_releasing(&self) -> bool {
        matches!(self.standing, Standing::Releasing | Standing::Lingering(..))
    }

    pub(crate) fn token(&self, session: u64) -> ResourceToken {
        ResourceToken {
            session: SessionNo(session),
            number: ResourceNo(self.number),
            salt: self.salt,
        }
    }
}

impl Session {
    /// How many of its resources are not released.
    pub(crate) fn unreleased(&self) -> usize {
        let all = self.resources.iter();
        all.filter(|resource| !resource.is_released()).count()
    }

    /// How many of them did not go when they were to.
    pub(crate) fn lingering(&self) -> usize {
        let all = self.resources.iter();
        all.filter(|resource| resource.is_lingering()).count()
    }

    /// Whether it has ended and something of it is left.
    pub(crate) fn is_left(&self) -> bool {
        matches!(self.state, State::Ended(_)) && self.unreleased() > 0
    }

    /// Whether it takes a slot of its pool.
    pub(crate) fn has_slot(&self) -> bool {
        match self.state {
            State::Active | State::Draining(_) => true,
            State::Ended(_) => self.unreleased() > 0,
            State::Queued(_) => false,
        }
    }

    /// Whom it waits for, if it waits for somebody's resources.
    pub(crate) fn behind(&self) -> Option<Behind> {
        match &self.state {
            State::Queued(turn) => turn.behind,
            State::Active | State::Draining(_) | State::Ended(_) => None,
        }
    }
}
