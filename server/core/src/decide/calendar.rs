//! Calendar: which day's resets have been begun, so that each day's are begun once.
//!
//! The day is recorded before the first of its sessions is reset, with the newest session it means; a server that dies in
//! between goes on with those at its next start, and a clock that is set back finds the day recorded. What this deliberately
//! does not do: know zones or times of day, which are the server's, or reset anything, which is a decision of its own for
//! each session.

use crate::draft::{Draft, Stop};
use crate::reply::Reply;
use crate::rows::Calendar;
use crate::time::CalendarDay;

/// Takes notice of the newest day whose time has come.
pub(super) fn day(draft: &mut Draft<'_>, day: Option<CalendarDay>) -> Result<Reply, Stop> {
    let mut counters = draft.counters()?;
    let before = counters.calendar;
    counters.calendar = match (before.day, day) {
        (_, None) => Calendar::default(),
        // A calendar begins with the next day: what it was not there for it has not missed.
        (None, Some(_)) => Calendar {
            day,
            outstanding: None,
        },
        (Some(known), Some(come)) if come > known => Calendar {
            day,
            outstanding: Some(counters.session),
        },
        // More than a day back is no clock that was set back but one that had been wrong: it would have to be waited for.
        (Some(known), Some(come)) if known.0 > come.0 + 1 => Calendar { day, ..before },
        (Some(_), Some(_)) if faulty!(DayTwice) => Calendar {
            day,
            outstanding: Some(counters.session),
        },
        (Some(_), Some(_)) => before,
    };
    if counters.calendar != before {
        draft.put_counters(counters);
    }
    Ok(Reply::Done)
}

/// Nothing of a day is outstanding any more, unless another one has come meanwhile.
pub(super) fn done(draft: &mut Draft<'_>, day: CalendarDay) -> Result<Reply, Stop> {
    let mut counters = draft.counters()?;
    if counters.calendar.day == Some(day) && counters.calendar.outstanding.is_some() {
        counters.calendar.outstanding = None;
        draft.put_counters(counters);
    }
    Ok(Reply::Done)
}
