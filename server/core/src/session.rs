//! Sessions: the rows, the states, and how one ends.
//!
//! A session moves QUEUED → ACTIVE → DRAINING → ENDED, may leave states out, and never goes back; the
//! reason of its end is fixed by the first commit that leaves QUEUED or ACTIVE for it. State changes are written here and in `decide` only. What a
//! session's messages are doing is the queue's business.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::circuit::Circuits;
use crate::event::Actor;
use crate::ids::{
    Epoch, InstanceId, Namespace, PoolName, QueueId, Revision, SessionId, SessionKey, SessionNo,
};
use crate::lease::LeaseView;
use crate::queue::Depth;
use crate::requests::Requests;
use crate::restart_guard::RestartGuard;
use crate::time::{EngineTime, Limit, Now, Span, WallTime};

/// Labels, attributes: small maps with an order of their own.
pub type Labels = BTreeMap<String, String>;

/// The cold row: identity, configuration, state. Written by open, update and end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Internal number.
    pub no: SessionNo,
    /// External id.
    pub id: SessionId,
    /// Isolation boundary.
    pub namespace: Namespace,
    /// Stable name of the conversation, if it has one.
    pub key: Option<SessionKey>,
    /// Limit set it counts in.
    pub pool: PoolName,
    /// The queue opened with it or adopted by it.
    pub queue: QueueId,
    /// Where it is in its life.
    pub lifecycle: Lifecycle,
    /// What its callers say about it.
    pub profile: Profile,
    /// Its limits, resolved.
    pub timeouts: Timeouts,
    /// How its messages are handed out.
    pub ordering: Ordering,
    /// How many of its messages may be in flight.
    pub max_in_flight: NonZeroU32,
    /// The session that started this one, by the caller's word.
    pub parent: Option<SessionId>,
    /// The incarnation of the key before this one.
    pub predecessor: Option<SessionId>,
    /// The incarnation that goes on, when known.
    pub successor: Option<SessionId>,
    /// When it was opened, for display.
    pub create_time: WallTime,
    /// When it was opened, for deadlines.
    pub created_at: EngineTime,
    /// When it got its slot: at once, or after its wait. Its age and its idle time count from here.
    pub active_since: EngineTime,
    /// Where it stands in the order of idleness of its pool: at its last activity, or at an earlier one.
    /// Use does not move it; whoever meets it there does.
    pub ranked_at: EngineTime,
    /// The current lease, if a worker holds it.
    pub lease: Option<Epoch>,
    /// The newest event about it.
    pub revision: Revision,
}

/// What callers may say about a session and change later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Which project it belongs to; empty when unknown.
    pub project: String,
    /// Which kind of client opened it; empty when unknown.
    pub source: String,
    /// Which agent runs it; empty for the main one.
    pub agent_id: String,
    /// Free labels.
    pub labels: Labels,
    /// The newest prompt.
    pub prompt: String,
    /// Where its transcript lies.
    pub transcript_path: String,
}

/// The resolved limits of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Longest time without activity.
    pub idle: Limit,
    /// Longest life.
    pub lifetime: Limit,
    /// Longest time without its owner's touch.
    pub owner: Limit,
}

/// In which order the messages of a queue are handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ordering {
    /// By seq; nothing passes a returned message.
    #[default]
    Strict,
    /// Strict with one in flight.
    Serial,
    /// A returned message lets others pass until it is due.
    Relaxed,
}

/// The states, with what only that state has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// Waits for a slot of its pool.
    Queued(Wait),
    /// In use.
    Active,
    /// Ending: waits for what its mode waits for.
    Draining(EndIntent),
    /// Over, for good.
    Ended(Box<SessionEnd>),
}

/// A session's place in the line for a slot of its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// When it ends CAPACITY unless it has a slot by then.
    pub until: EngineTime,
    /// Its turn, lowest first: its own number, or the one whose place it took over.
    pub place: SessionNo,
}

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
    /// When its limits are looked at next; none once it has ended.
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

impl SessionRow {
    /// Whether it is in use: it has its slot, and no end was decided.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self.lifecycle, Lifecycle::Active)
    }

    /// Whether it holds its key: it is in use or waits for its slot.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.lifecycle, Lifecycle::Queued(_) | Lifecycle::Active)
    }

    /// Since when it has been idle, were nothing to happen: the clock stands while it waits for its slot.
    #[must_use]
    pub fn idle_since(&self, activity: &ActivityRow) -> EngineTime {
        activity.last_activity.max(self.active_since)
    }

    /// Whether its end is on record.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.lifecycle, Lifecycle::Ended(_))
    }

    /// What changes whenever an event about it is written; a caller may make an update depend on it.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("{:x}", self.revision.0)
    }

    /// How many of its messages may be in flight.
    #[must_use]
    pub fn in_flight_max(&self) -> u32 {
        match self.ordering {
            Ordering::Serial => 1,
            Ordering::Strict | Ordering::Relaxed => self.max_in_flight.get(),
        }
    }

    /// The first instants at which its limits are passed, were nothing to happen.
    pub(crate) fn limits_passed_at(
        &self,
        activity: &ActivityRow,
    ) -> impl Iterator<Item = EngineTime> + use<> {
        let limits = [
            self.timeouts.idle.passed_at(self.idle_since(activity)),
            self.timeouts.lifetime.passed_at(self.active_since),
            self.timeouts.owner.passed_at(activity.owner_seen),
        ];
        limits.into_iter().flatten()
    }
}

/// A session as readers see it: its rows at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// The cold row.
    pub session: Arc<SessionRow>,
    /// The warm row.
    pub activity: ActivityRow,
    /// The queue's depth, if the session still owns its queue.
    pub depth: Depth,
    /// When the oldest of these messages was accepted.
    pub oldest_pending: Option<WallTime>,
    /// The current lease.
    pub lease: Option<LeaseView>,
}

impl SessionView {
    /// The counts to show: live ones, or those the end recorded.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            totals: self.activity.totals,
            pending: self.depth.ready + self.depth.waiting,
            in_flight: self.depth.in_flight,
        }
    }
}
