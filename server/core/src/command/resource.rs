//! Commands about what a session has outside of the store.
//!
//! What this deliberately does not do: find out whether a process is the one that is meant; whoever builds the command
//! did.

use super::RequestTag;
use crate::event::Actor;
use crate::ids::{Namespace, NodeName, ResourceName, ResourceNo, SessionNo, SessionRef};
use crate::node::Witness;
use crate::resource::{Attempt, ResourceToken, Scope, Target};

/// Put a resource on record, before it is there or when it is taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declare {
    /// Where.
    pub namespace: Namespace,
    /// Of which session.
    pub session: SessionRef,
    /// What its caller calls it.
    pub name: Option<ResourceName>,
    /// What it must not outlive.
    pub scope: Scope,
    /// The machine it is on; none is the server's own.
    pub node: Option<NodeName>,
    /// What it is, if it is there already.
    pub target: Target,
    /// Who says what it is.
    pub witness: Witness,
    /// Drawn at random, see [`ResourceToken`].
    pub salt: u64,
    /// Its name as a mutation.
    pub request: Option<RequestTag>,
    /// Who asks.
    pub actor: Actor,
}

/// Say what a resource that was declared turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// Where.
    pub namespace: Namespace,
    /// Which.
    pub resource: ResourceToken,
    /// What it is.
    pub target: Target,
    /// Who says so.
    pub witness: Witness,
}

/// Have a resource go before what it belongs to ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Where.
    pub namespace: Namespace,
    /// Which.
    pub resource: ResourceToken,
    /// In which manner.
    pub manner: ReleaseManner,
    /// Who asks.
    pub actor: Actor,
}

/// How a resource is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseManner {
    /// It is ended, and counts until it is seen to be gone.
    Verified,
    /// It counts as gone at once, whatever is true. An operator's word.
    Forced,
}

/// How much of a resource is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knowledge {
    /// Its mark.
    Mark,
    /// Its mark and its identity.
    Identity,
}

impl Knowledge {
    /// How much that is.
    #[must_use]
    pub fn of(target: &Target) -> Self {
        match target {
            Target::Marked => Self::Mark,
            Target::Process(_) | Target::Tmux(_) => Self::Identity,
        }
    }
}

/// An attempt to release a resource is over, or it was found gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempted {
    /// Whose.
    pub session: SessionNo,
    /// Which.
    pub number: ResourceNo,
    /// What it was known to be when the attempt began.
    pub knew: Knowledge,
    /// What came of it.
    pub attempt: Attempt,
    /// Who says so.
    pub witness: Witness,
}
