//! The feed: how events reach watchers.
//!
//! A ring of recent events is shared by all watchers; each keeps nothing but its cursor. One that
//! falls behind the ring reads the log from the store. A wake-up is only a hint: a watcher that misses
//! one finds the events at the next. So a stuck watcher costs no memory, and none can miss an event.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use sessiond_core::event::EventRow;
use sessiond_core::ids::Revision;
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::Reader;
use tokio::sync::watch;

use crate::limits::{FEED_PAGE_EVENTS, FEED_RING_EVENTS};

/// Recent events and the newest revision.
#[derive(Debug)]
pub struct Feed {
    ring: RwLock<VecDeque<Arc<EventRow>>>,
    newest: watch::Sender<Revision>,
    reader: Reader,
}

impl Feed {
    /// A feed over a store whose newest event is `newest`.
    #[must_use]
    pub fn new(reader: Reader, newest: Revision) -> Self {
        Self {
            ring: RwLock::default(),
            newest: watch::Sender::new(newest),
            reader,
        }
    }

    /// Adds events of a commit that is durable.
    pub fn publish(&self, events: Vec<Arc<EventRow>>) {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        ring.extend(events);
        while ring.len() > FEED_RING_EVENTS {
            ring.pop_front();
        }
    }

    /// Tells watchers that there is something new.
    pub fn wake(&self, newest: Revision) {
        self.newest.send_replace(newest);
    }

    /// The newest event's revision.
    #[must_use]
    pub fn newest(&self) -> Revision {
        *self.newest.borrow()
    }

    /// Learns of new events from now on.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<Revision> {
        self.newest.subscribe()
    }

    /// The oldest event on record; none if there is none.
    ///
    /// # Errors
    /// The store's fault.
    pub fn oldest(&self) -> Result<Option<Revision>, Fault> {
        self.reader.snapshot()?.first_event()
    }

    /// The next events after a revision, whole decisions only.
    ///
    /// # Errors
    /// The store's fault.
    pub fn after(&self, revision: Revision) -> Result<Vec<Arc<EventRow>>, Fault> {
        if let Some(events) = self.in_ring_after(revision) {
            return Ok(events);
        }
        let rows = self.reader.snapshot()?;
        let mut events: Vec<Arc<EventRow>> = rows
            .events_after(revision, FEED_PAGE_EVENTS)?
            .into_iter()
            .map(Arc::new)
            .collect();
        let missing = events.last().map_or(0, |last| last.siblings_after as usize);
        if missing > 0 {
            let last = events.last().map_or(revision, |last| last.revision);
            let rest = rows.events_after(last, missing)?;
            events.extend(rest.into_iter().map(Arc::new));
        }
        Ok(events)
    }

    fn in_ring_after(&self, revision: Revision) -> Option<Vec<Arc<EventRow>>> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        let first = ring.front()?.revision;
        if revision.next() < first {
            return None;
        }
        // The ring is gapless, so a revision is found by its distance from the first.
        let skip = usize::try_from(revision.0 + 1 - first.0).ok()?;
        let mut events: Vec<Arc<EventRow>> = Vec::new();
        for event in ring.iter().skip(skip) {
            events.push(Arc::clone(event));
            if events.len() >= FEED_PAGE_EVENTS && event.siblings_after == 0 {
                break;
            }
        }
        Some(events)
    }
}
