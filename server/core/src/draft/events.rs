//! How a draft writes events and shows sessions.
//!
//! An event takes the next revision, carries the session as the draft has it by then, and leaves its
//! revision in the session's row. Events of one draft are neighbours in the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Draft, Stop};
use crate::event::{About, Actor, EventKind, EventRow, MessageRef};
use crate::ids::{Epoch, SessionNo};
use crate::lease::LeaseView;
use crate::queue::Depth;
use crate::session::SessionView;

/// What an event says beside its kind.
#[derive(Debug, Default)]
pub(crate) struct Particulars {
    pub(crate) message: Option<MessageRef>,
    pub(crate) attributes: BTreeMap<String, String>,
}

impl Particulars {
    /// One attribute and nothing else.
    pub(crate) fn attribute(name: &str, value: impl Into<String>) -> Self {
        Self {
            message: None,
            attributes: [(name.to_owned(), value.into())].into(),
        }
    }
}

impl Draft<'_> {
    /// Writes an event about a session whose rows are as they should be shown.
    pub(crate) fn event(
        &mut self,
        kind: EventKind,
        actor: Actor,
        session: SessionNo,
        particulars: Particulars,
    ) -> Result<(), Stop> {
        let mut counters = self.counters()?;
        counters.revision = counters.revision.next();
        self.stamp_session(session, counters.revision)?;
        let mut session = self.session_view(session)?;
        // The snapshot in an event has no prompt and nothing volatile: both may be large or private.
        if !session.session.profile.prompt.is_empty() {
            Arc::make_mut(&mut session.session).profile.prompt.clear();
        }
        session.activity.volatile = crate::session::Volatile::default();
        self.put_counters(counters);
        self.append(kind, actor, About::Session(Box::new(session)), particulars)
    }

    /// Writes an event about something else than a session.
    pub(crate) fn event_about(
        &mut self,
        kind: EventKind,
        actor: Actor,
        about: About,
        particulars: Particulars,
    ) -> Result<(), Stop> {
        let mut counters = self.counters()?;
        counters.revision = counters.revision.next();
        self.put_counters(counters);
        self.append(kind, actor, about, particulars)
    }

    /// Adds an event under the newest revision, which was counted for it.
    fn append(
        &mut self,
        kind: EventKind,
        actor: Actor,
        about: About,
        particulars: Particulars,
    ) -> Result<(), Stop> {
        let mut counters = self.counters()?;
        let event = EventRow {
            revision: counters.revision,
            kind,
            time: self.now.wall,
            at: self.now.engine,
            actor,
            about,
            message: particulars.message,
            attributes: particulars.attributes,
            siblings_after: 0,
            offset: counters.log_bytes,
        };
        counters.log_bytes += event.size();
        self.put_counters(counters);
        self.events.push(event);
        Ok(())
    }

    /// Tells each event how many of its decision follow, so that a reader keeps them together.
    pub(crate) fn number_siblings(&mut self) {
        for (after, event) in self.events.iter_mut().rev().enumerate() {
            event.siblings_after = u32::try_from(after)
                .expect("a decision has at most EVENTS_PER_DECISION_MAX events");
        }
    }

    /// The session as readers see it.
    pub(crate) fn session_view(&self, no: SessionNo) -> Result<SessionView, Stop> {
        let session = self.session(no)?;
        let (depth, oldest) = match self.queue_row(session.queue)? {
            Some(queue) => queue.seen_from(no),
            // It went with a successor that was purged.
            None => (Depth::default(), None),
        };
        let lease = match session.lease {
            Some(epoch) => Some(self.lease_view(epoch)?),
            None => None,
        };
        Ok(SessionView {
            activity: self.activity(no)?,
            session,
            depth,
            oldest_pending: oldest.map(|oldest| oldest.time),
            lease,
        })
    }

    /// The lease as readers see it.
    pub(crate) fn lease_view(&self, epoch: Epoch) -> Result<LeaseView, Stop> {
        let row = self.lease_ref(epoch)?;
        let expire = match self.clock_ref(epoch) {
            Some(clock) => self.lapse_at(clock),
            None => self.now.engine + row.duration,
        };
        Ok(LeaseView {
            worker: row.worker.clone(),
            instance: row.instance.clone(),
            epoch,
            acquire_time: row.acquire_time,
            expire_time: self.now.wall_of(expire),
        })
    }
}
