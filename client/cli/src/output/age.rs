//! Times as a person reads them in a table: how long ago, or how long until.
//!
//! Invariant: at most six characters, the same for the same distance. What this deliberately does
//! not do: know any calendar; JSON has the exact time.

use std::time::Duration;

use jiff::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How long ago a time was: `-` when unset, `0s` when it is yet to come, as it can be when two
/// clocks differ.
pub(crate) fn ago(time: Option<prost_types::Timestamp>, now: Timestamp) -> String {
    time.map_or_else(none, |time| span(seconds_between(time, now)))
}

/// How long until a time: `-` when unset, `0s` when it is over.
pub(crate) fn until(time: Option<prost_types::Timestamp>, now: Timestamp) -> String {
    time.map_or_else(none, |time| span(-seconds_between(time, now)))
}

/// A length of time.
fn length(duration: Duration) -> String {
    span(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX))
}

/// A length of time as the wire has it: empty when unset.
pub(crate) fn wire_length(duration: Option<prost_types::Duration>) -> String {
    let duration = duration.and_then(|duration| duration.try_into().ok());
    duration.map(length).unwrap_or_default()
}

fn none() -> String {
    "-".to_owned()
}

fn seconds_between(time: prost_types::Timestamp, now: Timestamp) -> i64 {
    now.as_second().saturating_sub(time.seconds)
}

/// The one or two largest units.
fn span(seconds: i64) -> String {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    match seconds {
        0..MINUTE => format!("{seconds}s"),
        MINUTE..HOUR => pair(seconds, MINUTE, 'm', 1, 's', 10),
        HOUR..DAY => pair(seconds, HOUR, 'h', MINUTE, 'm', 10),
        _ => pair(seconds, DAY, 'd', HOUR, 'h', 10),
    }
}

/// The smaller unit is left out once the larger one has two digits.
fn pair(seconds: u64, large: u64, name: char, small: u64, small_name: char, bound: u64) -> String {
    let (many, rest) = (seconds / large, seconds % large / small);
    if many >= bound || rest == 0 {
        format!("{many}{name}")
    } else {
        format!("{many}{name}{rest}{small_name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_one_or_two_units() {
        for (seconds, text) in [
            (-5, "0s"),
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (61, "1m1s"),
            (599, "9m59s"),
            (600, "10m"),
            (3_599, "59m"),
            (3_600, "1h"),
            (5_400, "1h30m"),
            (36_000, "10h"),
            (86_399, "23h"),
            (86_400, "1d"),
            (90_000, "1d1h"),
            (864_000, "10d"),
        ] {
            assert_eq!(span(seconds), text, "{seconds}");
        }
        assert!(span(i64::MAX).ends_with('d'));
    }

    #[test]
    fn times_are_relative_to_now() {
        let now = Timestamp::from_second(1_000).expect("a time");
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        assert_eq!(ago(at(970), now), "30s");
        assert_eq!(ago(at(1_030), now), "0s");
        assert_eq!(until(at(1_030), now), "30s");
        assert_eq!(until(at(970), now), "0s");
        assert_eq!((ago(None, now), until(None, now)), (none(), none()));
        assert_eq!(ago(at(i64::MIN), now), span(i64::MAX));
    }
}
