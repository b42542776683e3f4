//! WatchSessionEvents: starts and filters that mean nothing.

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::watch_session_events_request::Start;
use sessiond_tests::watch_stream::{WatchStream, watch_from};

use super::table::{World, bytes, invalid, no_spans, raw, too_many_labels};

fn filtered(change: impl Fn(&mut pb::EventFilter)) -> pb::WatchSessionEventsRequest {
    let mut filter = pb::EventFilter::default();
    change(&mut filter);
    pb::WatchSessionEventsRequest {
        filter: Some(filter),
        ..pb::WatchSessionEventsRequest::default()
    }
}

#[tokio::test]
async fn watches() {
    let world = World::new().await;
    let taking = pb::WatchSessionEventsRequest {
        take_over: true,
        ..pb::WatchSessionEventsRequest::default()
    };
    let consuming = pb::WatchSessionEventsRequest {
        consumer: "run".to_owned(),
        ..pb::WatchSessionEventsRequest::default()
    };
    let subscribed = pb::WatchSessionEventsRequest {
        consumer: bytes(257),
        all_namespaces: true,
        filter: Some(pb::EventFilter::default()),
        ..watch_from(Start::Subscription(bytes(257)))
    };
    let of_subscription = ["filter", "all_namespaces", "consumer", "subscription"];
    let many = |f: &mut pb::EventFilter| f.session_ids = vec!["s".to_owned(); 1_001];
    let mixed = |f: &mut pb::EventFilter| {
        f.types = vec![1, 0, 99];
        f.session_ids = vec!["ok".to_owned(), String::new(), "\0".to_owned()];
    };
    let fields = [
        "filter.types[1]",
        "filter.types[2]",
        "filter.session_ids[1]",
        "filter.session_ids[2]",
    ];
    let mut table = vec![
        invalid(watch_from(Start::Now(false)), &["now"]),
        invalid(watch_from(Start::Oldest(false)), &["oldest"]),
        invalid(
            watch_from(Start::ResumeToken(String::new())),
            &["resume_token"],
        ),
        invalid(
            watch_from(Start::ResumeToken(bytes(257))),
            &["resume_token"],
        ),
        invalid(subscribed, &of_subscription),
        invalid(consuming, &["consumer"]),
        invalid(taking, &["take_over"]),
        invalid(filtered(mixed), &fields),
        invalid(filtered(many), &["filter.session_ids"]),
        invalid(filtered(|f| f.key_glob = bytes(257)), &["filter.key_glob"]),
        invalid(
            filtered(|f| f.labels = too_many_labels()),
            &["filter.labels"],
        ),
        invalid(filtered(|f| f.project = bytes(4_097)), &["filter.project"]),
    ];
    for span in no_spans().into_iter().chain([raw(15, 1)]) {
        let request = pb::WatchSessionEventsRequest {
            bookmark_interval: span,
            ..pb::WatchSessionEventsRequest::default()
        };
        table.push(invalid(request, &["bookmark_interval"]));
    }
    let open = async |request| WatchStream::open(&world.caller, request).await;
    world.refuses(table, open).await;
}
