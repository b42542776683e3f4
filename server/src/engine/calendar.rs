//! When the engine resets sessions by the calendar: the day is recorded, then its sessions are reset, a few in each batch.
//!
//! Which days have come is compared with the wall clock each time the engine looks up, which is once a minute at least, so a
//! clock that is set forward is noticed by then. Sessions are found by the index of those that live; those that were opened
//! since the day came are left alone. A server that dies begins to look for the rest at its next start.

use std::sync::Arc;

use sessiond_core::command::{Carry, Command, NewSessionId, Reset, TimeoutOverrides};
use sessiond_core::event::Actor;
use sessiond_core::ids::{Namespace, PoolName, SessionNo, SessionRef};
use sessiond_core::rows::{Row, RowKey};
use sessiond_core::session::{EndReason, Profile, SessionRow};
use sessiond_core::time::{EngineTime, Now};
use sessiond_store::fault::Fault;
use sessiond_store::store::Store;

use super::inbox::Envelope;
use crate::calendar::{DailyReset, Reached};
use crate::env::Ids;
use crate::limits::CALENDAR_RESETS_PER_BATCH;

/// What the engine knows of the calendar.
#[derive(Debug)]
pub(super) struct Calendar {
    daily: Option<DailyReset>,
    ids: Arc<dyn Ids>,
    /// The day that was found last, and for how long it holds.
    reached: Option<Reached>,
    /// Whether resets of a day may be outstanding, and behind which session to go on.
    sweep: Option<Place>,
}

/// A place among the sessions that live; none is their beginning.
type Place = Option<(Namespace, PoolName, SessionNo)>;

impl Calendar {
    pub(super) fn new(daily: Option<DailyReset>, ids: Arc<dyn Ids>) -> Self {
        Self {
            daily,
            ids,
            reached: None,
            // What an earlier run left outstanding.
            sweep: Some(None),
        }
    }

    /// Says at start that there is no calendar, if so: one that is switched on later has missed nothing.
    pub(super) fn absent(&self) -> Option<Command> {
        self.daily.is_none().then_some(Command::CalendarDay(None))
    }

    /// When to look up next; none if there is nothing to come.
    pub(super) fn next(&self, now: Now) -> Option<EngineTime> {
        self.daily.as_ref()?;
        match (&self.sweep, self.reached) {
            (Some(_), _) | (_, None) => Some(now.engine),
            (None, Some(reached)) => Some(now.engine_of(reached.until)),
        }
    }

    /// Adds what the calendar asks for now.
    pub(super) fn take(
        &mut self,
        store: &Store,
        now: Now,
        envelopes: &mut Vec<Envelope>,
    ) -> Result<(), Fault> {
        let Some(daily) = &self.daily else {
            return Ok(());
        };
        let holds = |reached: &Reached| (reached.since..reached.until).contains(&now.wall);
        if !self.reached.as_ref().is_some_and(holds) {
            let reached = daily.reached(now.wall);
            self.reached = Some(reached);
            if reached.day.is_some() {
                envelopes.push(Envelope::silent(Command::CalendarDay(reached.day)));
                // Once that is on record.
                self.sweep = Some(None);
                return Ok(());
            }
        }
        match self.sweep.take() {
            Some(place) => self.sweep_on(store, place.as_ref(), envelopes),
            None => Ok(()),
        }
    }

    fn sweep_on(
        &mut self,
        store: &Store,
        place: Option<&(Namespace, PoolName, SessionNo)>,
        envelopes: &mut Vec<Envelope>,
    ) -> Result<(), Fault> {
        let rows = store.reader().snapshot()?;
        let calendar = rows.counters()?.calendar;
        let (Some(day), Some(newest)) = (calendar.day, calendar.outstanding) else {
            return Ok(());
        };
        let live = rows.live_behind(place, CALENDAR_RESETS_PER_BATCH)?;
        for (_, _, no) in live.iter().filter(|(_, _, no)| *no <= newest) {
            // One that waits for its slot has nothing to be reset yet, and one that drains is over by itself.
            if let Some(Row::Session(session)) = rows.row(&RowKey::Session(*no))?
                && session.is_active()
            {
                let reset = Command::Reset(Box::new(self.reset(&session)));
                envelopes.push(Envelope::silent(reset));
            }
        }
        match live.into_iter().next_back() {
            // Behind it in its pool are only those that were opened since, such as successors.
            Some((namespace, pool, no)) if no > newest => {
                self.sweep = Some(Some((namespace, pool, SessionNo(u64::MAX))));
            }
            Some(last) => self.sweep = Some(Some(last)),
            None => envelopes.push(Envelope::silent(Command::CalendarDone(day))),
        }
        Ok(())
    }

    /// One that is not in use any more by then is refused, which is as it should be.
    fn reset(&self, session: &SessionRow) -> Reset {
        Reset {
            namespace: session.namespace.clone(),
            session: SessionRef::Id(session.id.clone()),
            reason: EndReason::Scheduled,
            detail: String::new(),
            id: NewSessionId::Drawn(self.ids.session()),
            carry: Carry::Move,
            profile: Profile::default(),
            prompt_number: None,
            timeouts: TimeoutOverrides::default(),
            ordering: None,
            max_in_flight: None,
            parent: None,
            etag: None,
            request: None,
            actor: Actor::reaper(),
        }
    }
}
