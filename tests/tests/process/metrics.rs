//! `/metrics`: what it says is what calls and records say, and all of it is there from the first scrape on.

use std::collections::BTreeSet;

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::event_start::Start;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, claim, end, key, nack};
use sessiond_tests::scrape::Scrape;
use sessiond_tests::server::Server;
use sessiond_tests::subscription::{ack as ack_events, consume, create, start};
use sessiond_tests::watch_stream::WatchStream;

/// What the reference says there is.
const REFERENCE: &str = include_str!("../../../docs/metrics.md");

fn scrape(server: &Server) -> Scrape {
    Scrape::of(server.address())
}

#[test]
fn every_metric_of_the_reference_is_there_from_the_first_scrape_on() {
    let server = Server::start();
    let scrape = scrape(&server);
    let rows = REFERENCE
        .lines()
        .filter_map(|line| line.strip_prefix("| `"));
    let said: BTreeSet<(&str, &str)> = rows
        .map(|row| {
            let (name, rest) = row.split_once("` | ").expect("a name");
            let (kind, _) = rest.split_once(" | ").expect("a type");
            (name.strip_suffix("_total").unwrap_or(name), kind)
        })
        .collect();
    let there = scrape.types.iter();
    let there: BTreeSet<(&str, &str)> = there.map(|(name, kind)| (&**name, &**kind)).collect();
    assert_eq!(said, there);
    // What alerts are made of has a value before anything has happened.
    for series in [
        "sessions_created_total",
        "sessions_cleaned_total",
        "sessions{state=\"active\"}",
        "cleanup_runs_total",
        "cleanup_errors_total",
        "leases{state=\"stalled\"}",
        "rpcs_total{rpc=\"SessionService/OpenSession\",code=\"OK\"}",
        "refusals_total{reason=\"QUEUE_FULL\"}",
        "connections_displaced_total",
        "connections_refused_total",
    ] {
        assert_eq!(scrape.value(series), 0.0, "{series}");
    }
    assert!(scrape.value("start_time_seconds") > 1e9);
    assert_eq!(scrape.value("draining"), 0.0);
    assert_eq!(scrape.value("connections"), 1.0, "whoever scrapes");
    let (open, most) = (scrape.value("open_files"), scrape.value("open_files_max"));
    assert!(3.0 < open && open < most, "{open} of {most}");
    assert!(scrape.value("resident_memory_bytes") > 1e6);
    assert_eq!(scrape.find("last_drain_warnings"), None);
}

/// Sessions and messages in several states, and a refusal.
async fn use_it(caller: &Caller) {
    for of in ["a", "b", "c"] {
        caller.opened(of).await;
    }
    caller.enqueued(key("a"), &["m"; 5]).await;
    let three = pb::ClaimMessagesRequest {
        max_messages: Some(3),
        ..claim(key("a"), "w")
    };
    let out = caller.claim(three).await.expect("claimed").deliveries;
    caller.settled(vec![ack(&out[0])]).await;
    let hopeless = nack(&out[1], pb::NackKind::Permanent, None);
    caller.settled(vec![hopeless]).await;
    let over = end(key("c"), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(over).await.expect("it ends");
    let refused = caller.update(pb::UpdateSessionRequest::default()).await;
    refused.expect_err("it names no session");
}

/// Proves: F73, F74.
#[tokio::test]
async fn what_is_scraped_is_what_the_statistics_say() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    use_it(&caller).await;
    let stats = caller.stats(pb::GetStatsRequest {}).await.expect("stats");
    let scrape = scrape(&server);
    let value = |series: &str| scrape.value(series) as u64;
    let sessions = stats.sessions.unwrap();
    assert_eq!((sessions.active, sessions.ended), (2, 1));
    assert_eq!(value("sessions{state=\"active\"}"), sessions.active);
    assert_eq!(value("sessions{state=\"ended\"}"), sessions.ended);
    assert_eq!(value("sessions{state=\"draining\"}"), 0);
    let messages = stats.messages.unwrap();
    let there = (messages.pending, messages.in_flight, messages.dead_lettered);
    assert_eq!(there, (2, 1, 1));
    assert_eq!(value("messages{state=\"pending\"}"), messages.pending);
    assert_eq!(value("messages{state=\"in_flight\"}"), messages.in_flight);
    assert_eq!(
        value("messages{state=\"dead_lettered\"}"),
        messages.dead_lettered
    );
    assert_eq!(value("messages_acked_total"), 1);
    assert_eq!(value("sessions_created_total"), 3);
    assert_eq!(
        value("sessions_cleaned_total"),
        0,
        "nobody's limit was passed"
    );
    let engine = stats.engine.unwrap();
    assert_eq!(value("events_newest_revision"), stats.revision);
    assert_eq!(value("events_oldest_revision"), 1);
    assert_eq!(value("events_written_total"), engine.events);
    assert!(value("engine_commands_total") >= engine.commands);
    // The clock is put on record now and then.
    assert!(value("commit_duration_seconds_count") >= engine.commits);
    assert_eq!(
        value("commit_duration_seconds_count"),
        value("commit_commands_count")
    );
    assert!(scrape.value("commit_duration_seconds_sum") > 0.0);
    let rpc =
        |rpc: &str, code: &str| value(&format!("rpcs_total{{rpc=\"{rpc}\",code=\"{code}\"}}"));
    assert_eq!(rpc("SessionService/OpenSession", "OK"), 3);
    assert_eq!(rpc("SessionService/UpdateSession", "INVALID_ARGUMENT"), 1);
    let invalid = Reason::FieldInvalid.as_str();
    assert_eq!(value(&format!("refusals_total{{reason=\"{invalid}\"}}")), 1);
    assert_eq!(value("leases{state=\"held\"}"), 1);
    assert_eq!(value("leases{state=\"working\"}"), 1);
}

/// Proves: B10.
#[tokio::test]
async fn a_subscription_that_is_behind_shows_until_it_has_caught_up() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let made = pb::CreateSubscriptionRequest {
        start: start(Start::Oldest(true)),
        ..create("memory")
    };
    caller.create_subscription(made).await.expect("it is made");
    for of in ["a", "b"] {
        caller.opened(of).await;
    }
    let of = "{namespace=\"default\",subscription=\"memory\"}";
    let behind = scrape(&server);
    let value = |name: &str| behind.value(&format!("subscription_{name}{of}"));
    assert_eq!(value("lag_events"), 2.0);
    assert!(value("lag_bytes") > 0.0 && value("lag_age_seconds") >= 0.0);
    assert_eq!((value("connected"), value("stale")), (0.0, 0.0));
    let watch = WatchStream::open(&caller, consume("memory", "m1")).await;
    let mut watch = watch.expect("it reads");
    let epoch = watch.started.subscription_epoch;
    let read = watch.up_to(2).await;
    assert_eq!(read.len(), 2);
    ack_events(&caller, "memory", 2, epoch).await.expect("sent");
    let caught_up = scrape(&server);
    let value = |name: &str| caught_up.value(&format!("subscription_{name}{of}"));
    assert_eq!((value("lag_events"), value("lag_bytes")), (0.0, 0.0));
    assert_eq!((value("connected"), value("lag_age_seconds")), (1.0, 0.0));
}

#[tokio::test]
async fn what_came_of_a_drain_shows_after_the_restart() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    for of in ["a", "b"] {
        caller.opened(of).await;
    }
    assert_eq!(server.terminate().code(), Some(0));
    server.restart();
    let scrape = scrape(&server);
    let sessions = |state: &str| scrape.value(&format!("last_drain_sessions{{state=\"{state}\"}}"));
    assert_eq!(
        (sessions("ended"), sessions("ended_late"), sessions("left")),
        (2.0, 0.0, 0.0)
    );
    assert_eq!(scrape.value("last_drain_warnings"), 0.0);
    assert!(scrape.value("last_drain_duration_seconds") < 60.0);
    assert!(scrape.value("last_drain_time_seconds") > 1e9);
    assert_eq!(
        scrape.value("sessions_created_total"),
        0.0,
        "it counts since its start"
    );
}
