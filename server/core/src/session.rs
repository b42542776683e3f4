//! Sessions: the rows, the states, and how one ends.
//!
//! A session moves QUEUED → ACTIVE → DRAINING → ENDED, may leave states out, and never goes back; the reason of its
//! end is fixed by the first commit that leaves QUEUED or ACTIVE for it. State changes are written here and in `decide`
//! only. What a session's messages are doing is the queue's business.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::ids::{Epoch, Namespace, PoolName, QueueId, Revision, SessionId, SessionKey, SessionNo};
use crate::lease::LeaseView;
use crate::limits::EVENT_PART_BYTES;
use crate::queue::Depth;
use crate::resource::Unreleased;
use crate::time::{EngineTime, Limit, WallTime};

mod activity;
mod end;

pub use activity::{ActivityRow, Counts, Totals, Usage, Volatile, Warned};
pub use end::{EndClass, EndIntent, EndMode, EndReason, PendingPolicy, SessionEnd};

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
    /// What it has outside, if it ever had anything.
    pub resources: Option<Unreleased>,
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
    /// When it ends CAPACITY unless it has a slot by then; none waits for as long as it takes, which only one does that
    /// had to wait for resources.
    pub until: Option<EngineTime>,
    /// Its turn, lowest first: its own number, or the one whose place it took over.
    pub place: SessionNo,
    /// What it waits for before it takes its turn.
    pub behind: Option<Behind>,
}

/// What a session that is not in use yet waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A slot of its pool.
    Slot,
    /// That nothing of its predecessor is left outside.
    PredecessorResources,
}

/// The session whose resources must be gone before another goes on in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Which.
    pub predecessor: SessionNo,
    /// What becomes of its slot.
    pub slot: PredecessorSlot,
}

/// What becomes of the slot of a session whose successor waits for its resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PredecessorSlot {
    /// It passes to the successor, ahead of all who wait.
    Passes,
    /// It is anybody's; the successor takes its turn.
    Frees,
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

    /// When it ended; none before.
    #[must_use]
    pub fn ended_at(&self) -> Option<EngineTime> {
        match &self.lifecycle {
            Lifecycle::Ended(end) => Some(self.created_at + end.duration),
            Lifecycle::Queued(_) | Lifecycle::Active | Lifecycle::Draining(_) => None,
        }
    }

    /// What it waits for, while it does.
    #[must_use]
    pub fn awaited(&self) -> Awaited {
        match &self.lifecycle {
            Lifecycle::Queued(wait) if wait.behind.is_some() => Awaited::PredecessorResources,
            Lifecycle::Queued(_)
            | Lifecycle::Active
            | Lifecycle::Draining(_)
            | Lifecycle::Ended(_) => Awaited::Slot,
        }
    }

    /// How many of its resources are not released.
    #[must_use]
    pub fn unreleased(&self) -> Unreleased {
        self.resources.unwrap_or_default()
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
    /// What it adds to the size of an event, in bytes: what its texts have, and a usual share for each part that may come
    /// more than once.
    pub(crate) fn size(&self) -> u64 {
        let row = &*self.session;
        let profile = &row.profile;
        let labels = profile.labels.iter();
        let labels = labels
            .map(|(name, value)| name.len() + value.len())
            .sum::<usize>();
        let relatives = [&row.parent, &row.predecessor, &row.successor];
        let relatives = relatives.into_iter().flatten().map(|id| id.as_str().len());
        let end = match &row.lifecycle {
            Lifecycle::Ended(end) => end.detail.len() + end.transcript_path.len(),
            Lifecycle::Draining(intent) => intent.detail.len(),
            Lifecycle::Queued(_) | Lifecycle::Active => 0,
        };
        let lease = self.lease.as_ref();
        let lease = lease.map_or(0, |of| {
            of.worker.as_str().len() + of.instance.as_str().len()
        });
        let bytes = row.id.as_str().len()
            + row.namespace.as_str().len()
            + row.key.as_ref().map_or(0, |key| key.as_str().len())
            + row.pool.as_str().len()
            + profile.project.len()
            + profile.source.len()
            + profile.agent_id.len()
            + profile.transcript_path.len()
            + labels
            + relatives.sum::<usize>()
            + end
            + lease;
        let parts = self.activity.requests.live.len() + self.activity.circuits.iter().count();
        bytes as u64 + EVENT_PART_BYTES * parts as u64
    }

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
