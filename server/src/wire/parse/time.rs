//! Times, spans and limits. The core counts whole milliseconds; a span is rounded up to one, so that
//! no wait is shorter than asked for, and so is the time before which something must not happen.

use prost_types::{Duration, Timestamp};
use sessiond_core::command::TimeoutOverrides;
use sessiond_core::limits::TIMEOUT_MAX;
use sessiond_core::time::{Limit, Span, WallTime};
use sessiond_proto::v1 as pb;

use crate::wire::faults::Faults;

const NANOS_PER_SECOND: i32 = 1_000_000_000;
const NANOS_PER_MILLI: u64 = 1_000_000;
const MILLIS_PER_SECOND: u64 = 1_000;

/// 9999-12-31T23:59:59Z, the last second of the protobuf calendar.
const LAST_SECOND: i64 = 253_402_300_799;

/// A span of more than zero and at most `max`; unset is none.
pub(crate) fn span(
    faults: &mut Faults,
    field: &str,
    duration: Option<Duration>,
    max: Span,
) -> Option<Span> {
    span_between(faults, field, duration, Span(0), max)
}

/// A span of more than zero, at least `min` and at most `max`; unset is none.
pub(crate) fn span_between(
    faults: &mut Faults,
    field: &str,
    duration: Option<Duration>,
    min: Span,
    max: Span,
) -> Option<Span> {
    match whole_millis(duration?) {
        Ok(span) if span < min => {
            let description = format!("must be at least {}, got {}", shown(min), shown(span));
            faults.invalid(field, description);
            None
        }
        Ok(span) if span > max => {
            let description = format!("must be at most {}, got {}", shown(max), shown(span));
            faults.invalid(field, description);
            None
        }
        Ok(span) => Some(span),
        Err(description) => {
            faults.invalid(field, description);
            None
        }
    }
}

/// A limit: a span of at most [`TIMEOUT_MAX`] or `never`; unset is none.
pub(crate) fn limit(faults: &mut Faults, field: &str, limit: Option<pb::Limit>) -> Option<Limit> {
    faults.within(field, |faults| match limit?.bound {
        Some(pb::limit::Bound::After(after)) => {
            span(faults, "after", Some(after), TIMEOUT_MAX).map(Limit::After)
        }
        Some(pb::limit::Bound::Never(true)) => Some(Limit::Never),
        Some(pb::limit::Bound::Never(false)) => {
            faults.invalid("never", "must be true, or the limit left unset");
            None
        }
        None => {
            faults.invalid("", "must be `after` or `never`");
            None
        }
    })
}

/// The three limits of a session by the names they have in every request.
pub(crate) fn timeouts(
    faults: &mut Faults,
    idle: Option<pb::Limit>,
    lifetime: Option<pb::Limit>,
    owner: Option<pb::Limit>,
) -> TimeoutOverrides {
    TimeoutOverrides {
        idle: limit(faults, "idle_timeout", idle),
        lifetime: limit(faults, "max_lifetime", lifetime),
        owner: limit(faults, "owner_timeout", owner),
    }
}

/// When something happened: kept to the millisecond, rounded down.
pub(crate) fn past(faults: &mut Faults, field: &str, time: Option<Timestamp>) -> Option<WallTime> {
    millis_of(faults, field, time?, 0)
}

/// By when something must be over: kept to the millisecond, rounded down.
pub(crate) fn deadline(
    faults: &mut Faults,
    field: &str,
    time: Option<Timestamp>,
) -> Option<WallTime> {
    millis_of(faults, field, time?, 0)
}

/// Before which something must not happen: kept to the millisecond, rounded up.
pub(crate) fn not_before(
    faults: &mut Faults,
    field: &str,
    time: Option<Timestamp>,
) -> Option<WallTime> {
    millis_of(faults, field, time?, NANOS_PER_MILLI - 1)
}

fn millis_of(faults: &mut Faults, field: &str, time: Timestamp, rounding: u64) -> Option<WallTime> {
    let nanos = u64::try_from(time.nanos)
        .ok()
        .filter(|_| time.nanos < NANOS_PER_SECOND);
    let seconds = u64::try_from(time.seconds)
        .ok()
        .filter(|_| time.seconds <= LAST_SECOND);
    let (Some(seconds), Some(nanos)) = (seconds, nanos) else {
        let description = match nanos {
            None => "must have nanos from 0 to 999,999,999",
            Some(_) => "must be from 1970-01-01 to 9999-12-31",
        };
        faults.invalid(field, description);
        return None;
    };
    let millis = (nanos + rounding) / NANOS_PER_MILLI;
    Some(WallTime(seconds * MILLIS_PER_SECOND + millis))
}

/// A duration in whole milliseconds, rounded up, or what is wrong with it.
fn whole_millis(duration: Duration) -> Result<Span, &'static str> {
    let Duration { seconds, nanos } = duration;
    if nanos <= -NANOS_PER_SECOND || nanos >= NANOS_PER_SECOND {
        return Err("must have nanos under one second");
    }
    if (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0) {
        return Err("must have seconds and nanos of the same sign");
    }
    if seconds < 0 || nanos < 0 || (seconds == 0 && nanos == 0) {
        return Err("must be more than zero");
    }
    let seconds = seconds.unsigned_abs().saturating_mul(MILLIS_PER_SECOND);
    let millis = u64::from(nanos.unsigned_abs()).div_ceil(NANOS_PER_MILLI);
    Ok(Span(seconds.saturating_add(millis)))
}

/// A span as a message says it.
pub(crate) fn shown(span: Span) -> String {
    if span.0.is_multiple_of(MILLIS_PER_SECOND) {
        format!("{} s", span.0 / MILLIS_PER_SECOND)
    } else {
        format!("{} ms", span.0)
    }
}
