//! What a caller can see of a connection that heals itself.
//!
//! Keeps the latest state only: a reader that looks late sees what holds, not
//! what was. It carries no data.

use tokio::sync::watch;

/// How a stream to the server stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// It is being opened for the first time.
    Connecting,
    /// The server has answered on it.
    Connected,
    /// It broke and is being opened again.
    Reconnecting {
        /// Attempts since it broke, the one in progress or waited for included.
        attempt: u32,
    },
    /// It is over and is not opened again.
    Closed,
}

/// Watches the state of a stream.
#[derive(Clone, Debug)]
pub struct LinkObserver {
    state: watch::Receiver<LinkState>,
}

/// The side that knows.
#[derive(Debug)]
pub(crate) struct LinkTeller {
    state: watch::Sender<LinkState>,
}

// === impl LinkObserver ===

impl LinkObserver {
    /// The state at the moment.
    #[must_use]
    pub fn state(&self) -> LinkState {
        *self.state.borrow()
    }

    /// Waits for a state other than the one this observer saw last, and returns
    /// it. Once the stream is over it returns [`LinkState::Closed`] at once.
    pub async fn changed(&mut self) -> LinkState {
        match self.state.changed().await {
            Ok(()) => *self.state.borrow_and_update(),
            Err(_) => LinkState::Closed,
        }
    }

    /// Waits until the stream is connected, or is over; returns which.
    pub async fn settled(&mut self) -> LinkState {
        let settled = |state: &LinkState| match state {
            LinkState::Connected | LinkState::Closed => true,
            LinkState::Connecting | LinkState::Reconnecting { .. } => false,
        };
        match self.state.wait_for(settled).await {
            Ok(state) => *state,
            Err(_) => LinkState::Closed,
        }
    }
}

// === impl LinkTeller ===

impl LinkTeller {
    pub(crate) fn new() -> Self {
        Self {
            state: watch::Sender::new(LinkState::Connecting),
        }
    }

    pub(crate) fn observer(&self) -> LinkObserver {
        LinkObserver {
            state: self.state.subscribe(),
        }
    }

    pub(crate) fn tell(&self, state: LinkState) {
        self.state.send_if_modified(|told| {
            let changed = *told != state;
            *told = state;
            changed
        });
    }
}

impl Drop for LinkTeller {
    /// Whoever waits for a connection must learn that none will come.
    fn drop(&mut self) {
        self.tell(LinkState::Closed);
    }
}
