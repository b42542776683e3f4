//! A worker: one stream over which a process takes and settles the messages of
//! many sessions.
//!
//! Keeps the deliveries of one session in their order, one at a time, and those
//! of different sessions apart. It survives its connections: handlers run on
//! while the stream is opened again, leases are resumed, and what was not
//! answered is settled again. It decides nothing about the work itself, and
//! leaves no task behind: everything runs inside [`Worker::run`].

mod builder;
mod core;
mod delivery;
mod flight;
mod lanes;
mod ledger;
mod requested;
mod settles;
mod stream;
mod targets;

use std::sync::Arc;
use std::time::Duration;

use sessiond_proto::v1 as pb;

pub use self::builder::{
    STOP_GRACE_DEFAULT, WINDOW_MESSAGES_DEFAULT, WINDOW_MESSAGES_MAX, WorkerBuilder,
};
use self::core::Core;
pub use self::delivery::{Cancellation, Delivery};
use crate::client::Client;
use crate::error::Error;
use crate::link::{LinkObserver, LinkTeller};

/// What a worker does with a message.
///
/// ```
/// use sessiond_client::{Delivery, Handler, Outcome};
///
/// struct Print;
///
/// impl Handler for Print {
///     async fn handle(&self, delivery: Delivery) -> Outcome {
///         println!("{} {:?}", delivery.kind(), delivery.payload());
///         Outcome::ack()
///     }
/// }
/// ```
///
/// A function from [`Delivery`] to a future of [`Outcome`] is a handler too.
pub trait Handler: Send + Sync + 'static {
    /// Works on one delivery. A panic counts as a failure that may be retried.
    /// The future is dropped when the worker stops and the grace is over.
    fn handle(&self, delivery: Delivery) -> impl Future<Output = Outcome> + Send;

    /// Learns what happens to the worker. It is called between two frames, so
    /// it must not block.
    fn observe(&self, event: &WorkerEvent) {
        let _ = event;
    }
}

/// What came of the work on a delivery.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is done.
    Ack {
        /// Model tokens to add to the session.
        usage: Option<pb::Usage>,
    },
    /// It failed and may succeed later: counted as an attempt and as a failure.
    Retry {
        /// What went wrong, for a person.
        error: String,
        /// How long to wait; `None`: the server's pause, by default 1, 2, 4, 8 s by attempt.
        delay: Option<Duration>,
    },
    /// It cannot be done at the moment, but nothing failed: not counted.
    Defer {
        /// Why, for a person.
        error: String,
        /// How long to wait; `None`: the server's pause, by default 30 s.
        delay: Option<Duration>,
    },
    /// It can never succeed: a dead letter at once.
    Permanent {
        /// What went wrong, for a person.
        error: String,
    },
    /// It was given up because the delivery was cancelled: settles nothing. For
    /// a delivery that was not cancelled it means [`Outcome::Retry`].
    Abandoned,
}

/// What happens to a worker.
#[derive(Clone, Debug)]
pub enum WorkerEvent {
    /// The stream is open.
    Connected,
    /// The stream broke and is opened again.
    Disconnected {
        /// Why it broke, or why it could not be opened.
        error: Error,
        /// After how long it is opened again.
        retry_in: Duration,
    },
    /// A session was taken, or kept across a reconnect.
    Attached {
        /// The session as it was then.
        session: Arc<pb::Session>,
        /// Volatile keys of another instance, whose values are gone.
        voided_keys: Vec<String>,
    },
    /// A session that was asked for could not be taken.
    AttachFailed {
        /// The session, as the worker named it.
        session: pb::SessionRef,
        /// Why not.
        error: Error,
        /// After how long it is asked for again; `None`: never.
        retry_in: Option<Duration>,
    },
    /// A session's end is decided; what is in flight may be finished.
    SessionEnding(pb::SessionEnding),
    /// A session is not this worker's any longer.
    LeaseLost(pb::LeaseLost),
    /// The server asks for nothing new on this stream: it is about to stop.
    Quiesced,
    /// A settlement did not count.
    NotSettled(pb::SettleResult),
}

/// A configured worker.
#[derive(Debug)]
pub struct Worker {
    client: Client,
    settings: Settings,
    link: LinkTeller,
}

/// What a worker was configured with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    hello: pb::Hello,
    targets: Vec<pb::SessionRef>,
    window_messages: u32,
    relaxed: RelaxedSessions,
    stop_grace: Duration,
}

/// How the deliveries of a RELAXED session are worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RelaxedSessions {
    OneByOne,
    AtOnce,
}

// === impl Worker ===

impl Worker {
    /// Starts to configure a worker.
    pub fn builder(client: Client) -> WorkerBuilder {
        WorkerBuilder::new(client)
    }

    /// The worker's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.hello.worker
    }

    /// The process of the worker, as the server tells it from others.
    #[must_use]
    pub fn instance_id(&self) -> &str {
        &self.settings.hello.instance_id
    }

    /// An observer of the stream.
    #[must_use]
    pub fn link(&self) -> LinkObserver {
        self.link.observer()
    }

    /// Works until `shutdown` completes, then stops gracefully: takes nothing
    /// new, lets handlers finish within the grace, settles, and gives its leases
    /// back. A server that cannot be reached is tried for ever. It returns by
    /// itself when it only attaches and none of its sessions is left.
    ///
    /// Dropping the future stops everything at once; the leases then lapse.
    ///
    /// # Errors
    ///
    /// Why the worker cannot go on: [`Error::LeaseLost`] when another stream of
    /// the same instance took over, [`Error::Invalid`], [`Error::NotBuilt`],
    /// [`Error::Unauthenticated`] and [`Error::PermissionDenied`] when the
    /// server refuses it, and the last refusal when it could attach to none of
    /// its sessions.
    pub async fn run(
        self,
        handler: impl Handler,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        let core = Core::new(self.client, self.settings, self.link, handler);
        // The state of a worker is large; its future is kept off the stack.
        Box::pin(core.run(shutdown)).await
    }
}

impl<F, W> Handler for F
where
    F: Fn(Delivery) -> W + Send + Sync + 'static,
    W: Future<Output = Outcome> + Send,
{
    fn handle(&self, delivery: Delivery) -> impl Future<Output = Outcome> + Send {
        self(delivery)
    }
}

// === impl Outcome ===

impl Outcome {
    /// The work is done.
    #[must_use]
    pub const fn ack() -> Self {
        Self::Ack { usage: None }
    }

    /// The work failed and may succeed later, after the server's own delay.
    #[must_use]
    pub fn retry(error: impl Into<String>) -> Self {
        Self::Retry {
            error: error.into(),
            delay: None,
        }
    }

    /// The work cannot be done before `delay` is over, but nothing failed.
    #[must_use]
    pub fn defer(error: impl Into<String>, delay: Duration) -> Self {
        Self::Defer {
            error: error.into(),
            delay: Some(delay),
        }
    }

    /// The work can never succeed.
    #[must_use]
    pub fn permanent(error: impl Into<String>) -> Self {
        Self::Permanent {
            error: error.into(),
        }
    }
}
