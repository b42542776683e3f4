//! The log of events, as it is on record: where it begins and ends, a page of it, what lies before a time.
//!
//! What this deliberately does not do: keep decisions together; whoever reads pages does.

use std::sync::Arc;

use sessiond_core::event::EventRow;
use sessiond_core::ids::Revision;
use sessiond_core::rows::{Row, RowKey};
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
        let (oldest, newest) = self.log_bounds()?;
        let (mut older, mut end) = (None, newest.next());
        let mut begin = oldest;
        while begin < end {
            let middle = Revision(begin.0 + (end.0 - begin.0) / 2);
            match self.event_time(middle)? {
                Some(at) if at < limit => {
                    older = Some((middle, at));
                    begin = middle.next();
                }
                // What is gone was compacted since; then this is looked at again.
                Some(_) | None => end = middle,
            }
        }
        Ok(older)
    }

    fn event_time(&self, revision: Revision) -> Result<Option<EngineTime>, Fault> {
        let row = self.row(&RowKey::Event(revision))?;
        Ok(match row {
            Some(Row::Event(event)) => Some(event.at),
            Some(_) | None => None,
        })
    }
}
