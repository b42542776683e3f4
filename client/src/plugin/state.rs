//! How a plugin stands, for whoever looks.
//!
//! Keeps the latest state only: a reader that looks late sees what holds, not what
//! was.

use tokio::sync::watch;
use tokio::time::Instant;

/// How a plugin stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginState {
    /// It has not reached the server yet.
    Connecting,
    /// It reads, and has handled nearly everything there is.
    Connected,
    /// It reads, and this many committed events of the log were not looked at when
    /// the server said so last.
    Lagging {
        /// How many.
        events: u64,
    },
    /// It reads, and the server is going.
    Draining {
        /// When the server has gone, at the latest.
        until: Instant,
    },
    /// The connection broke and is being made again.
    Reconnecting,
    /// Another consumer has the subscription: it was fenced, or came later.
    Fenced {
        /// Who reads, when the server said.
        holder: Option<String>,
    },
    /// It is over.
    Closed,
}

/// Watches how a plugin stands.
#[derive(Clone, Debug)]
pub struct PluginObserver {
    state: watch::Receiver<PluginState>,
}

/// The side that knows.
#[derive(Debug)]
pub(crate) struct StateTeller {
    state: watch::Sender<PluginState>,
}

// === impl PluginObserver ===

impl PluginObserver {
    /// The state at the moment.
    #[must_use]
    pub fn state(&self) -> PluginState {
        self.state.borrow().clone()
    }

    /// Waits for a state other than the one this observer saw last, and returns
    /// it. Once the plugin is over it returns [`PluginState::Closed`] at once.
    pub async fn changed(&mut self) -> PluginState {
        match self.state.changed().await {
            Ok(()) => self.state.borrow_and_update().clone(),
            Err(_) => PluginState::Closed,
        }
    }

    /// Waits for a state that is meant, or until the plugin is over.
    pub async fn wait_for(&mut self, meant: impl Fn(&PluginState) -> bool) -> PluginState {
        let wanted = |state: &PluginState| meant(state) || *state == PluginState::Closed;
        match self.state.wait_for(wanted).await {
            Ok(state) => state.clone(),
            Err(_) => PluginState::Closed,
        }
    }
}

// === impl StateTeller ===

impl StateTeller {
    pub(super) fn new() -> Self {
        Self {
            state: watch::Sender::new(PluginState::Connecting),
        }
    }

    pub(super) fn observer(&self) -> PluginObserver {
        PluginObserver {
            state: self.state.subscribe(),
        }
    }

    pub(super) fn tell(&self, state: PluginState) {
        self.state.send_if_modified(|told| {
            let changed = *told != state;
            *told = state;
            changed
        });
    }

    /// It reads: with how much before it, unless the server is going.
    pub(super) fn reads(&self, lag_events: u64) {
        // Nobody else tells anything between the look and the word.
        if matches!(*self.state.borrow(), PluginState::Draining { .. }) {
            return;
        }
        self.tell(match lag_events {
            0 => PluginState::Connected,
            events => PluginState::Lagging { events },
        });
    }
}

impl Drop for StateTeller {
    /// Whoever waits must learn that nothing more comes.
    fn drop(&mut self) {
        self.tell(PluginState::Closed);
    }
}
