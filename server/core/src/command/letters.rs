//! Commands about messages that somebody looks after: dead letters brought back, messages thrown away.

use super::{Effect, RequestTag};
use crate::event::Actor;
use crate::ids::{Namespace, QueueId, Seq, SessionRef};
use crate::rows::MessageMark;

/// Bring dead letters back into a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requeue {
    /// Where.
    pub namespace: Namespace,
    /// Which, in this order; at most [`crate::limits::MESSAGES_NAMED_MAX`].
    pub letters: Vec<(QueueId, Seq)>,
    /// Into whose queue; unset takes each letter's own session, if that is live.
    pub into: Option<SessionRef>,
    /// Where the caller goes on after these; a repeat is told the same.
    pub next: Option<MessageMark>,
    /// Whether anything changes.
    pub effect: Effect,
    /// Its name as a mutation.
    pub request: Option<RequestTag>,
    /// Who asks.
    pub actor: Actor,
}

/// Delete messages of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discard {
    /// Where.
    pub namespace: Namespace,
    /// Whose, whatever its state.
    pub session: SessionRef,
    /// Which of its queue; at most [`crate::limits::MESSAGES_NAMED_MAX`].
    pub seqs: Vec<Seq>,
    /// Where the caller goes on after these; a repeat is told the same.
    pub next: Option<MessageMark>,
    /// Whether anything changes.
    pub effect: Effect,
    /// Its name as a mutation.
    pub request: Option<RequestTag>,
    /// Who asks.
    pub actor: Actor,
}
