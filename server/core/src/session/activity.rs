//! The warm row of a session: its use, its counts, and what is watched of it.
//!
//! Invariant: it is what changes often, so that the cold row need not. What this deliberately does not do: count what is
//! in the queue.

use super::Labels;
use crate::circuit::Circuits;
use crate::ids::{InstanceId, SessionNo};
use crate::requests::Requests;
use crate::restart_guard::RestartGuard;
use crate::time::{EngineTime, Now, WallTime};

/// Tokens, cumulative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
}

impl Usage {
    /// Both counters grown by `delta`, saturating.
    pub fn add(&mut self, delta: Self) {
        self.input_tokens = self.input_tokens.saturating_add(delta.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(delta.output_tokens);
    }
}

/// What became of the messages of one incarnation, cumulative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Accepted.
    pub enqueued: u64,
    /// Acknowledged.
    pub processed: u64,
    /// Given up, and neither acknowledged late nor requeued nor discarded since.
    pub dead_lettered: u64,
    /// Deleted on request.
    pub discarded: u64,
    /// Replaced by newer ones with the same coalesce key.
    pub superseded: u64,
}

/// Totals with the queue's depth at the same instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Cumulative.
    pub totals: Totals,
    /// Waiting, ready or not yet due.
    pub pending: u64,
    /// Handed out.
    pub in_flight: u64,
}

/// The warm row: what moves with every use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivityRow {
    /// Whose it is.
    pub session: SessionNo,
    /// Last activity, for deadlines.
    pub last_activity: EngineTime,
    /// Last activity, for display.
    pub last_activity_time: WallTime,
    /// Last sign of the owner: open or touch.
    pub owner_seen: EngineTime,
    /// Touches.
    pub touch_count: u64,
    /// Prompts so far.
    pub prompt_number: u32,
    /// Tokens used.
    pub usage: Usage,
    /// Message totals of this incarnation.
    pub totals: Totals,
    /// The kinds of message that failed lately.
    pub circuits: Circuits,
    /// What the worker instance keeps here, void for any other instance.
    pub volatile: Volatile,
    /// Callers' uses of it.
    pub requests: Requests,
    /// How often its workers failed.
    pub restart_guard: RestartGuard,
    /// Which ends were warned of.
    pub warned: Warned,
    /// When its limits are looked at next; once it has ended, when it may be deleted. None is never.
    pub check_at: Option<EngineTime>,
}

/// Attributes bound to one worker instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volatile {
    /// The instance that wrote them.
    pub instance: Option<InstanceId>,
    /// The attributes.
    pub entries: Labels,
}

/// The ends by a limit that were warned of, by the time at which they would come. What moves the end makes it another
/// one, of which nobody was warned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Warned {
    /// An end by idleness.
    pub idle: Option<EngineTime>,
    /// An end by age.
    pub age: Option<EngineTime>,
}

impl ActivityRow {
    /// The row of a session opened at `now`.
    #[must_use]
    pub fn new(session: SessionNo, now: Now) -> Self {
        Self {
            session,
            last_activity: now.engine,
            last_activity_time: now.wall,
            owner_seen: now.engine,
            touch_count: 0,
            prompt_number: 0,
            usage: Usage::default(),
            totals: Totals::default(),
            circuits: Circuits::default(),
            volatile: Volatile::default(),
            requests: Requests::default(),
            restart_guard: RestartGuard::default(),
            warned: Warned::default(),
            check_at: None,
        }
    }

    /// When the first of its requests lapses, or its suspension is over.
    #[must_use]
    pub fn next_timer(&self) -> Option<EngineTime> {
        let lapse = self.requests.next_lapse();
        lapse
            .into_iter()
            .chain(self.restart_guard.suspended_until)
            .min()
    }

    /// Something happened that counts as use.
    pub fn touch(&mut self, now: Now) {
        self.last_activity = now.engine;
        self.last_activity_time = now.wall;
    }
}
