//! Commands about a session: from its opening and its use to its end, and what is left of it.
//!
//! What this deliberately does not do: say what becomes of them; that is decided, one file a command.

use std::num::NonZeroU32;

use super::RequestTag;
use crate::event::Actor;
use crate::exported::Exported;
use crate::ids::{Namespace, PoolName, SessionId, SessionKey, SessionNo, SessionRef};
use crate::requests::RequestToken;
use crate::session::{EndMode, EndReason, Labels, Ordering, PendingPolicy, Profile, Usage};
use crate::time::{Limit, Span};

/// Open a session or find the live one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Where.
    pub namespace: Namespace,
    /// Under which key.
    pub key: Option<SessionKey>,
    /// Under which id.
    pub id: NewSessionId,
    /// In which pool; unset takes the default one, or the existing session's.
    pub pool: Option<PoolName>,
    /// The caller's words; empty parts keep what an existing session has.
    pub profile: Profile,
    /// The number of the prompt, if the caller counts.
    pub prompt_number: Option<u32>,
    /// Limits; unset takes the policy's.
    pub timeouts: TimeoutOverrides,
    /// What if the key has a live session.
    pub conflict: ConflictPolicy,
    /// How long it would wait for a slot of a full pool; unset takes the pool's policy.
    pub wait: Option<Span>,
    /// Unset takes STRICT.
    pub ordering: Option<Ordering>,
    /// Unset takes the default.
    pub max_in_flight: Option<NonZeroU32>,
    /// The session that starts this one.
    pub parent: Option<SessionId>,
    /// Its name as a mutation.
    pub request: Option<RequestTag>,
    /// Who asks.
    pub actor: Actor,
}

/// The id of a session to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewSessionId {
    /// The caller's own.
    Brought(SessionId),
    /// Drawn by the server for the case that one is created.
    Drawn(SessionId),
}

impl NewSessionId {
    /// The id itself.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        match self {
            Self::Brought(id) | Self::Drawn(id) => id,
        }
    }
}

/// Limits a caller gives; unset keeps or takes the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeoutOverrides {
    /// Longest time without activity.
    pub idle: Option<Limit>,
    /// Longest life.
    pub lifetime: Option<Limit>,
    /// Longest time without the owner's touch.
    pub owner: Option<Limit>,
}

/// What an open does when the key has a live session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConflictPolicy {
    /// Answer with it.
    #[default]
    UseExisting,
    /// End it with REPLACED and move its queue to a new one.
    Replace,
    /// Refuse.
    Fail,
}

/// Change a session's profile or limits. Unset parts stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Where.
    pub namespace: Namespace,
    /// Which.
    pub session: SessionRef,
    /// New project.
    pub project: Option<String>,
    /// New source.
    pub source: Option<String>,
    /// New agent.
    pub agent_id: Option<String>,
    /// New labels, all of them.
    pub labels: Option<Labels>,
    /// New transcript path.
    pub transcript_path: Option<String>,
    /// New prompt.
    pub prompt: Option<String>,
    /// Its number; unset with a new prompt counts one up.
    pub prompt_number: Option<u32>,
    /// New limits.
    pub timeouts: TimeoutOverrides,
    /// New order of hand-outs.
    pub ordering: Option<Ordering>,
    /// New bound of what is in flight.
    pub max_in_flight: Option<NonZeroU32>,
    /// Only if the session still has this etag.
    pub etag: Option<String>,
    /// Its name as a mutation.
    pub request: Option<RequestTag>,
    /// Who asks.
    pub actor: Actor,
}

/// Note activity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    /// Where.
    pub namespace: Namespace,
    /// Which.
    pub session: SessionRef,
    /// Tokens used since the last report.
    pub usage: Usage,
}

/// Begin a use of a session, or renew one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeginRequest {
    /// Where.
    pub namespace: Namespace,
    /// Which session.
    pub session: SessionRef,
    /// How long it lasts; unset takes the default, or what the renewed one had.
    pub lease: Option<Span>,
    /// The one to renew; unset begins a new one.
    pub renews: Option<RequestToken>,
}

/// End a use of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndRequest {
    /// Where.
    pub namespace: Namespace,
    /// Which session.
    pub session: SessionRef,
    /// Which use.
    pub token: RequestToken,
}

/// End a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Where.
    pub namespace: Namespace,
    /// Which.
    pub session: SessionRef,
    /// Why.
    pub reason: EndReason,
    /// The caller's words.
    pub detail: String,
    /// What it waits for.
    pub mode: EndMode,
    /// How long it waits at most; unset takes the mode's default.
    pub grace: Option<Span>,
    /// What becomes of pending messages.
    pub pending: PendingPolicy,
    /// The session that goes on, if the caller knows.
    pub successor: Option<SessionId>,
    /// Its name as a mutation.
    pub request: Option<RequestTag>,
    /// Who asks.
    pub actor: Actor,
}

/// End a session if one of its limits is passed, or a tighter one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reap {
    /// Where.
    pub namespace: Namespace,
    /// Which.
    pub session: SessionId,
    /// Limits that hold where they are tighter than its own.
    pub within: Thresholds,
    /// Who asks.
    pub actor: Actor,
}

/// Limits of a sweep; one that is unset leaves a session its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thresholds {
    /// Longest time without activity.
    pub idle: Option<Span>,
    /// Longest life.
    pub lifetime: Option<Span>,
}

/// Explain a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explain {
    /// Where.
    pub namespace: Namespace,
    /// Which.
    pub session: SessionRef,
}

/// End a session in favour of a new one, which takes its key and its slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// Where.
    pub namespace: Namespace,
    /// Which.
    pub session: SessionRef,
    /// Why; of class ROTATED.
    pub reason: EndReason,
    /// The caller's words.
    pub detail: String,
    /// The id of the successor.
    pub id: NewSessionId,
    /// What becomes of the queue.
    pub carry: Carry,
    /// The caller's words about the successor. An empty prompt and transcript path stay empty, what else is empty is
    /// taken over.
    pub profile: Profile,
    /// The number of the successor's prompt, if the caller counts.
    pub prompt_number: Option<u32>,
    /// The successor's limits; unset ones are taken over.
    pub timeouts: TimeoutOverrides,
    /// Unset is taken over.
    pub ordering: Option<Ordering>,
    /// Unset is taken over.
    pub max_in_flight: Option<NonZeroU32>,
    /// Unset is taken over.
    pub parent: Option<SessionId>,
    /// Only if the session still has this etag.
    pub etag: Option<String>,
    /// Its name as a mutation.
    pub request: Option<RequestTag>,
    /// Who asks.
    pub actor: Actor,
}

/// What becomes of the queue of a session that gives way to a successor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carry {
    /// It goes over, with everything that is pending, in flight or given up.
    #[default]
    Move,
    /// It stays; what is pending are dead letters of the old session.
    Keep,
    /// It stays; what is pending is deleted and counted.
    Discard,
}

/// Delete a session that has ended, with everything that is its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    /// Where.
    pub namespace: Namespace,
    /// Which.
    pub session: SessionId,
    /// What if its messages wait for the next session of its key: KEEP refuses, DISCARD deletes them too.
    pub pending: PendingPolicy,
    /// As what it was exported, if it was.
    pub exported: Option<Box<Exported>>,
    /// Who asks.
    pub actor: Actor,
}

/// Delete a session that was on record long enough, of which an export was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retire {
    /// Which.
    pub session: SessionNo,
    /// As what it was exported.
    pub exported: Box<Exported>,
}
