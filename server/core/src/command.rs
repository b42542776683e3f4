//! Commands: everything that can be asked of the engine, by callers, timers and recovery alike.
//!
//! A command is valid when it is built: ids are parsed, spans are in bounds, new ids are already
//! drawn. What depends on the state of the store is decided, not validated.

use std::num::NonZeroU32;

use crate::event::Actor;
use crate::ids::{
    DeliveryId, Epoch, InstanceId, MessageKind, Namespace, PoolName, QueueId, RequestId, Seq,
    SessionId, SessionKey, SessionRef, StreamId, WorkerName,
};
use crate::index::Due;
use crate::message::NewMessage;
use crate::presence::{InstanceKey, SessionFilter, Shortage, Window};
use crate::requests::RequestToken;
use crate::session::{EndMode, EndReason, Labels, Ordering, PendingPolicy, Profile, Usage};
use crate::time::{CalendarDay, Limit, Span};

pub mod letters;

/// Everything that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Open a session or find the live one.
    Open(Box<Open>),
    /// Change a session's profile or limits.
    Update(Box<Update>),
    /// Note activity.
    Touch(Touch),
    /// Begin or renew a use of a session.
    BeginRequest(BeginRequest),
    /// End a use of a session.
    EndRequest(EndRequest),
    /// End a session.
    End(End),
    /// End a session in favour of a new one.
    Reset(Box<Reset>),
    /// Forget what failed lately.
    ResetCircuit(ResetCircuit),
    /// Take a session from its worker.
    Revoke(Revoke),
    /// Delete a session that has ended.
    Purge(Purge),
    /// Accept messages.
    Enqueue(Enqueue),
    /// Take or renew a lease and hand out messages.
    Claim(Claim),
    /// Settle deliveries without a stream.
    Settle(Settle),
    /// Bring dead letters back.
    Requeue(letters::Requeue),
    /// Delete messages.
    Discard(letters::Discard),
    /// A frame of a worker's stream, or its end.
    Worker(WorkerCommand),
    /// Give work that has no worker to an instance.
    Assign {
        /// Which instance.
        instance: InstanceKey,
        /// How many of the oldest queues were looked at before.
        skip: usize,
    },
    /// Something in the due index came due.
    Due(Due),
    /// A lease's alarm came.
    Lapse(Epoch),
    /// The time of a calendar's day has come; none says that there is no calendar.
    CalendarDay(Option<CalendarDay>),
    /// All sessions that a calendar's day means were asked to be reset.
    CalendarDone(CalendarDay),
    /// Leases found at start; each gets one full term.
    Restore(Vec<Epoch>),
    /// A pool may have slots for those that wait: its limits changed while the server was down, or more
    /// of them can go on than one decision lets.
    Admit {
        /// Where.
        namespace: Namespace,
        /// Which pool.
        pool: PoolName,
    },
    /// Whether the disk has room for more, as it was seen last: nothing that adds is taken while it is short.
    Room(Option<Shortage>),
    /// How many sessions of each pool do workers hold?
    Attached {
        /// Where.
        namespace: Namespace,
    },
    /// When do these leases lapse?
    LeaseTimes(Vec<Epoch>),
    /// Which sessions does this instance hold?
    HeldBy(InstanceKey),
    /// End a session if one of its limits is passed.
    Reap(Reap),
    /// What holds a session, and what becomes of it?
    Explain(Explain),
    /// Who is here?
    ListWorkers {
        /// Where.
        namespace: Namespace,
    },
}

/// A control mutation's name and what it stood for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestTag {
    /// The caller's name for it.
    pub id: RequestId,
    /// A hash of the request without its id.
    pub body: [u8; 32],
}

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

/// Forget what failed lately in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetCircuit {
    /// Where.
    pub namespace: Namespace,
    /// Which session.
    pub session: SessionRef,
    /// Which of its breakers.
    pub target: ResetTarget,
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

/// One of the breakers of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResetTarget {
    /// The circuit of a kind of message.
    Kind(MessageKind),
    /// The guard that counts failures of its workers: they may have it again.
    RestartGuard,
}

/// Take a session from its worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoke {
    /// Where.
    pub namespace: Namespace,
    /// Which session.
    pub session: SessionRef,
    /// Only if this is its lease; unset takes whichever it has.
    pub epoch: Option<Epoch>,
    /// Its name as a mutation.
    pub request: Option<RequestTag>,
    /// Who asks.
    pub actor: Actor,
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
    /// Who asks.
    pub actor: Actor,
}

/// Accept messages, all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enqueue {
    /// Where.
    pub namespace: Namespace,
    /// For which session.
    pub session: SessionRef,
    /// The messages.
    pub messages: Vec<NewMessage>,
    /// How to open the session if the key has none.
    pub open_if_missing: Option<Box<Open>>,
}

/// Take or renew a lease and hand out messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Where.
    pub namespace: Namespace,
    /// Which session.
    pub session: SessionRef,
    /// Who asks.
    pub worker: WorkerName,
    /// Which run of it.
    pub instance: InstanceId,
    /// How long the lease lasts.
    pub lease: Span,
    /// How many messages at most.
    pub max_messages: NonZeroU32,
}

/// Settle deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    /// Where.
    pub namespace: Namespace,
    /// One by one.
    pub settlements: Vec<Settlement>,
}

/// What became of one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Which queue.
    pub queue: QueueId,
    /// Which message.
    pub seq: Seq,
    /// Which hand-out.
    pub delivery_id: DeliveryId,
    /// Under which lease.
    pub epoch: Epoch,
    /// What became of it.
    pub outcome: Outcome,
}

/// What a worker says of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The work is done.
    Ack {
        /// Tokens it took.
        usage: Usage,
    },
    /// It is not done.
    Nack {
        /// Whether trying again makes sense.
        kind: NackKind,
        /// How long to wait; unset takes the kind's default.
        delay: Option<Span>,
        /// What went wrong.
        error: String,
    },
    /// It needs more time: renews the lease.
    Extend {
        /// From now.
        by: Span,
    },
}

/// Whether trying again makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NackKind {
    /// Yes; the attempt counts.
    Retry,
    /// Yes, later; the attempt does not count.
    Defer,
    /// No.
    Permanent,
}

/// A frame of a worker's stream, or its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerCommand {
    /// Whose.
    pub instance: InstanceKey,
    /// On which stream.
    pub stream: StreamId,
    /// What.
    pub frame: WorkerFrame,
}

/// What a worker's stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerFrame {
    /// It is here.
    Hello(Box<Hello>),
    /// It wants a session.
    Attach {
        /// Which.
        session: SessionRef,
    },
    /// It gives a session back.
    Detach {
        /// Which, by the worker's word.
        session: SessionId,
    },
    /// It has room for this much.
    Window(Window),
    /// It settles deliveries.
    Settle(Vec<Settlement>),
    /// It is getting on with a session.
    Progress {
        /// Which.
        session: SessionId,
        /// Under which lease; unset is the one the stream holds.
        epoch: Option<Epoch>,
        /// Its volatile attributes, all of them; unset leaves them.
        volatile: Option<Labels>,
    },
    /// What became of a cancel.
    CancelResult {
        /// Of which session.
        session: SessionId,
        /// Whether it stopped.
        outcome: CancelOutcome,
    },
    /// It is alive.
    Heartbeat,
    /// It takes nothing new and gives everything back.
    Goodbye,
    /// The stream is gone.
    Closed,
    /// These could not be written to the stream.
    Unsent(Vec<(QueueId, Seq, DeliveryId)>),
}

/// Whether a worker stopped what it was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// It did; what it has not settled may be handed out again.
    Stopped,
    /// It had finished, and has settled everything or is about to.
    Finished,
    /// It could not.
    Failed,
}

/// A worker's first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// What it calls itself.
    pub worker: WorkerName,
    /// Its build.
    pub build_id: String,
    /// Its labels.
    pub labels: Labels,
    /// What it lets in flight.
    pub window: Window,
    /// Which sessions it wants assigned.
    pub serves: Option<SessionFilter>,
    /// What it still holds from an earlier stream.
    pub resume: Vec<Resume>,
}

/// One lease that a worker still holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Which session, by the worker's word.
    pub session: SessionId,
    /// The lease.
    pub epoch: Epoch,
    /// The deliveries it has.
    pub deliveries: Vec<DeliveryId>,
}
