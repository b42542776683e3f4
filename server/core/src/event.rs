//! Events: durable facts, in one gapless log. Nearly all are about a session.
//!
//! An event is written in the commit of the change it reports and carries the session as it was right
//! after. Only `draft` numbers events, so a revision is never skipped or used twice.

use std::collections::BTreeMap;

use crate::ids::{Namespace, QueueId, Revision, Seq};
use crate::limits::EVENT_BYTES;
use crate::session::SessionView;
use crate::subscription::SubscriptionKey;
use crate::time::{EngineTime, WallTime};

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Its place in the log.
    pub revision: Revision,
    /// What happened.
    pub kind: EventKind,
    /// When, for display.
    pub time: WallTime,
    /// When, for age; 0 in rows of a time that did not note it.
    pub at: EngineTime,
    /// Who caused it.
    pub actor: Actor,
    /// What it is about.
    pub about: About,
    /// The message it is about.
    pub message: Option<MessageRef>,
    /// What else there is to say.
    pub attributes: BTreeMap<String, String>,
    /// How many events of the same decision follow; they are sent in one frame.
    pub siblings_after: u32,
    /// Where it begins in the log, in bytes as [`EventRow::size`] counts them; 0 in rows of a time that did not note it.
    pub offset: u64,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// A session, as it is right after.
    Session(Box<SessionView>),
    /// A subscription.
    Subscription(SubscriptionKey),
    /// The server, which every namespace is told of.
    Server,
}

impl EventRow {
    /// The session that it is about, as it is right after; none if it is not about one.
    #[must_use]
    pub fn session(&self) -> Option<&SessionView> {
        match &self.about {
            About::Session(view) => Some(view),
            About::Subscription(_) | About::Server => None,
        }
    }

    /// Whose it is; none if it is everybody's.
    #[must_use]
    pub fn namespace(&self) -> Option<&Namespace> {
        match &self.about {
            About::Session(view) => Some(&view.session.namespace),
            About::Subscription((namespace, _)) => Some(namespace),
            About::Server => None,
        }
    }

    /// What it weighs in the log, in bytes: what its texts have, and a usual share for everything else of a row. It is
    /// counted when the event is decided, so it depends on the event alone and on no format.
    #[must_use]
    pub fn size(&self) -> u64 {
        let attributes = self.attributes.iter();
        let texts = attributes.map(|(name, value)| name.len() + value.len());
        let message = self.message.as_ref().map_or(0, |of| of.kind.len());
        let bytes = texts.sum::<usize>() + self.actor.name.len() + message;
        let about = match &self.about {
            About::Session(view) => view.size(),
            About::Subscription((namespace, name)) => {
                (namespace.as_str().len() + name.as_str().len()) as u64
            }
            About::Server => 0,
        };
        EVENT_BYTES + bytes as u64 + about
    }
}

/// The attribute of an event that says that something did not go as it should.
pub const WARNING: &str = "warning";

/// The warning of an end whose grace was over before what it waited for.
pub const DRAIN_TIMED_OUT: &str = "drain_timed_out";

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    /// A session began.
    SessionOpened,
    /// Its profile or limits changed.
    SessionUpdated,
    /// It began to end.
    SessionDraining,
    /// It ended; once per session.
    SessionEnd,
    /// Its record was deleted.
    SessionPurged,
    /// A worker took the lease.
    WorkerAttached,
    /// A worker gave the lease back.
    WorkerDetached,
    /// A lease lapsed.
    WorkerLost,
    /// A worker held deliveries, made no progress, and lost the lease.
    WorkerStuck,
    /// The workers of a session failed too often.
    RestartLimited,
    /// Its idle or age limit will end it soon.
    LimitWarning,
    /// A message was given up, or all that a key held at once.
    MessageDeadLettered,
    /// Somebody had dead letters be pending again.
    MessagesRequeued,
    /// Somebody had messages deleted.
    MessagesDiscarded,
    /// A kind of message failed too often and is skipped for a while.
    CircuitOpened,
    /// A kind of message is accepted again.
    CircuitClosed,
    /// A session has to wait for a slot; neighbour of its opening.
    SessionQueued,
    /// A session that waited has its slot.
    SessionAdmitted,
    /// All resources that an ended session had are gone; once per session that had any.
    SessionReleased,
    /// A resource is gone.
    ResourceReleased,
    /// A resource did not go when it was to.
    ResourceLingering,
    /// A subscription fell too far behind, and holds nothing any more.
    SubscriptionStale,
    /// The server is to shut down.
    ServerDraining,
    /// It was to, and stays.
    ServerDrainCancelled,
}

/// Who caused a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Which part of the system.
    pub kind: ActorKind,
    /// Who in particular; empty when nobody said.
    pub name: String,
    /// The event whose handling made somebody do it; none if nothing is known of one.
    pub cause: Option<Cause>,
}

/// That a change was made by whoever handled an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Which event.
    pub event: Revision,
    /// How many changes were made so, one by the event of the other, up to this one: 1 for an event that has no cause itself.
    pub depth: u32,
}

impl Actor {
    /// The same, for what is also due to whoever handled another event: of two causes the deeper one counts, or a loop
    /// through both would not be found.
    pub(crate) fn also_due_to(&self, cause: Option<Cause>) -> Self {
        let causes = [self.cause, cause].into_iter().flatten();
        Self {
            cause: causes.max_by_key(|cause| cause.depth),
            ..self.clone()
        }
    }
}

/// Which part of the system caused a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActorKind {
    /// A caller.
    Api,
    /// A worker.
    Worker,
    /// The reaper.
    Reaper,
    /// Start-up recovery.
    Recovery,
    /// A server drain.
    Drain,
    /// The part that ends processes.
    Agent,
}

impl Actor {
    /// One of a kind that has no other name.
    #[must_use]
    pub fn unnamed(kind: ActorKind) -> Self {
        Self {
            kind,
            name: String::new(),
            cause: None,
        }
    }

    /// The reaper, which has no other name.
    #[must_use]
    pub fn reaper() -> Self {
        Self::unnamed(ActorKind::Reaper)
    }

    /// The part of this server that ends processes, which has no other name.
    #[must_use]
    pub fn agent() -> Self {
        Self::unnamed(ActorKind::Agent)
    }

    /// A worker by name.
    #[must_use]
    pub fn worker(name: &str) -> Self {
        Self {
            kind: ActorKind::Worker,
            name: name.to_owned(),
            cause: None,
        }
    }
}

/// The message an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRef {
    /// Which queue.
    pub queue: QueueId,
    /// Its place there.
    pub seq: Seq,
    /// Its kind.
    pub kind: String,
}
