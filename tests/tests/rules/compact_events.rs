//! CompactEvents: the oldest events go when an operator says so, and none that somebody needs.

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::event_start::Start;
use sessiond_proto::v1::watch_session_events_request::Start as Watch;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{end, id};
use sessiond_tests::server::Server;
use sessiond_tests::subscription::{ack, consume, create, delete, start};
use sessiond_tests::watch_stream::{WatchStream, watch_from};
use tokio::task::JoinSet;

async fn compact(caller: &Caller, through_revision: u64) -> pb::CompactEventsResponse {
    let request = pb::CompactEventsRequest { through_revision };
    caller.compact_events(request).await.expect("it may")
}

fn begins_with(oldest: u64, newest: u64) -> pb::CompactEventsResponse {
    pb::CompactEventsResponse {
        oldest_revision: oldest,
        current_revision: newest,
        held_by: String::new(),
    }
}

#[tokio::test]
async fn events_go_up_to_where_they_are_to_and_a_repeat_changes_nothing() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    for key in ["a", "b", "c", "d"] {
        caller.opened(key).await;
    }
    let newest = caller.revision().await;
    assert_eq!(compact(&caller, 2).await, begins_with(3, newest));
    assert_eq!(compact(&caller, 2).await, begins_with(3, newest));
    assert_eq!(compact(&caller, 1).await, begins_with(3, newest));
    let gone = WatchStream::open(&caller, watch_from(Watch::AfterRevision(1))).await;
    assert_eq!(gone.expect_err("it is gone").reason, "REVISION_COMPACTED");
    let mut kept = WatchStream::open(&caller, watch_from(Watch::AfterRevision(2)))
        .await
        .expect("the rest is there");
    assert_eq!(kept.batch().await.events[0].revision, 3);
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    assert_eq!(compact(&caller, 1).await, begins_with(3, newest));
    assert_eq!(
        compact(&caller, newest).await,
        begins_with(newest + 1, newest),
        "an empty log knows what it had"
    );
    assert_eq!(caller.opened("e").await.key, "e");
    assert_eq!(caller.revision().await, newest + 1);
}

#[tokio::test]
async fn what_was_committed_together_goes_together() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let before = caller.revision().await;
    caller.opened("a").await;
    let first = caller.revision().await;
    let reset = pb::ResetSessionRequest {
        r#ref: sessiond_tests::requests::key("a"),
        reason: pb::EndReason::Reset.into(),
        ..pb::ResetSessionRequest::default()
    };
    caller.reset(reset).await.expect("it is reset");
    let newest = caller.revision().await;
    assert_eq!(
        (before + 1, first + 2),
        (first, newest),
        "an end and an open"
    );
    assert_eq!(
        compact(&caller, first + 1).await,
        begins_with(newest + 1, newest)
    );
}

#[tokio::test]
async fn nothing_goes_that_a_subscription_did_not_acknowledge_and_it_is_named() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let of_oldest = |name| pb::CreateSubscriptionRequest {
        start: start(Start::Oldest(true)),
        ..create(name)
    };
    for name in ["memory", "other"] {
        let made = caller.create_subscription(of_oldest(name)).await;
        made.expect("it is made");
    }
    for key in ["a", "b", "c", "d"] {
        caller.opened(key).await;
    }
    let newest = caller.revision().await;
    let mut watch = WatchStream::open(&caller, consume("memory", "m1"))
        .await
        .expect("nobody else reads");
    let epoch = watch.started.subscription_epoch;
    let mut read = 0;
    while read < newest {
        read = watch.batch().await.events.last().expect("some").revision;
    }
    ack(&caller, "memory", 3, epoch).await.expect("it was sent");
    let held = |oldest, name: &str| pb::CompactEventsResponse {
        held_by: format!("default/{name}"),
        ..begins_with(oldest, newest)
    };
    assert_eq!(compact(&caller, newest).await, held(1, "other"));
    let forgotten = caller.delete_subscription(delete("other")).await;
    forgotten.expect("it was there");
    assert_eq!(compact(&caller, newest).await, held(4, "memory"));
    ack(&caller, "memory", newest, epoch).await.expect("sent");
    let all = begins_with(newest + 1, newest);
    assert_eq!(compact(&caller, newest).await, all);
}

/// More events than one step of the deletion takes.
async fn many_events(caller: &Caller) -> u64 {
    let mut opens = JoinSet::new();
    for worker in 0..10 {
        let caller = caller.clone();
        opens.spawn(async move {
            for number in 0..55 {
                let session = caller.opened(&format!("{worker}-{number}")).await;
                let of = id(&session.session_id);
                let over = end(of, pb::EndReason::Completed, pb::EndMode::Immediate);
                caller.end(over).await.expect("it ends");
            }
        });
    }
    opens.join_all().await;
    caller.revision().await
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_one_step_and_two_calls_at_once_go_as_far_as_both_say() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let newest = many_events(&caller).await;
    assert_eq!(newest, 1_100);
    let (one, other) = tokio::join!(compact(&caller, 1_090), compact(&caller, 1_050));
    assert_eq!(one, begins_with(1_091, newest));
    // The other is answered with what there is then, which may be the same.
    assert!(
        (1_051..=1_091).contains(&other.oldest_revision),
        "{other:?}"
    );
    let rest = watch_from(Watch::AfterRevision(1_090));
    let mut rest = WatchStream::open(&caller, rest).await.expect("it is there");
    let seen = rest.up_to(newest).await;
    assert_eq!(seen.len(), 10);
}

#[tokio::test]
async fn nobody_is_told_of_what_stays() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let made = caller.create_subscription(create("memory")).await;
    made.expect("it is made");
    caller.opened("a").await;
    // It is sent nothing, so it would have to be told where it is.
    let filter = pb::EventFilter {
        key_glob: "no such key".to_owned(),
        ..pb::EventFilter::default()
    };
    let nothing = pb::WatchSessionEventsRequest {
        filter: Some(filter),
        ..watch_from(Watch::Oldest(true))
    };
    let mut watch = WatchStream::open(&caller, nothing).await.expect("a watch");
    watch.bookmark(pb::BookmarkCause::CaughtUp).await;
    let held = compact(&caller, caller.revision().await).await;
    assert_eq!(
        (held.oldest_revision, held.held_by.as_str()),
        (1, "default/memory")
    );
    caller.opened("b").await;
    let newest = caller.revision().await;
    let forgotten = caller.delete_subscription(delete("memory")).await;
    forgotten.expect("it was there");
    let all = compact(&caller, newest).await;
    assert_eq!(all, begins_with(newest + 1, newest));
    let (_, first) = watch.bookmark(pb::BookmarkCause::BeforeCompaction).await;
    assert_eq!(
        first.revision, newest,
        "of what goes, and of nothing before"
    );
}
