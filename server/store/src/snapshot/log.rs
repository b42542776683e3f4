//! The log of events, as it is on record: where it begins and ends, a page of it, what lies before a time.
//!
//! What this deliberately does not do: keep decisions together; whoever reads pages does.

use std::sync::Arc;

use sessiond_core::event::EventRow;
use sessiond_core::ids::Revision;
use sessiond_core::rows::RowKey;
use sessiond_core::time::EngineTime;

use super::lists::behind;
use super::{Rows, of_kind};
use crate::fault::Fault;

impl Rows {
    /// The log behind a revision, in order.
    pub fn events_after(&self, after: Revision, limit: usize) -> Result<Vec<EventRow>, Fault> {
        let rows = self.rows(&behind(&RowKey::Event(after), limit))?;
        Ok(rows
            .into_iter()
            .map(|row| Arc::unwrap_or_clone(of_kind!(row, Event)))
            .collect())
    }

    /// The revision that the log begins with, which in an empty log is that of the next event, and the newest one.
    pub fn log_bounds(&self) -> Result<(Revision, Revision), Fault> {
        let counters = self.counters()?;
        Ok((counters.compacted.next(), counters.revision))
    }

    /// The newest event before a time, and when it was; none if all are later. Events of which it is not known when they
    /// were are before any.
    pub fn newest_event_before(
        &self,
        limit: EngineTime,
    ) -> Result<Option<(Revision, EngineTime)>, Fault> {
        let found = self.newest_event(|event| event.at < limit)?;
        Ok(found.map(|event| (event.revision, event.at)))
    }

    /// The newest event that begins in the log before a place, in bytes; none if all begin later.
    pub fn newest_event_below(&self, offset: u64) -> Result<Option<Revision>, Fault> {
        let found = self.newest_event(|event| event.offset < offset)?;
        Ok(found.map(|event| event.revision))
    }

    /// The newest event of those that something is true of: of none that is newer than one of which it is not.
    fn newest_event(
        &self,
        is_true: impl Fn(&EventRow) -> bool,
    ) -> Result<Option<Arc<EventRow>>, Fault> {
        let (oldest, newest) = self.log_bounds()?;
        let (mut found, mut end) = (None, newest.next());
        let mut begin = oldest;
        while begin < end {
            let middle = Revision(begin.0 + (end.0 - begin.0) / 2);
            match self.event(middle)? {
                Some(event) if is_true(&event) => {
                    found = Some(event);
                    begin = middle.next();
                }
                // What is gone was compacted since; then this is looked at again.
                Some(_) | None => end = middle,
            }
        }
        Ok(found)
    }

    /// One event; none if it is not written yet, or was deleted.
    pub fn event(&self, revision: Revision) -> Result<Option<Arc<EventRow>>, Fault> {
        let row = self.row(&RowKey::Event(revision))?;
        Ok(row.map(|row| of_kind!(row, Event)))
    }
}
