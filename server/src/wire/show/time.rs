//! Times, spans and limits.

use prost_types::{Duration, Timestamp};
use sessiond_core::time::{Limit, Span, WallTime};
use sessiond_proto::v1 as pb;

const MILLIS_PER_SECOND: u64 = 1_000;
const NANOS_PER_MILLI: i32 = 1_000_000;

/// A wall time.
pub(crate) fn timestamp(time: WallTime) -> Timestamp {
    let (seconds, nanos) = split(time.0);
    Timestamp { seconds, nanos }
}

/// A span.
pub(crate) fn duration(span: Span) -> Duration {
    let (seconds, nanos) = split(span.0);
    Duration { seconds, nanos }
}

/// A limit; always set.
pub(crate) fn limit(limit: Limit) -> pb::Limit {
    let bound = match limit {
        Limit::After(span) => pb::limit::Bound::After(duration(span)),
        Limit::Never => pb::limit::Bound::Never(true),
    };
    pb::Limit { bound: Some(bound) }
}

fn split(millis: u64) -> (i64, i32) {
    let seconds =
        i64::try_from(millis / MILLIS_PER_SECOND).expect("a thousandth of a u64 fits an i64");
    let rest = i32::try_from(millis % MILLIS_PER_SECOND).expect("a rest below 1,000 fits an i32");
    (seconds, rest * NANOS_PER_MILLI)
}
