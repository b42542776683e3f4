//! What follows from one record of the model, found by looking at it.

use std::collections::BTreeMap;

use sessiond_core::session::Ordering;
use sessiond_core::time::Limit;

use super::{Message, Queue, Session, State, Status};

impl Session {
    pub(crate) fn is_active(&self) -> bool {
        matches!(self.state, State::Active)
    }

    /// Uses whose lease is not over.
    pub(crate) fn live_requests(&self, now: u64) -> BTreeMap<u64, (u64, u64)> {
        let mut live = self.requests.clone();
        live.retain(|_, (_, until)| *until > now);
        live
    }

    pub(crate) fn has_owner_limit(&self) -> bool {
        self.timeouts.owner != Limit::Never
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self.state, State::Queued(_) | State::Active)
    }

    /// Since when nothing happened; its wait for a slot does not count.
    pub(crate) fn idle_since(&self) -> u64 {
        self.last_activity.max(self.active_since)
    }

    pub(crate) fn in_flight_max(&self) -> usize {
        match self.ordering {
            Ordering::Serial => 1,
            Ordering::Strict | Ordering::Relaxed => self.max_in_flight as usize,
        }
    }
}

impl Queue {
    /// Messages that are neither settled nor given up.
    pub(crate) fn unsettled(&self) -> u64 {
        let open = self.messages.values().filter(|m| !m.is_dead());
        open.count() as u64
    }

    /// Messages that were given up one by one.
    pub(crate) fn given_up(&self) -> u64 {
        self.messages.values().filter(|m| m.is_dead()).count() as u64
    }

    pub(crate) fn out(&self) -> usize {
        self.messages.values().filter(|m| m.is_out()).count()
    }

    pub(crate) fn ready(&self) -> bool {
        self.messages.values().any(Message::is_ready)
    }

    /// Bytes of what is neither settled nor given up.
    pub(crate) fn bytes(&self) -> u64 {
        let open = self.messages.values().filter(|m| !m.is_dead());
        open.map(|m| m.bytes).sum()
    }

    /// The oldest unsettled message and when it was accepted.
    pub(crate) fn oldest(&self) -> Option<(u64, u64)> {
        self.messages
            .iter()
            .find(|(_, m)| !m.is_dead())
            .map(|(seq, m)| (*seq, m.enqueued_at))
    }
}

impl Message {
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.status, Status::Dead(_))
    }

    pub(crate) fn is_out(&self) -> bool {
        matches!(self.status, Status::Out { .. })
    }

    /// Whether it waits to be handed out, due or not.
    pub(crate) fn is_pending(&self) -> bool {
        !self.is_out() && !self.is_dead()
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.status, Status::New | Status::Returned)
    }
}
