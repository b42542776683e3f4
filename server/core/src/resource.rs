//! Resources: what a session has outside of the store, and must not outlive it: processes, tmux sessions.
//!
//! All of a session lie in one row, so a session without any pays nothing for them. Invariant: a resource is on record
//! before it is there, and only what was seen to be gone, or forced by an operator, counts as released; once released it
//! is never in use again. What this deliberately does not do: look at a process or signal one. An identity is what
//! whoever registered it found out and is only handed on, to be compared by the part that may signal.

use std::collections::BTreeMap;
use std::fmt;

use crate::ids::{Epoch, Namespace, NodeName, ResourceName, ResourceNo, SessionNo};
use crate::limits::RESOURCES_PER_SESSION_MAX;
use crate::time::WallTime;

/// What a token begins with, so that people see what it is.
const TOKEN_PREFIX: &str = "rs";

/// The name of a resource, for its caller opaque, and the value that marks its processes.
///
/// It names session and number, so that it is found without an index, and a number drawn at random, so that no other
/// store of the machine gives the same one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResourceToken {
    /// The session it is of.
    pub session: SessionNo,
    /// Its number there.
    pub number: ResourceNo,
    /// Drawn when it was declared.
    pub salt: u64,
}

impl ResourceToken {
    /// The resource that a text names. A text that no token is shown as names a resource that there never was.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let token = || {
            let mut parts = text
                .strip_prefix(TOKEN_PREFIX)?
                .strip_prefix('-')?
                .split('-');
            let token = Self {
                session: SessionNo(parts.next()?.parse().ok()?),
                number: ResourceNo(parts.next()?.parse().ok()?),
                salt: u64::from_str_radix(parts.next()?, 16).ok()?,
            };
            parts.next().is_none().then_some(token)
        };
        // A number may be written in several ways; a token is written in one.
        token()
            .filter(|token| token.to_string() == text)
            .unwrap_or_default()
    }
}

impl fmt::Display for ResourceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            session,
            number,
            salt,
        } = self;
        write!(f, "{TOKEN_PREFIX}-{session}-{number}-{salt:016x}")
    }
}

/// All resources of a session that are on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourcesRow {
    /// Whose.
    pub session: SessionNo,
    /// Where.
    pub namespace: Namespace,
    /// The number of the newest one that was ever declared.
    pub declared: ResourceNo,
    /// In order of their numbers; at most [`RESOURCES_PER_SESSION_MAX`].
    pub list: Vec<Resource>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its number among those of its session.
    pub number: ResourceNo,
    /// See [`ResourceToken`].
    pub salt: u64,
    /// What its caller calls it, if anything.
    pub name: Option<ResourceName>,
    /// What it must not outlive.
    pub scope: Scope,
    /// The machine that it is on; none is the server's own.
    pub node: Option<NodeName>,
    /// What it is, as far as it is known.
    pub target: Target,
    /// Whether it is there.
    pub standing: Standing,
    /// When it was declared.
    pub create_time: WallTime,
}

/// What a resource must not outlive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Its session.
    Session,
    /// A lease of its session.
    Lease(Epoch),
}

/// What a resource is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nothing but what carries its marker: it may not be there yet.
    Marked,
    /// A process and all that descends from it.
    Process(ProcessIdentity),
    /// A tmux session and all that runs in it.
    Tmux(Box<TmuxIdentity>),
}

/// What tells a process from all others that had or will have its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// The kernel's random number of the boot.
    pub boot_id: String,
    /// Its number.
    pub pid: u32,
    /// Clock ticks from boot to its start.
    pub start_ticks: u64,
    /// The inode of its pidfd, where the kernel has one.
    pub inode: Option<u64>,
    /// The user it runs as.
    pub uid: u32,
    /// Its process group when it was registered.
    pub group: u32,
    /// Its session of processes when it was registered.
    pub session: u32,
}

/// What tells a tmux session from all others of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TmuxIdentity {
    /// Where its server was reached.
    pub socket: String,
    /// The process of its server.
    pub server: ProcessIdentity,
    /// The number of tmux's id: 3 for `$3`.
    pub session: u32,
    /// When it was created, in seconds since 1970.
    pub created: u64,
    /// Its name when it was registered.
    pub name: String,
    /// The first processes of its panes when it was registered; at most
    /// [`PANES_MAX`](crate::limits::PANES_MAX).
    pub panes: Vec<ProcessIdentity>,
    /// Whether the server was made for it and ends with it.
    pub private: bool,
}

/// Whether a resource is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is, or may be any moment.
    Held,
    /// It is to go, and was not seen to be gone yet.
    Releasing(Option<Lingering>),
    /// It is gone.
    Released {
        /// How that is known.
        outcome: ReleaseOutcome,
        /// Since when.
        time: WallTime,
    },
}

/// A resource that did not go when it was to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lingering {
    /// Why.
    pub cause: LingeringCause,
    /// In words.
    pub detail: String,
    /// Since when it is known to.
    pub since: WallTime,
}

/// Why a resource did not go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LingeringCause {
    /// It must not be signalled, or cannot be told apart from what must not be.
    Denied,
    /// Some of it is left after everything was tried.
    TimedOut,
    /// The agent of its node is not here.
    NodeAway,
}

/// How it is known that a resource is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReleaseOutcome {
    /// It was ended, and seen to be gone.
    Killed,
    /// There was nothing left of it.
    AlreadyGone,
    /// Something else has its number or its place: it is gone, and that was not touched.
    Mismatch,
    /// It is not: an operator let it go.
    Forced,
}

/// What came of an attempt to release a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It is gone.
    Gone(ReleaseOutcome),
    /// It is not.
    Left {
        /// Why not.
        cause: LingeringCause,
        /// In words.
        detail: String,
    },
}

/// How many resources of a session are not released.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unreleased {
    /// All of them.
    pub count: u32,
    /// Those of them that did not go when they were to.
    pub lingering: u32,
}

/// The word for a cause, in events.
pub(crate) fn cause_name(cause: LingeringCause) -> &'static str {
    match cause {
        LingeringCause::Denied => "denied",
        LingeringCause::TimedOut => "timeout",
        LingeringCause::NodeAway => "node_away",
    }
}

/// The word for an outcome, in events.
pub(crate) fn outcome_name(outcome: ReleaseOutcome) -> &'static str {
    match outcome {
        ReleaseOutcome::Killed => "killed",
        ReleaseOutcome::AlreadyGone => "already_gone",
        ReleaseOutcome::Mismatch => "mismatch",
        ReleaseOutcome::Forced => "forced",
    }
}

impl Resource {
    /// Whether it may still be there.
    #[must_use]
    pub fn is_unreleased(&self) -> bool {
        !matches!(self.standing, Standing::Released { .. })
    }

    /// Whether it is to go.
    #[must_use]
    pub fn is_releasing(&self) -> bool {
        matches!(self.standing, Standing::Releasing(_))
    }

    /// The name by which a caller means it.
    #[must_use]
    pub fn token(&self, session: SessionNo) -> ResourceToken {
        ResourceToken {
            session,
            number: self.number,
            salt: self.salt,
        }
    }
}

impl ResourcesRow {
    /// Of a session that has none.
    #[must_use]
    pub fn new(session: SessionNo, namespace: Namespace) -> Self {
        Self {
            session,
            namespace,
            declared: ResourceNo::default(),
            list: Vec::new(),
        }
    }

    /// The one that a token names.
    #[must_use]
    pub fn get(&self, token: ResourceToken) -> Option<&Resource> {
        let named = |resource: &&Resource| resource.token(self.session) == token;
        self.list.iter().find(named)
    }

    pub(crate) fn get_mut(&mut self, number: ResourceNo) -> Option<&mut Resource> {
        let has_number = |resource: &&mut Resource| resource.number == number;
        self.list.iter_mut().find(has_number)
    }

    /// How many are not released.
    #[must_use]
    pub fn unreleased(&self) -> Unreleased {
        let mut sum = Unreleased::default();
        for resource in self.list.iter().filter(|resource| resource.is_unreleased()) {
            sum.count += 1;
            let lingers = matches!(resource.standing, Standing::Releasing(Some(_)));
            sum.lingering += u32::from(lingers);
        }
        sum
    }

    /// How many are not released, on each of the nodes that has some.
    pub(crate) fn unreleased_by_node(&self) -> BTreeMap<&NodeName, u32> {
        let mut counts = BTreeMap::new();
        for resource in self.list.iter().filter(|one| one.is_unreleased()) {
            if let Some(node) = &resource.node {
                *counts.entry(node).or_default() += 1;
            }
        }
        counts
    }

    /// Makes room for one more: of what was released, the one declared first is forgotten. Answers whether there is room.
    pub(crate) fn make_room(&mut self) -> bool {
        if self.list.len() < RESOURCES_PER_SESSION_MAX {
            return true;
        }
        let released = |resource: &Resource| !resource.is_unreleased();
        let oldest = self.list.iter().position(released);
        if let Some(oldest) = oldest {
            self.list.remove(oldest);
        }
        oldest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_written_in_one_way() {
        let token = ResourceToken {
            session: SessionNo(12),
            number: ResourceNo(3),
            salt: 0xab,
        };
        let text = token.to_string();
        assert_eq!(text, "rs-12-3-00000000000000ab");
        assert_eq!(ResourceToken::parse(&text), token);
        for other in [
            "",
            "rs-12-3",
            "rs-12-3-ab",
            "rs-012-3-00000000000000ab",
            "rs-12-3-00000000000000AB",
            "rs-12-3-00000000000000ab-1",
            "rq-12-3",
        ] {
            assert_eq!(ResourceToken::parse(other), ResourceToken::default());
        }
    }
}
