//! Commands: everything that can be asked of the engine, by callers, timers and recovery alike.
//!
//! A command is valid when it is built: ids are parsed, spans are in bounds, new ids are already
//! drawn. What depends on the state of the store is decided, not validated.

use crate::event::{Actor, Cause};
use crate::ids::{
    Epoch, MessageKind, Namespace, PoolName, RequestId, Revision, SessionNo, SessionRef,
};
use crate::index::Due;
use crate::message::NewMessage;
use crate::presence::{InstanceKey, Shortage};
use crate::time::CalendarDay;

pub mod drain;
pub mod letters;
pub mod node;
pub mod recovery;
pub mod resource;
mod session;
pub mod subscription;
mod work;

pub use session::{
    BeginRequest, Carry, ConflictPolicy, End, EndRequest, Explain, NewSessionId, Open, Purge, Reap,
    Reset, Retire, Thresholds, TimeoutOverrides, Touch, Update,
};
pub use work::{
    CancelOutcome, Claim, Hello, NackKind, Outcome, Resume, Settle, Settlement, WorkerCommand,
    WorkerFrame,
};

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
    /// Delete a session that was on record long enough and is exported.
    Retire(Retire),
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
    /// A session that may not be looked at in time.
    Recheck(SessionNo),
    /// A lease's alarm came.
    Lapse(Epoch),
    /// The time of a calendar's day has come; none says that there is no calendar.
    CalendarDay(Option<CalendarDay>),
    /// All sessions that a calendar's day means were asked to be reset.
    CalendarDone(CalendarDay),
    /// Events up to here need not be kept any longer.
    CompactEvents {
        /// The newest of them.
        through: Revision,
    },
    /// Put something outside on record that must not outlive a session.
    Declare(Box<resource::Declare>),
    /// Say what it turned out to be.
    Register(Box<resource::Register>),
    /// Have it go.
    Release(resource::Release),
    /// It is gone, or did not go.
    Attempted(resource::Attempted),
    /// A frame of the link of a node's agent, or its end.
    Node(node::NodeCommand),
    /// Forget a node that nobody needs.
    ForgetNode(node::ForgetNode),
    /// Something about a subscription.
    Subscription(subscription::SubscriptionCommand),
    /// A step of a drain of the server.
    Drain(drain::DrainCommand),
    /// A step of a start.
    Recovery(recovery::RecoveryCommand),
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
    /// How many sessions do workers hold, and does what they took get on?
    LeaseProgress,
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

/// Whether a command changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It does.
    Made,
    /// It answers what it would do. No record is left of it.
    LeftOut,
}

impl Effect {
    /// Of a call that may say that it is only to be validated.
    #[must_use]
    pub const fn unless(validate_only: bool) -> Self {
        if validate_only {
            Self::LeftOut
        } else {
            Self::Made
        }
    }
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
    /// The event whose handling made the caller do it; each of the messages carries it.
    pub cause: Option<Cause>,
    /// How to open the session if the key has none.
    pub open_if_missing: Option<Box<Open>>,
}
