//! The calendar of resets: a time of day in a zone, and which of its days have come.
//!
//! Each day has one instant, also where clocks are moved: a time that they skip is as much later as they skip, and of one
//! that comes twice the first counts. The zones are those of the database this program was built with, so that they are
//! the same on every machine. What this deliberately does not do: read a clock, or remember what was done.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sessiond_core::time::{CalendarDay, WallTime};

/// The day that days are counted from.
const FIRST: Date = jiff::civil::date(1970, 1, 1);

/// A time of day, to the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeOfDay(Time);

/// Resets at a time of day, every day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DailyReset {
    /// When.
    pub at: TimeOfDay,
    /// By the clocks of where.
    pub zone: TimeZone,
}

/// A day whose time has come, and until when it is the newest such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The day; none before the first one there is.
    pub day: Option<CalendarDay>,
    /// Since when.
    pub since: WallTime,
    /// When the next one's time comes.
    pub until: WallTime,
}

// === impl TimeOfDay ===

impl FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "is no time of day as HH:MM".to_owned();
        let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
        let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(hours) || !digits(minutes) {
            return Err(wrong());
        }
        let (hours, minutes) = (hours.parse(), minutes.parse());
        let (Ok(hours), Ok(minutes)) = (hours, minutes) else {
            return Err(wrong());
        };
        Time::new(hours, minutes, 0, 0)
            .map(Self)
            .map_err(|_| wrong())
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0.hour(), self.0.minute())
    }
}

// === impl DailyReset ===

impl DailyReset {
    /// The newest day whose time has come at `now`.
    #[must_use]
    pub fn reached(&self, now: WallTime) -> Reached {
        let instant = i64::try_from(now.0).map(Timestamp::from_millisecond);
        let Ok(Ok(instant)) = instant else {
            // Beyond the year 9999 there is nothing to come.
            return Reached {
                day: None,
                since: WallTime(0),
                until: WallTime(u64::MAX),
            };
        };
        let today = self.zone.to_datetime(instant).date();
        // A day's time may be moved into the next day, and the date here is that of the zone: three days hold them all.
        let mut day = today.tomorrow().unwrap_or(today);
        let mut until = self.instant(day);
        while until > now {
            let Ok(before) = day.yesterday() else {
                break;
            };
            let since = self.instant(before);
            if since <= now {
                return Reached {
                    day: number(before),
                    since,
                    until,
                };
            }
            (day, until) = (before, since);
        }
        Reached {
            day: number(day),
            since: until,
            until: WallTime(u64::MAX),
        }
    }

    /// When the time of a day comes, or 1970 when that is before.
    fn instant(&self, day: Date) -> WallTime {
        let civil = day.to_datetime(self.at.0);
        let instant = self.zone.to_ambiguous_timestamp(civil).compatible();
        let since = instant.map_or(SignedDuration::MAX, |instant| {
            instant.duration_since(Timestamp::UNIX_EPOCH)
        });
        WallTime(u64::try_from(since.as_millis()).unwrap_or(0))
    }
}

fn number(day: Date) -> Option<CalendarDay> {
    let since = day.since(FIRST).ok()?.get_days();
    u32::try_from(since).ok().map(CalendarDay)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daily(at: &str, zone: &str) -> DailyReset {
        DailyReset {
            at: at.parse().expect("a time of day"),
            zone: TimeZone::get(zone).expect("a zone"),
        }
    }

    fn wall(instant: &str) -> WallTime {
        let instant: Timestamp = instant.parse().expect("an instant");
        WallTime(u64::try_from(instant.as_millisecond()).expect("after 1970"))
    }

    fn day(date: &str) -> Option<CalendarDay> {
        number(date.parse().expect("a date"))
    }

    /// The day is reached at this instant and not a millisecond before, and the next one at the other.
    fn check(calendar: &DailyReset, date: &str, since: &str, until: &str) {
        let (since, until) = (wall(since), wall(until));
        let reached = Reached {
            day: day(date),
            since,
            until,
        };
        assert_eq!(calendar.reached(since), reached, "{date}");
        assert_eq!(calendar.reached(WallTime(until.0 - 1)), reached, "{date}");
        let before = calendar.reached(WallTime(since.0 - 1));
        assert_eq!(before.until, since, "{date}");
        assert_eq!(
            before.day.map(|day| day.0 + 1),
            reached.day.map(|day| day.0)
        );
        assert_eq!(calendar.reached(until).since, until, "{date}");
    }

    #[test]
    fn days_come_at_their_time_by_the_clocks_of_the_zone() {
        let berlin = daily("04:00", "Europe/Berlin");
        check(
            &berlin,
            "2026-01-15",
            "2026-01-15T03:00:00Z",
            "2026-01-16T03:00:00Z",
        );
        check(
            &berlin,
            "2026-07-15",
            "2026-07-15T02:00:00Z",
            "2026-07-16T02:00:00Z",
        );
        let utc = daily("00:00", "UTC");
        check(
            &utc,
            "2026-01-15",
            "2026-01-15T00:00:00Z",
            "2026-01-16T00:00:00Z",
        );
        let ahead = daily("23:59", "Pacific/Kiritimati");
        check(
            &ahead,
            "2026-01-15",
            "2026-01-15T09:59:00Z",
            "2026-01-16T09:59:00Z",
        );
        let behind = daily("00:01", "Etc/GMT+12");
        check(
            &behind,
            "2026-01-15",
            "2026-01-15T12:01:00Z",
            "2026-01-16T12:01:00Z",
        );
    }

    #[test]
    fn a_time_that_clocks_skip_is_later_and_one_that_comes_twice_is_the_first() {
        // Clocks went from 02:00 to 03:00 on 29 March 2026, and from 03:00 to 02:00 on 25 October.
        let skipped = daily("02:30", "Europe/Berlin");
        check(
            &skipped,
            "2026-03-29",
            "2026-03-29T01:30:00Z",
            "2026-03-30T00:30:00Z",
        );
        check(
            &skipped,
            "2026-10-25",
            "2026-10-25T00:30:00Z",
            "2026-10-26T01:30:00Z",
        );
        // By the clocks these days have 23 and 25 hours.
        let four = daily("04:00", "Europe/Berlin");
        check(
            &four,
            "2026-03-28",
            "2026-03-28T03:00:00Z",
            "2026-03-29T02:00:00Z",
        );
        check(
            &four,
            "2026-10-24",
            "2026-10-24T02:00:00Z",
            "2026-10-25T03:00:00Z",
        );
    }

    #[test]
    fn a_day_that_a_zone_left_out_has_its_time_all_the_same_once() {
        // Samoa went from 29 to 31 December 2011 over the date line.
        let apia = daily("04:00", "Pacific/Apia");
        let mut now = wall("2011-12-28T00:00:00Z");
        let mut seen = Vec::new();
        while now < wall("2012-01-03T00:00:00Z") {
            let reached = apia.reached(now);
            assert!(reached.since <= now && now < reached.until, "{reached:?}");
            seen.extend(reached.day.filter(|day| seen.last() != Some(day)));
            now = WallTime(now.0 + 60_000);
        }
        assert!(seen.is_sorted() && seen.len() >= 5, "{seen:?}");
    }

    #[test]
    fn the_ends_of_time_are_days_without_a_next_one() {
        let utc = daily("04:00", "UTC");
        assert_eq!(utc.reached(WallTime(0)).day, None);
        let late = utc.reached(WallTime(u64::MAX));
        assert_eq!((late.day, late.until), (None, WallTime(u64::MAX)));
    }

    #[test]
    fn times_of_day_are_hours_and_minutes() {
        for good in ["00:00", "04:00", "23:59"] {
            let time: TimeOfDay = good.parse().expect("a time of day");
            assert_eq!(time.to_string(), good);
        }
        for bad in [
            "", "4:00", "24:00", "04:60", "04:00:00", "04", "+4:00", "never", "04:0a",
        ] {
            bad.parse::<TimeOfDay>().expect_err(bad);
        }
    }
}
