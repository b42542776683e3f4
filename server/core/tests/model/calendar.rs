//! The calendar of resets in the reference model, and clocks that say which day it is.
//!
//! Written from the design's rule 29: a day that was missed comes once, and a clock that is set back brings none twice.

use sessiond_core::command::Command;
use sessiond_core::ids::SessionNo;
use sessiond_core::rows::Calendar;
use sessiond_core::time::CalendarDay;

use super::marks::Mark;
use super::state::Model;
use super::world::World;

impl Model {
    pub(crate) fn calendar_day(&mut self, day: Option<CalendarDay>) {
        let newest = SessionNo(self.sessions.len() as u64);
        let Some(come) = day else {
            self.calendar = Calendar::default();
            return;
        };
        match self.calendar.day {
            None => self.calendar.day = day,
            Some(known) if come > known => {
                self.marks.hit(Mark::DayCame);
                self.calendar = Calendar {
                    day,
                    outstanding: Some(newest),
                };
            }
            Some(known) if come.0 + 1 < known.0 => {
                self.marks.hit(Mark::DayFarBack);
                self.calendar.day = day;
            }
            Some(_) => self.marks.hit(Mark::DayCameAgain),
        }
    }

    pub(crate) fn calendar_done(&mut self, day: CalendarDay) {
        if self.calendar.day == Some(day) {
            self.calendar.outstanding = None;
        }
    }
}

impl World {
    /// The server's clock says which day it is, mostly the next one or the same.
    pub(crate) fn calendar(&mut self) {
        let known = self.model.calendar.day.map_or(100, |day| day.0);
        let day = match self.rng.u32(..12) {
            0 => None,
            1 => Some(known.saturating_sub(1)),
            2 => Some(known.saturating_sub(self.rng.u32(2..5))),
            3..6 => Some(known),
            _ => Some(known + self.rng.u32(1..3)),
        };
        let command = Command::CalendarDay(day.map(CalendarDay));
        self.submit(&command).unwrap();
        if self.rng.bool() {
            let done = CalendarDay(known + self.rng.u32(..2));
            self.submit(&Command::CalendarDone(done)).unwrap();
        }
    }
}
