//! Explanations: what holds a session, what becomes of it when, and why its pending work does not move.
//!
//! Values only; `decide::explain` finds them, and nothing here is ever stored. An explanation is true at the instant it
//! was asked for: whatever happens next may change it.

use crate::session::{EndReason, SessionView};
use crate::time::WallTime;

/// All there is to say about a session beside what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The session.
    pub session: SessionView,
    /// When it is as told.
    pub now: WallTime,
    /// What holds it, in the order of the kinds.
    pub holds: Vec<Hold>,
    /// What becomes of it, were nothing to happen, earliest first.
    pub deadlines: Vec<Deadline>,
    /// Why pending messages do not move, in the order in which it must be mended.
    pub stalls: Vec<Stall>,
}

/// Something that holds a session: it works on it, or keeps it from being reaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// What.
    pub kind: HoldKind,
    /// How many of it.
    pub count: u64,
    /// Until when it holds, if that is known.
    pub until: Option<WallTime>,
    /// Who: the worker of a lease, the subscriptions that are waited for; else empty.
    pub holder: String,
}

/// What holds a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HoldKind {
    /// A worker has the lease. It spares the session nothing by itself.
    Lease,
    /// Callers use it. They spare it as messages that are out do.
    Request,
    /// Messages are out. They spare it its idle end, and its age end up to twice that age.
    InFlight,
    /// Messages wait. They spare it as those that are out do, for a day from its last activity.
    Pending,
    /// It has something outside that is not released. That spares it nothing; once it has ended it keeps its slot for it,
    /// and its successor waits.
    Resources,
    /// It has ended, and is deleted only once an export of it is on disk.
    Export,
    /// It has ended, and required subscriptions are waited for, which have not acknowledged all of it.
    Subscription,
}

/// Something that is looked at when its time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// Which.
    pub kind: DeadlineKind,
    /// When it is reached, were nothing to happen until then.
    pub at: WallTime,
    /// What happens.
    pub effect: Effect,
    /// What keeps it from happening as things are.
    pub spared_by: Vec<HoldKind>,
}

/// Which deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlineKind {
    /// The longest time without activity.
    Idle,
    /// The greatest age.
    Lifetime,
    /// The age that nothing excuses.
    HardLifetime,
    /// The longest time without the owner's touch.
    Owner,
    /// The end of a wait for a slot.
    Slot,
    /// The end of what a draining session waits for.
    EndGrace,
    /// The lease, unless its worker is heard of.
    Lease,
    /// The next message that waits for its time.
    Message,
    /// The end of the wait for another session of the key.
    HeldQueue,
    /// The end of a suspension.
    Suspension,
    /// How long an ended session stays on record, once no message of it does.
    Retention,
    /// How long the dead letters of an end are kept.
    DeadLetters,
}

/// What happens at a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The session ends.
    Ends(EndReason),
    /// The lease ends, and what is out returns.
    ReturnsDeliveries,
    /// A message may be handed out.
    HandsOut,
    /// What is held becomes dead letters.
    DeadLetters,
    /// It is deleted for good.
    Deletes,
}

/// Why pending messages do not move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Why.
    pub reason: StallReason,
    /// How many messages it keeps back.
    pub messages: u64,
    /// Until when at most, if that is known.
    pub until: Option<WallTime>,
}

/// Why messages are not handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StallReason {
    /// The session is over; they wait for the next one of its key.
    Held,
    /// The session ends gracefully, and nothing new goes out.
    Draining,
    /// The session's workers failed too often, and nobody gets it for a while.
    Suspended,
    /// The session waits for a slot of its pool.
    Queued,
    /// The session waits until nothing of its predecessor is left outside.
    PredecessorResources,
    /// Workers hold as many sessions of the pool as they may.
    PoolAttached,
    /// Nobody holds the session.
    NoWorker,
    /// The worker's stream is gone, or it was not heard of for a lease's time.
    WorkerAway,
    /// The worker claims without a stream, and has not asked for more.
    NotClaimed,
    /// The worker's window is full.
    WindowFull,
    /// As many of the session are out as may be.
    InFlightFull,
    /// A returned message keeps its place until it is due; the order lets nothing pass.
    Order,
    /// They wait for their own time.
    NotDue,
    /// What is in flight must be settled or stopped first: something interrupts it, or what comes next is collected.
    WorkInProgress,
}
