//! Commands of a drain of the server.

use crate::event::ActorKind;
use crate::ids::SessionNo;
use crate::session::{EndMode, EndReason};
use crate::time::Span;

/// A step of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainCommand {
    /// Put on record that every session is to end, or join the drain that is.
    Begin {
        /// Why.
        reason: EndReason,
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
    /// All that it means were asked to end.
    Close,
}
