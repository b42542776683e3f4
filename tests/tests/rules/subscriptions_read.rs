//! Consumers of subscriptions: one at a time reads, from behind what was acknowledged, and acknowledges.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::BookmarkCause as Cause;
use sessiond_proto::v1::event_start::Start;
use sessiond_proto::v1::watch_session_events_request::Start as Watch;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{end, key};
use sessiond_tests::server::Server;
use sessiond_tests::subscription::{ack, consume, create, cut, delete, seek, subscription};
use sessiond_tests::watch_stream::{WatchStream, watch_from};
use tonic::Code;

fn take_over(name: &str, consumer: &str) -> pb::WatchSessionEventsRequest {
    pb::WatchSessionEventsRequest {
        take_over: true,
        ..consume(name, consumer)
    }
}

/// Proves: F52.
#[tokio::test]
async fn whoever_reads_gets_what_was_not_acknowledged_again() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let ends_only = pb::CreateSubscriptionRequest {
        filter: Some(pb::EventFilter {
            types: vec![pb::EventType::SessionEnd.into()],
            ..pb::EventFilter::default()
        }),
        ..create("memory")
    };
    caller.create_subscription(ends_only).await.unwrap();
    for name in ["a", "b", "c"] {
        caller.opened(name).await;
        let over = end(key(name), pb::EndReason::Completed, pb::EndMode::Immediate);
        caller.end(over).await.unwrap();
    }
    let mut first = WatchStream::open(&caller, consume("memory", "run-1"))
        .await
        .expect("a watch");
    let epoch = first.started.subscription_epoch;
    assert!(epoch > 0);
    assert_eq!(first.started.acked_revision, 0);
    let (events, mark) = first.bookmark(Cause::CaughtUp).await;
    let revisions: Vec<u64> = events.iter().map(|event| event.revision).collect();
    assert_eq!(revisions.len(), 3, "one for each session, nothing else");
    assert_eq!(
        ack(&caller, "memory", revisions[0], epoch).await.unwrap(),
        revisions[0]
    );
    let shown = subscription(&caller, "memory").await;
    assert!(shown.connected);
    assert_eq!(shown.consumer, "run-1");
    assert_eq!(shown.delivered_revision, mark.revision);
    drop(first);
    // The same consumer may come back before its watch is missed.
    let mut again = WatchStream::open(&caller, consume("memory", "run-1"))
        .await
        .expect("a watch");
    assert_eq!(again.started.subscription_epoch, epoch, "under its epoch");
    assert_eq!(again.started.acked_revision, revisions[0]);
    let (events, mark) = again.bookmark(Cause::CaughtUp).await;
    let sent: Vec<u64> = events.iter().map(|event| event.revision).collect();
    assert_eq!(sent, revisions[1..], "what it did not acknowledge");
    // A bookmark is acknowledged like an event, and less than before changes nothing.
    assert_eq!(
        ack(&caller, "memory", mark.revision, epoch).await.unwrap(),
        mark.revision
    );
    assert_eq!(
        ack(&caller, "memory", revisions[1], epoch).await.unwrap(),
        mark.revision
    );
    let lag = subscription(&caller, "memory").await.lag.unwrap();
    assert_eq!(lag, pb::SubscriptionLag::default());
}

#[tokio::test]
async fn one_consumer_reads_at_a_time_and_another_takes_over_only_by_saying_so() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.create_subscription(create("memory")).await.unwrap();
    let first = WatchStream::open(&caller, consume("memory", "run-1"))
        .await
        .expect("a watch");
    let epoch = first.started.subscription_epoch;
    let refused = WatchStream::open(&caller, consume("memory", "run-2"))
        .await
        .expect_err("it is held");
    refused
        .is(Code::FailedPrecondition, Reason::LeaseHeld)
        .with("holder", "run-1")
        .with("epoch", &epoch.to_string());
    // One that does not say who it is is somebody else each time.
    let unnamed = WatchStream::open(
        &caller,
        watch_from(Watch::Subscription("memory".to_owned())),
    );
    let refused = unnamed.await.expect_err("it is held");
    refused.is(Code::FailedPrecondition, Reason::LeaseHeld);
    let mut second = WatchStream::open(&caller, take_over("memory", "run-2"))
        .await
        .expect("a watch");
    let taken = second.started.subscription_epoch;
    assert!(taken > epoch);
    cut(first)
        .await
        .is(Code::FailedPrecondition, Reason::LeaseFenced)
        .with("epoch", &epoch.to_string())
        .with("current_epoch", &taken.to_string());
    caller.opened("a").await;
    let revision = second.batch().await.events[0].revision;
    let refused = ack(&caller, "memory", revision, epoch).await.unwrap_err();
    refused
        .is(Code::FailedPrecondition, Reason::LeaseFenced)
        .with("current_epoch", &taken.to_string());
    assert_eq!(
        ack(&caller, "memory", revision, taken).await.unwrap(),
        revision
    );
    // Once it is gone, the next one need not take over.
    drop(second);
    let third = loop {
        match WatchStream::open(&caller, consume("memory", "run-3")).await {
            Ok(watch) => break watch,
            Err(held) => drop(held.is(Code::FailedPrecondition, Reason::LeaseHeld)),
        }
    };
    assert!(third.started.subscription_epoch > taken);
    assert_eq!(third.started.acked_revision, revision);
}

#[tokio::test]
async fn a_second_watch_of_one_consumer_replaces_its_first() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.create_subscription(create("memory")).await.unwrap();
    let first = WatchStream::open(&caller, consume("memory", "run-1")).await;
    let first = first.expect("a watch");
    let epoch = first.started.subscription_epoch;
    let second = WatchStream::open(&caller, consume("memory", "run-1")).await;
    let second = second.expect("a watch");
    assert_eq!(second.started.subscription_epoch, epoch);
    cut(first)
        .await
        .is(Code::FailedPrecondition, Reason::LeaseFenced);
    assert!(subscription(&caller, "memory").await.connected);
}

#[tokio::test]
async fn nothing_is_acknowledged_that_was_not_sent() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    caller.create_subscription(create("memory")).await.unwrap();
    let epoch = subscription(&caller, "memory").await.epoch;
    caller.opened("a").await;
    let refused = ack(&caller, "memory", 1, epoch).await.unwrap_err();
    assert_eq!(refused.fields, ["revision"], "nobody reads");
    let mut watch = WatchStream::open(&caller, consume("memory", "run-1"))
        .await
        .expect("a watch");
    let epoch = watch.started.subscription_epoch;
    let (events, mark) = watch.bookmark(Cause::CaughtUp).await;
    assert_eq!(events.len(), 1);
    let refused = ack(&caller, "memory", mark.revision + 1, epoch).await;
    let refused = refused.unwrap_err();
    let refused = refused.is(Code::InvalidArgument, Reason::FieldInvalid);
    assert_eq!(refused.fields, ["revision"]);
    // After a restart what it was sent before still counts, before it is back.
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    assert_eq!(
        ack(&caller, "memory", mark.revision, epoch).await.unwrap(),
        mark.revision
    );
    let bad = pb::AckEventsRequest::default();
    let refused = caller.ack_events(bad).await.unwrap_err();
    assert_eq!(refused.fields, ["name", "revision", "epoch"]);
}

#[tokio::test]
async fn a_consumer_comes_back_to_a_server_that_was_killed_under_its_epoch() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    caller.create_subscription(create("memory")).await.unwrap();
    let mut watch = WatchStream::open(&caller, consume("memory", "run-1"))
        .await
        .expect("a watch");
    let epoch = watch.started.subscription_epoch;
    for name in ["a", "b", "c"] {
        caller.opened(name).await;
    }
    let events = watch.up_to(3).await;
    ack(&caller, "memory", events[0].revision, epoch)
        .await
        .unwrap();
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    let mut back = WatchStream::open(&caller, consume("memory", "run-1"))
        .await
        .expect("a watch");
    assert_eq!(back.started.subscription_epoch, epoch);
    assert_eq!(back.started.acked_revision, events[0].revision);
    let sent = back.up_to(3).await;
    assert_eq!(sent.len(), 2);
    assert_eq!(sent, events[1..], "the same events");
    // Another one gets another epoch, for that one may still be at work.
    drop(back);
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    let other = WatchStream::open(&caller, consume("memory", "run-2"))
        .await
        .expect("nobody reads after a restart");
    assert!(other.started.subscription_epoch > epoch);
    let refused = ack(&caller, "memory", 2, epoch).await.unwrap_err();
    refused.is(Code::FailedPrecondition, Reason::LeaseFenced);
}

#[tokio::test]
async fn whoever_reads_is_cut_when_the_subscription_is_moved_or_deleted() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.create_subscription(create("memory")).await.unwrap();
    caller.opened("a").await;
    let watch = WatchStream::open(&caller, consume("memory", "run-1"))
        .await
        .expect("a watch");
    let moved = seek("memory", Start::Oldest(true));
    let moved = caller.seek_subscription(moved).await.unwrap();
    let epoch = moved.subscription.unwrap().epoch;
    cut(watch)
        .await
        .is(Code::FailedPrecondition, Reason::LeaseFenced)
        .with("current_epoch", &epoch.to_string());
    let mut watch = WatchStream::open(&caller, consume("memory", "run-1"))
        .await
        .expect("nobody reads");
    assert!(watch.started.subscription_epoch > epoch, "for a new epoch");
    assert_eq!(watch.batch().await.events[0].revision, 1);
    caller.delete_subscription(delete("memory")).await.unwrap();
    cut(watch)
        .await
        .is(Code::NotFound, Reason::SubscriptionNotFound);
}

#[tokio::test]
async fn a_consumer_may_begin_with_what_lives() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.create_subscription(create("memory")).await.unwrap();
    let session = caller.opened("a").await;
    let request = pb::WatchSessionEventsRequest {
        send_initial_state: true,
        ..consume("memory", "run-1")
    };
    let mut watch = WatchStream::open(&caller, request).await.expect("a watch");
    let pb::watch_session_events_response::Frame::Initial(shown) = watch.next().await else {
        panic!("the state comes first");
    };
    assert_eq!(shown.session_id, session.session_id);
    let (events, _) = watch.bookmark(Cause::InitialStateEnd).await;
    assert_eq!(events.len(), 1, "and what was not acknowledged behind it");
}
