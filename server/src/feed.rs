//! The feed: how events reach watchers.
//!
//! A ring of recent events is shared by all watchers; each keeps nothing but its cursor. One that
//! falls behind the ring reads the log from the store. A wake-up is only a hint: a watcher that misses
//! one finds the events at the next. So a stuck watcher costs no memory, and none can miss an event.
//!
//! What is sent is encoded as seldom as it can be: an event of the ring once, a frame once for all who
//! want everything of one namespace and stand at one place. Both are encoded by the first watcher that
//! needs them, never by whoever publishes. What this deliberately does not do: keep anything for one
//! watcher, or share what was read from the log, where watchers seldom meet.

mod page;
mod shared;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use sessiond_core::event::EventRow;
use sessiond_core::ids::Revision;
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::Reader;
use tokio::sync::watch;

use crate::wire::query::EventQuery;
use crate::wire::show;
use page::{Page, Ring, page_end};
use shared::SharedFrames;

/// Recent events and the newest revision.
#[derive(Debug)]
pub struct Feed {
    ring: RwLock<Ring>,
    frames: SharedFrames,
    newest: watch::Sender<Revision>,
    /// Everything up to here is about to be deleted, or is.
    going: AtomicU64,
    reader: Reader,
    log_id: String,
}

/// What a watcher does next: sends a frame, if anything of it passes its filter, and stands behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The message to send, as it is on the wire; none if no event matches.
    pub(crate) frame: Option<Bytes>,
    /// Everything up to here was looked at.
    pub(crate) through: Revision,
    /// Where the events were read.
    pub(crate) source: Source,
}

/// Where events were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// From memory.
    Ring,
    /// From the store, which takes its time.
    Log,
}

/// Why events could not be read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The store failed.
    Fault(Fault),
    /// They are deleted: the log begins later.
    Compacted {
        /// With this revision.
        oldest: Revision,
        /// And goes up to this one.
        newest: Revision,
    },
}

impl From<Fault> for Unread {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Feed {
    /// A feed over a store whose log is `log_id` and whose newest event is `newest`.
    #[must_use]
    pub fn new(reader: Reader, log_id: String, newest: Revision) -> Self {
        Self {
            ring: RwLock::default(),
            frames: SharedFrames::default(),
            newest: watch::Sender::new(newest),
            going: AtomicU64::new(0),
            reader,
            log_id,
        }
    }

    /// Adds events of a commit that is durable: all of its decisions, whole.
    pub fn publish(&self, events: Vec<Arc<EventRow>>) {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let forgotten = ring.push(events);
        drop(ring);
        // Freed once nobody waits for the ring.
        drop(forgotten);
    }

    /// Tells watchers that there is something new.
    pub fn wake(&self, newest: Revision) {
        self.newest.send_replace(newest);
    }

    /// Tells watchers that events up to here are about to be deleted, so that each can say where it is while that is of use.
    pub(crate) fn announce_compaction(&self, through: Revision) {
        self.going.fetch_max(through.0, Ordering::AcqRel);
        self.newest.send_modify(|_| {});
    }

    /// Up to where events are deleted, or are about to be.
    pub(crate) fn going(&self) -> Revision {
        Revision(self.going.load(Ordering::Acquire))
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

    /// The next step of a watcher that has seen everything up to a revision: a page at most, whole
    /// decisions only. None if there is nothing yet.
    ///
    /// # Errors
    /// [`Unread`].
    pub(crate) fn next(&self, query: &EventQuery, after: Revision) -> Result<Option<Step>, Unread> {
        let (page, source) = self.page(after)?;
        if page.is_empty() {
            return Ok(None);
        }
        let frame = match source {
            Source::Ring if query.is_of_scope() => {
                let scope = query.namespace.as_ref();
                self.frames.of(scope, &page, || self.frame(query, &page))
            }
            Source::Ring | Source::Log => self.frame(query, &page),
        };
        Ok(Some(Step {
            frame,
            through: page.through(),
            source,
        }))
    }

    /// Looks at every event of the next page; answers with where it ends, which is `after` if there is nothing yet.
    ///
    /// # Errors
    /// [`Unread`].
    pub(crate) fn look(
        &self,
        after: Revision,
        mut look: impl FnMut(&EventRow),
    ) -> Result<Revision, Unread> {
        let (page, _) = self.page(after)?;
        for event in page.events() {
            look(event.row());
        }
        Ok(page.through())
    }

    fn page(&self, after: Revision) -> Result<(Page, Source), Unread> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        let in_ring = ring.page(after);
        drop(ring);
        Ok(match in_ring {
            Some(page) => (page, Source::Ring),
            None => (self.in_log(after)?, Source::Log),
        })
    }

    /// What a query lets pass of a page, as one frame.
    fn frame(&self, query: &EventQuery, page: &Page) -> Option<Bytes> {
        let wanted: Vec<&Bytes> = page
            .events()
            .filter(|event| query.matches(event.row()))
            .map(|event| event.encoded(&self.log_id))
            .collect();
        let some = !wanted.is_empty();
        some.then(|| show::encoded::batch(&wanted, &self.log_id, page.through()))
    }

    fn in_log(&self, after: Revision) -> Result<Page, Unread> {
        let rows = self.reader.snapshot()?;
        let (oldest, newest) = rows.log_bounds()?;
        if after.next() < oldest {
            return Err(Unread::Compacted { oldest, newest });
        }
        let limit = usize::try_from(page_end(after).0 - after.0).unwrap_or(usize::MAX);
        let mut events = rows.events_after(after, limit)?;
        if let Some(last) = events.last()
            && last.siblings_after > 0
        {
            events.extend(rows.events_after(last.revision, last.siblings_after as usize)?);
        }
        Ok(Page::of_log(events, after))
    }
}

#[cfg(test)]
mod tests;
