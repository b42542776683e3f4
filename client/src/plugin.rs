//! A plugin: follows the events of a namespace from a durable place, and misses none.
//!
//! Keeps the place on the server, in a subscription that it makes if it is not
//! there. One event is handled at a time, in order, and acknowledged after its
//! handler has returned, so whatever dies meanwhile it comes again: at least once,
//! never skipped. Of several runs of a plugin one reads and the others stand by.
//! It leaves no task behind: everything runs inside [`Plugin::run`].

mod acks;
mod builder;
mod event;
mod reading;
mod run;
mod state;
mod work;

use std::sync::Arc;
use std::time::Duration;

use sessiond_proto::v1 as pb;

pub use self::builder::{PLUGIN_STOP_GRACE_DEFAULT, PluginBuilder};
pub use self::event::PluginEvent;
use self::run::Core;
use self::state::StateTeller;
pub use self::state::{PluginObserver, PluginState};
use crate::client::Client;
use crate::error::Error;

/// Why a handler could not handle an event.
pub type HandlerError = Box<dyn std::error::Error + Send + Sync>;

/// What a plugin does with an event.
///
/// A function from [`PluginEvent`] to a future of `Result<(), HandlerError>` is a
/// handler too.
pub trait PluginHandler: Send + Sync + 'static {
    /// Handles one event, and returns once that is durable where it must be: after
    /// that it does not come again. It may have been handled before; its
    /// [`PluginEvent::id`] says whether it is the same. An error or a panic has it
    /// come again after a pause, with everything behind it waiting. What its calls
    /// change carries the event as its cause, so that one that feeds itself is
    /// refused: see [`Client::caused_by`].
    fn handle(&self, event: PluginEvent) -> impl Future<Output = Result<(), HandlerError>> + Send;

    /// Learns what happens to the plugin. It is called between two frames, so it
    /// must not block.
    fn observe(&self, notice: &PluginNotice) {
        let _ = notice;
    }
}

/// What happens to a plugin.
#[derive(Clone, Debug)]
pub enum PluginNotice {
    /// It reads: under which epoch, and behind what it acknowledged.
    Reading {
        /// Its fencing token.
        epoch: u64,
        /// Everything up to here is acknowledged.
        acked_revision: u64,
    },
    /// Another consumer reads; this one waits until that is gone.
    StandingBy {
        /// Who reads, when the server said.
        holder: Option<String>,
    },
    /// A handler failed, and is called again.
    Failed {
        /// With which event.
        event: Arc<pb::SessionEvent>,
        /// How often it was called with it.
        attempts: u32,
        /// What it said.
        error: String,
        /// After how long it is called again.
        retry_in: Duration,
    },
    /// The subscription fell too far behind and went on where it was: nothing is
    /// missing.
    CaughtUpLate,
    /// The subscription fell too far behind, and events are gone that were never
    /// handled: take a new snapshot. It goes on with the oldest that is kept.
    Gap {
        /// What was acknowledged.
        acked_revision: u64,
        /// The oldest event that is kept.
        oldest_revision: u64,
    },
}

/// Why a plugin cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// What the server refuses.
    #[error(transparent)]
    Server(#[from] Error),
    /// The handler failed with one event as often as it may. It was not
    /// acknowledged, and comes again with the next run.
    #[error("the handler failed {attempts} times with event {}", event.event_id)]
    Handler {
        /// Which event.
        event: Arc<pb::SessionEvent>,
        /// How often it was called with it.
        attempts: u32,
        /// What it said last.
        source: HandlerError,
    },
    /// The subscription fell too far behind, and events are gone that were never
    /// handled.
    #[error(
        "the subscription fell too far behind: everything up to {acked_revision} was handled, and \
         the oldest event is {oldest_revision}"
    )]
    Gap {
        /// What was acknowledged.
        acked_revision: u64,
        /// The oldest event that is kept.
        oldest_revision: u64,
    },
}

/// A configured plugin.
#[derive(Debug)]
pub struct Plugin {
    client: Client,
    settings: Settings,
    state: StateTeller,
}

/// What a plugin was configured with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    subscription: pb::CreateSubscriptionRequest,
    consumer: String,
    take_over: bool,
    max_attempts: Option<u32>,
    after_gap: AfterGap,
    stop_grace: Duration,
}

/// What to do when events are gone that were never handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterGap {
    End,
    FromOldest,
}

// === impl Client ===

impl Client {
    /// Starts to configure a plugin: the consumer of the subscription of that name.
    pub fn plugin(&self, name: impl Into<String>) -> PluginBuilder {
        PluginBuilder::new(self.clone(), name.into())
    }
}

// === impl Plugin ===

impl Plugin {
    /// The name of its subscription.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.subscription.name
    }

    /// This run of the plugin, as the server tells it from others.
    #[must_use]
    pub fn consumer(&self) -> &str {
        &self.settings.consumer
    }

    /// An observer of how it stands.
    #[must_use]
    pub fn observer(&self) -> PluginObserver {
        self.state.observer()
    }

    /// Makes the subscription if it is not there, and handles its events until
    /// `shutdown` completes; then it lets the handler finish within the grace,
    /// acknowledges, and returns. A server that cannot be reached is tried for
    /// ever, and so is a subscription that another consumer reads for.
    ///
    /// Dropping the future stops everything at once; what was not acknowledged
    /// comes again.
    ///
    /// # Errors
    ///
    /// [`PluginError`]: what the server refuses for good (another subscription of
    /// that name, one that was deleted, a token that is not valid), a handler that
    /// failed too often, a gap.
    pub async fn run(
        self,
        handler: impl PluginHandler,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), PluginError> {
        let core = Core::new(self.client, self.settings, self.state, handler);
        // The state of a plugin is large; its future is kept off the stack.
        Box::pin(core.run(shutdown)).await
    }
}

impl<F, W> PluginHandler for F
where
    F: Fn(PluginEvent) -> W + Send + Sync + 'static,
    W: Future<Output = Result<(), HandlerError>> + Send,
{
    fn handle(&self, event: PluginEvent) -> impl Future<Output = Result<(), HandlerError>> + Send {
        self(event)
    }
}
