//! Fan-out: bursts of events to thousands of watchers, all of them or each its own key.
//!
//! A burst opens sessions and ends them, many calls at a time; it is over when every watcher has every
//! event it wants. The rate counts an event once for every watcher that it is offered to. What it
//! deliberately does not do: spread events over time.

use std::time::{Duration, Instant};

use anyhow::Result;
use sessiond_proto::v1 as pb;

use super::watchers::Watchers;
use super::{Outcome, Plan};
use crate::caller::Caller;
use crate::path::{Audience, Filter};
use crate::samples::{Samples, each_once, latencies};
use crate::server::Server;

/// Calls under way in a burst.
const CALLERS: usize = 64;
/// Bursts that do not count.
const WARM_UP_BURSTS: u64 = 1;
/// Bursts that count at least, however long they take.
const BURSTS_MIN: u64 = 2;

/// Measures it on a server of its own.
pub(super) async fn measure(plan: &Plan, audience: Audience, filter: Filter) -> Result<Outcome> {
    let [small, large] = plan.scale.watchers;
    let count = match audience {
        Audience::Small => small,
        Audience::Large => large,
    };
    let server = Server::sessiond(&plan.places, &[]).await?;
    let caller = Caller::connect(server.address()).await?;
    // Whatever the server allocates for its first calls is not the watchers'.
    burst(&caller, plan.scale.burst_events, count, u64::MAX).await?;
    let resident = server.resident_bytes()?;
    let mut watchers =
        Watchers::start(server.address(), count, |index| wanted(filter, index)).await?;
    let grown = server.resident_bytes()?.saturating_sub(resident);
    let cpu = server.cpu_time()?;
    let samples = bursts(plan, &caller, &mut watchers, count, filter).await?;
    let used = server.cpu_time()?.saturating_sub(cpu);
    let offered = samples.operations as f64;
    Ok(Outcome {
        samples: Some(samples),
        facts: vec![
            ("watchers", count as f64),
            ("resident_per_watcher_bytes", grown as f64 / count as f64),
            (
                "cpu_per_offered_event_us",
                used.as_secs_f64() * 1e6 / offered,
            ),
        ],
    })
}

/// The filter of one watcher.
fn wanted(filter: Filter, watcher: usize) -> Option<pb::EventFilter> {
    match filter {
        Filter::Nothing => None,
        Filter::DistinctKeys => Some(pb::EventFilter {
            key_glob: format!("burst/{watcher}/*"),
            ..pb::EventFilter::default()
        }),
    }
}

async fn bursts(
    plan: &Plan,
    caller: &Caller,
    watchers: &mut Watchers,
    count: usize,
    filter: Filter,
) -> Result<Samples> {
    let events = plan.scale.burst_events;
    let mut taken = latencies();
    let mut elapsed = Duration::ZERO;
    let mut number = 0;
    let mut seen = 0;
    while number < WARM_UP_BURSTS + BURSTS_MIN || elapsed < plan.scale.duration {
        let begun = Instant::now();
        let made = burst(caller, events, count, number).await?;
        seen += match filter {
            Filter::Nothing => made * count as u64,
            Filter::DistinctKeys => made,
        };
        watchers.have_seen(seen).await?;
        if number >= WARM_UP_BURSTS {
            let took = begun.elapsed();
            elapsed += took;
            taken.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        }
        number += 1;
    }
    let events_of_all = (number - WARM_UP_BURSTS) * events as u64;
    Ok(Samples {
        operations: events_of_all * count as u64,
        elapsed,
        latencies: taken,
    })
}

/// Opens sessions and ends them, so many that it makes this many events; answers with how many it made.
async fn burst(caller: &Caller, events: usize, watchers: usize, number: u64) -> Result<u64> {
    let one = caller.clone();
    let opens = each_once(CALLERS, (0..events / 2).collect(), move |index: usize| {
        let caller = one.clone();
        let request = pb::OpenSessionRequest {
            key: format!("burst/{}/{number}-{index}", index % watchers),
            ..pb::OpenSessionRequest::default()
        };
        async move { caller.open(request).await }
    });
    let (sessions, opened) = opens.await?;
    let one = caller.clone();
    let ends = each_once(CALLERS, sessions, move |id: String| {
        let caller = one.clone();
        async move { caller.end(&id).await }
    });
    let (_, ended) = ends.await?;
    Ok(opened.operations + ended.operations)
}
