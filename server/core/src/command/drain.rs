//! Commands of a drain of the server.

use crate::drain::DrainSessions;
use crate::event::{Actor, ActorKind};
use crate::ids::{SessionId, SessionNo};
use crate::session::{EndMode, EndReason};
use crate::subscription::SubscriptionKey;
use crate::time::Span;

/// A step of a drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrainCommand {
    /// Put on record that every session is to end, or that the server goes without that; or join the drain that is open.
    Begin {
        /// Why.
        reason: EndReason,
        /// Whether sessions end.
        sessions: DrainSessions,
        /// How long it is only announced, and may be called off; 0 for not at all.
        notice: Span,
    },
    /// The notice is over: from here on it goes through.
    Proceed,
    /// Call it off while it is only announced.
    Cancel {
        /// Who does.
        actor: Actor,
    },
    /// End a session that the open drain means.
    End {
        /// Which.
        session: SessionNo,
        /// What it waits for: nothing, or what is under way.
        mode: EndMode,
        /// How long at most.
        grace: Span,
        /// Who asks: the drain itself, or recovery.
        actor: ActorKind,
    },
    /// All that it means have ended, or were left.
    Close,
    /// It is over.
    Report {
        /// Who says so: the drain itself, or recovery.
        actor: ActorKind,
        /// What it did not get done.
        undone: Undone,
    },
}

/// What a drain did not get done. The next start goes on with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Undone {
    /// Sessions of which something outside is not gone, and how much.
    pub unreleased: Vec<(SessionId, u64)>,
    /// Subscriptions that did not acknowledge ends which it made, and how many.
    pub unheard: Vec<(SubscriptionKey, u64)>,
}
