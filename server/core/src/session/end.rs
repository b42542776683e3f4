//! How a session ends: why, in which manner, and what is on record of it then.
//!
//! Invariant: the reason is fixed by the first commit that leaves QUEUED or ACTIVE. What this deliberately does not do:
//! end anything; see `decide/finish.rs`.

use super::{Counts, Usage};
use crate::event::Actor;
use crate::ids::SessionId;
use crate::time::{EngineTime, Span, WallTime};

/// Why, how and until when a session is ending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndIntent {
    /// The reason, fixed.
    pub reason: EndReason,
    /// The caller's words.
    pub detail: String,
    /// Who asked first.
    pub actor: Actor,
    /// What it waits for; only ever shortened.
    pub mode: EndMode,
    /// When it ends whatever is still open.
    pub deadline: EngineTime,
    /// What becomes of what is pending.
    pub pending: PendingPolicy,
    /// When it was asked for.
    pub create_time: WallTime,
}

/// What an end waits for, from the longest to the shortest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndMode {
    /// Nothing.
    Immediate,
    /// What is in flight; nothing new is handed out.
    Graceful,
    /// Everything that is pending; it goes on being handed out.
    AfterPending,
}

/// What becomes of pending messages at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PendingPolicy {
    /// They are held for the next incarnation or become dead letters.
    #[default]
    Keep,
    /// They are deleted and counted.
    Discard,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndReason {
    /// The conversation is over.
    Completed,
    /// It failed.
    Failed,
    /// Somebody deleted it.
    Deleted,
    /// An operator ended it.
    Admin,
    /// The key starts afresh.
    Reset,
    /// The key goes on under a new id.
    Replaced,
    /// The context was compacted into a new session.
    Compacted,
    /// The calendar asked for a new session.
    Scheduled,
    /// The server stops.
    Shutdown,
    /// The server restarts as announced.
    Restart,
    /// Nothing happened for too long.
    Idle,
    /// It reached its age limit.
    Expired,
    /// Another session needed its slot.
    Evicted,
    /// It waited for a slot in vain.
    Capacity,
    /// Its owner stopped touching it.
    OwnerLost,
    /// Its worker made no progress.
    WorkerStuck,
    /// Its worker was restarted too often.
    RestartLimit,
    /// The server or its owner crashed.
    Crashed,
}

/// What a reason means for the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndClass {
    /// Over.
    Over,
    /// Goes on under another id.
    Rotated,
    /// The server went down; it may resume.
    Interrupted,
    /// A limit ended it.
    Reaped,
    /// Whoever was responsible is gone.
    Lost,
}

impl EndReason {
    /// The class a listener branches on.
    #[must_use]
    pub fn class(self) -> EndClass {
        match self {
            Self::Completed | Self::Failed | Self::Deleted | Self::Admin => EndClass::Over,
            Self::Reset | Self::Replaced | Self::Compacted | Self::Scheduled => EndClass::Rotated,
            Self::Shutdown | Self::Restart => EndClass::Interrupted,
            Self::Idle | Self::Expired | Self::Evicted | Self::Capacity => EndClass::Reaped,
            Self::OwnerLost | Self::WorkerStuck | Self::RestartLimit | Self::Crashed => {
                EndClass::Lost
            }
        }
    }

    /// Whether a caller may give it; the others are the server's own findings.
    #[must_use]
    pub fn callers_may_give(self) -> bool {
        match self {
            Self::Evicted
            | Self::Capacity
            | Self::Expired
            | Self::WorkerStuck
            | Self::RestartLimit
            | Self::OwnerLost
            | Self::Admin => false,
            Self::Completed
            | Self::Failed
            | Self::Deleted
            | Self::Reset
            | Self::Replaced
            | Self::Compacted
            | Self::Scheduled
            | Self::Shutdown
            | Self::Restart
            | Self::Idle
            | Self::Crashed => true,
        }
    }
}

/// The record of an end: what `session_end` tells, exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    /// Why.
    pub reason: EndReason,
    /// The caller's words.
    pub detail: String,
    /// Who asked.
    pub actor: Actor,
    /// When the session was opened.
    pub create_time: WallTime,
    /// When it ended.
    pub end_time: WallTime,
    /// Its life in live server time.
    pub duration: Span,
    /// Its counts at the end.
    pub counts: Counts,
    /// Tokens used.
    pub usage: Usage,
    /// Pending messages that stay in the queue.
    pub pending_kept: u64,
    /// Pending messages that were discarded.
    pub pending_discarded: u64,
    /// The incarnation that goes on, when known.
    pub successor: Option<SessionId>,
    /// Where its transcript lies.
    pub transcript_path: String,
}
