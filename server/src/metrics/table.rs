//! Every metric: what it is called, what it says, and which part of a sample that is.
//!
//! Names are without their prefix, and without what the format puts behind those of counters and of what has a unit. Invariant:
//! a name is here once. What this deliberately does not do: write them down; `metrics` does, and `reference` for people.

use sessiond_core::drain::DrainRow;
use sessiond_core::time::WallTime;
use sessiond_proto::v1 as pb;

use super::metric::Measured::{Bytes, Number, Seconds};
use super::metric::{Metric, Point, counter, gauge, histogram};
use super::sample::Sample;

/// All of them.
pub(super) const METRICS: &[Metric] = &[
    gauge("build_info", Number, "1; the version is its label", |_| {
        vec![point(
            ["version"],
            [env!("CARGO_PKG_VERSION").to_owned()],
            1.0,
        )]
    }),
    gauge(
        "start_time",
        Seconds,
        "When the server started, since 1970",
        |sample| one(seconds_of(sample.start_time)),
    ),
    gauge(
        "sessions",
        Number,
        "Sessions on record, by their state",
        |sample| {
            let sessions = sample.stats.sessions.unwrap_or_default();
            by_state([
                ("queued", sessions.queued),
                ("active", sessions.active),
                ("draining", sessions.draining),
                ("ended", sessions.ended),
            ])
        },
    ),
    counter(
        "sessions_created",
        "Sessions opened since the server started",
        |sample| one(cleanup(sample).sessions_created),
    ),
    counter(
        "sessions_cleaned",
        "Sessions that ended since the server started because a limit was passed or whoever was responsible is gone",
        |sample| one(cleanup(sample).sessions_cleaned),
    ),
    counter(
        "cleanup_runs",
        "Times that something was due and was looked at",
        |sample| one(cleanup(sample).runs),
    ),
    counter(
        "cleanup_errors",
        "Looks at what was due that were refused; each is a line of the log, and a defect",
        |sample| one(cleanup(sample).errors),
    ),
    counter(
        "cleanup_repairs",
        "Deadlines and leases on record that nobody watched and that were put right; each is a line of the log",
        |sample| one(cleanup(sample).repairs),
    ),
    gauge(
        "messages",
        Number,
        "Unsettled messages on record, by their state",
        |sample| {
            let messages = sample.stats.messages.unwrap_or_default();
            by_state([
                ("pending", messages.pending),
                ("in_flight", messages.in_flight),
                ("dead_lettered", messages.dead_lettered),
            ])
        },
    ),
    counter(
        "messages_acked",
        "Messages acked since the server started",
        |sample| one(work(sample).acked),
    ),
    gauge(
        "oldest_unserved_age",
        Seconds,
        "How long the oldest message waits of those sessions that have one to be handed out and no worker; 0 if there is none",
        |sample| one(age(work(sample).oldest_unserved_time, sample.now)),
    ),
    gauge(
        "workers",
        Number,
        "Workers that have a stream open",
        |sample| one(f64::from(sample.stats.workers_connected)),
    ),
    gauge(
        "leases",
        Number,
        "Sessions that a worker holds: all of them, those with messages in flight, and those of them where nothing \
         moved for 60 s; left out while the engine does not say",
        |sample| {
            let work = work(sample);
            let counts = [
                ("held", work.leases),
                ("working", work.leases_working),
                ("stalled", work.leases_stalled),
            ];
            let known = counts.into_iter();
            known
                .filter_map(|(state, count)| {
                    Some(point(["state"], [state.to_owned()], number(count?)))
                })
                .collect()
        },
    ),
    gauge(
        "oldest_progress_age",
        Seconds,
        "How long nothing has moved under the working lease that is silent for longest; 0 if there is none; left out while \
         the engine does not say",
        |sample| {
            let work = work(sample);
            // What says that there are leases says that the engine told of them.
            work.leases.map_or_else(Vec::new, |_| {
                one(age(work.oldest_progress_time, sample.now))
            })
        },
    ),
    counter(
        "engine_commands",
        "Commands decided since the server started, refused ones included",
        |sample| one(engine(sample).commands),
    ),
    histogram(
        "commit_duration",
        Seconds,
        "How long commits take until they are durable",
        |sample| &sample.commit_seconds,
    ),
    histogram(
        "commit_commands",
        Number,
        "How many commands a commit is for",
        |sample| &sample.commit_commands,
    ),
    gauge(
        "batch_age",
        Seconds,
        "How long the batch under way has taken so far; 0 between batches",
        |sample| one(sample.batch_age.as_secs_f64()),
    ),
    counter(
        "events_written",
        "Events written since the server started",
        |sample| one(engine(sample).events),
    ),
    gauge(
        "events_newest_revision",
        Number,
        "The newest revision of the log",
        |sample| one(number(sample.stats.revision)),
    ),
    gauge(
        "events_oldest_revision",
        Number,
        "The oldest revision of the log that is kept",
        |sample| one(number(sample.oldest_event.0)),
    ),
    gauge(
        "subscription_lag_events",
        Number,
        "Events that a subscription has not acknowledged, whatever its filter",
        |sample| subscriptions(sample, |one| number(lag(one).events)),
    ),
    gauge(
        "subscription_lag",
        Bytes,
        "What those events weigh together",
        |sample| subscriptions(sample, |one| number(lag(one).bytes)),
    ),
    gauge(
        "subscription_lag_age",
        Seconds,
        "How old the oldest of those events is; 0 if there is none",
        |sample| subscriptions(sample, |one| lag(one).age.map_or(0.0, span)),
    ),
    gauge(
        "subscription_connected",
        Number,
        "1 while somebody reads for the subscription, else 0",
        |sample| subscriptions(sample, |one| flag(one.connected)),
    ),
    gauge(
        "subscription_stale",
        Number,
        "1 if the subscription fell too far behind and holds nothing any more, else 0",
        |sample| {
            subscriptions(sample, |one| {
                flag(one.state() == pb::SubscriptionState::Stale)
            })
        },
    ),
    gauge(
        "draining",
        Number,
        "1 once the server is going away, else 0",
        |sample| one(flag(sample.is_draining)),
    ),
    gauge(
        "last_drain_sessions",
        Number,
        "What became of sessions in the newest drain on record: ended, of those ended with something under way, and left \
         to their work; nothing before the first drain",
        |sample| {
            sample.drain.as_ref().map_or_else(Vec::new, |drain| {
                let (ended, late, left) = (drain.ended, drain.late, drain.left);
                by_state([("ended", ended), ("ended_late", late), ("left", left)])
            })
        },
    ),
    gauge(
        "last_drain_warnings",
        Number,
        "Warnings in the report of the newest drain on record",
        |sample| of_drain(sample, |drain| Some(number(drain.warnings.len() as u64))),
    ),
    gauge(
        "last_drain_duration",
        Seconds,
        "How long the newest drain on record took; nothing while it is open",
        |sample| {
            of_drain(sample, |drain| {
                drain.end.map(|end| number(end.duration.0) / 1e3)
            })
        },
    ),
    gauge(
        "last_drain_time",
        Seconds,
        "When the newest drain on record began, since 1970",
        |sample| of_drain(sample, |drain| Some(seconds_of(drain.begin_time))),
    ),
    gauge(
        "connections",
        Number,
        "Connections that are open",
        |sample| one(number(sample.connections.open)),
    ),
    counter(
        "connections_admitted",
        "Connections taken since the server started",
        |sample| one(sample.connections.admitted),
    ),
    counter(
        "connections_displaced",
        "Connections closed because there were as many as there may be and no call was open on them for longest",
        |sample| one(sample.connections.displaced),
    ),
    counter(
        "connections_refused",
        "Connections closed at once because there were as many as there may be and each had a call open",
        |sample| one(sample.connections.refused),
    ),
    gauge(
        "resident_memory",
        Bytes,
        "Memory that the process has in use; left out where the system does not say",
        |sample| if_known(sample.process.resident_bytes),
    ),
    gauge(
        "open_files",
        Number,
        "Descriptors that the process has open, connections among them; left out where the system does not say",
        |sample| if_known(sample.process.open_files),
    ),
    gauge(
        "open_files_max",
        Number,
        "Descriptors that it may have open; nothing if there is no limit",
        |sample| if_known(sample.process.open_files_max),
    ),
    counter(
        "rpcs",
        "Calls answered since the server started, by the code of the answer; a stream counts once it is answered at all",
        |sample| {
            let answered = sample.calls.answered().into_iter();
            answered
                .map(|(rpc, code, count)| {
                    point(["rpc", "code"], [rpc, code].map(str::to_owned), count)
                })
                .collect()
        },
    ),
    counter(
        "refusals",
        "Calls refused since the server started, by the reason of the refusal",
        |sample| {
            let refused = sample.calls.refused().into_iter();
            refused
                .map(|(reason, count)| point(["reason"], [reason.to_owned()], count))
                .collect()
        },
    ),
];

/// The only value of a metric.
fn one<N>(value: N) -> Vec<Point<N>> {
    vec![Point {
        labels: Vec::new(),
        value,
    }]
}

/// The only value of a metric, if there is one.
fn if_known(count: Option<u64>) -> Vec<Point<f64>> {
    count.map(number).map_or_else(Vec::new, one)
}

/// One of several values.
fn point<N, const L: usize>(names: [&'static str; L], labels: [String; L], value: N) -> Point<N> {
    Point {
        labels: names.into_iter().zip(labels).collect(),
        value,
    }
}

fn by_state<const N: usize>(counts: [(&str, u64); N]) -> Vec<Point<f64>> {
    let counts = counts.into_iter();
    counts
        .map(|(state, count)| point(["state"], [state.to_owned()], number(count)))
        .collect()
}

fn subscriptions(sample: &Sample, read: impl Fn(&pb::Subscription) -> f64) -> Vec<Point<f64>> {
    let all = sample.subscriptions.iter();
    all.map(|one| {
        let labels = [one.namespace.clone(), one.name.clone()];
        point(["namespace", "subscription"], labels, read(one))
    })
    .collect()
}

fn of_drain(sample: &Sample, read: impl Fn(&DrainRow) -> Option<f64>) -> Vec<Point<f64>> {
    let value = sample.drain.as_ref().and_then(read);
    value.map_or_else(Vec::new, one)
}

fn cleanup(sample: &Sample) -> pb::CleanupStats {
    sample.stats.cleanup.unwrap_or_default()
}

fn engine(sample: &Sample) -> pb::EngineStats {
    sample.stats.engine.unwrap_or_default()
}

fn work(sample: &Sample) -> pb::WorkStats {
    sample.stats.work.clone().unwrap_or_default()
}

fn lag(subscription: &pb::Subscription) -> pb::SubscriptionLag {
    subscription.lag.unwrap_or_default()
}

/// Exact up to 2^53, which is more than there is of anything.
fn number(count: u64) -> f64 {
    count as f64
}

fn flag(set: bool) -> f64 {
    if set { 1.0 } else { 0.0 }
}

fn seconds_of(time: WallTime) -> f64 {
    number(time.0) / 1e3
}

fn age(since: Option<prost_types::Timestamp>, now: WallTime) -> f64 {
    since.map_or(0.0, |since| {
        let since = since.seconds as f64 + f64::from(since.nanos) / 1e9;
        (seconds_of(now) - since).max(0.0)
    })
}

fn span(duration: prost_types::Duration) -> f64 {
    duration.seconds as f64 + f64::from(duration.nanos) / 1e9
}
