//! Subscriptions: made once, read, listed, moved, deleted; repeated calls have their effect once.

use std::time::Duration;

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::event_start::Start;
use sessiond_proto::v1::watch_session_events_request::Start as Watch;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{in_millis, span};
use sessiond_tests::server::Server;
use sessiond_tests::subscription::{ack, create, delete, seek, start, subscription};
use sessiond_tests::watch_stream::{WatchStream, watch_from};
use tonic::Code;

#[tokio::test]
async fn a_subscription_is_made_once_and_shows_all_that_it_was_made_with() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let filter = pb::EventFilter {
        types: vec![pb::EventType::SessionEnd.into()],
        key_glob: "agent:*".to_owned(),
        ..pb::EventFilter::default()
    };
    let request = pb::CreateSubscriptionRequest {
        filter: Some(filter.clone()),
        max_lag: span(Duration::from_secs(90)),
        max_lag_bytes: Some(1 << 20),
        required: true,
        ..create("memory")
    };
    let made = caller.create_subscription(request.clone()).await.unwrap();
    assert!(made.created && !made.duplicate);
    let shown = made.subscription.unwrap();
    assert_eq!(shown.name, "memory");
    assert_eq!(shown.namespace, "default");
    assert_eq!(shown.filter, Some(filter));
    assert_eq!(in_millis(shown.max_lag), 90_000);
    assert_eq!(shown.max_lag_bytes, 1 << 20);
    assert!(shown.required && !shown.connected);
    assert_eq!(shown.state(), pb::SubscriptionState::Active);
    assert_eq!(shown.acked_revision, caller.revision().await, "from now on");
    assert_eq!(shown.delivered_revision, shown.acked_revision);
    assert_eq!(shown.lag, Some(pb::SubscriptionLag::default()));
    assert_eq!(shown.consumer, "");
    assert!(shown.create_time.is_some() && shown.epoch > 0);
    // Whoever makes it again gets it, wherever that would begin.
    let again = pb::CreateSubscriptionRequest {
        start: start(Start::Oldest(true)),
        ..request.clone()
    };
    let found = caller.create_subscription(again).await.unwrap();
    assert!(!found.created && !found.duplicate);
    assert_eq!(found.subscription.unwrap(), shown);
    let other = pb::CreateSubscriptionRequest {
        max_lag: None,
        required: false,
        ..request
    };
    let refused = caller.create_subscription(other).await.unwrap_err();
    refused
        .is(Code::AlreadyExists, Reason::SubscriptionExists)
        .with("subscription", "memory")
        .with("fields", "required, max_lag");
}

#[tokio::test]
async fn a_subscription_begins_where_it_is_told() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    for key in ["a", "b", "c"] {
        caller.opened(key).await;
    }
    let mut watch = WatchStream::from_the_start(&caller).await;
    let token = watch.batch().await.resume_token;
    let newest = caller.revision().await;
    for (name, at, acked) in [
        ("now", Start::Now(true), newest),
        ("oldest", Start::Oldest(true), 0),
        ("after", Start::AfterRevision(2), 2),
        ("token", Start::ResumeToken(token), newest),
    ] {
        let request = pb::CreateSubscriptionRequest {
            start: start(at),
            ..create(name)
        };
        let made = caller.create_subscription(request).await.unwrap();
        let shown = made.subscription.unwrap();
        assert_eq!(shown.acked_revision, acked, "{name}");
        let lag = shown.lag.unwrap();
        assert_eq!(lag.events, newest - acked, "{name}");
        assert_eq!(lag.bytes > 0, acked < newest, "{name}");
        assert_eq!(lag.age.is_some(), acked < newest, "{name}");
    }
    let ahead = pb::CreateSubscriptionRequest {
        start: start(Start::AfterRevision(newest + 1)),
        ..create("ahead")
    };
    let refused = caller.create_subscription(ahead).await.unwrap_err();
    refused
        .is(Code::FailedPrecondition, Reason::LogChanged)
        .with("current_revision", &newest.to_string());
    let elsewhere = Server::start();
    let stranger = Caller::to(&elsewhere).await;
    stranger.opened("x").await;
    let mut foreign = WatchStream::from_the_start(&stranger).await;
    let token = foreign.batch().await.resume_token;
    let request = pb::CreateSubscriptionRequest {
        start: start(Start::ResumeToken(token)),
        ..create("foreign")
    };
    let refused = caller.create_subscription(request).await.unwrap_err();
    refused.is(Code::FailedPrecondition, Reason::LogChanged);
}

#[tokio::test]
async fn subscriptions_are_listed_by_name_page_by_page_and_of_one_namespace() {
    let server = Server::configured("[namespaces.blue]\n");
    let caller = Caller::to(&server).await;
    let blue = caller.in_namespace("blue");
    for name in ["c", "a", "b", "ab"] {
        caller.create_subscription(create(name)).await.unwrap();
    }
    blue.create_subscription(create("a")).await.unwrap();
    let mut names = Vec::new();
    let mut token = String::new();
    loop {
        let request = pb::ListSubscriptionsRequest {
            page_size: 3,
            page_token: token,
        };
        let page = caller.list_subscriptions(request).await.unwrap();
        assert!(page.subscriptions.len() <= 3);
        names.extend(page.subscriptions.into_iter().map(|one| one.name));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["a", "ab", "b", "c"]);
    let theirs = blue
        .list_subscriptions(pb::ListSubscriptionsRequest::default())
        .await
        .unwrap();
    assert_eq!(theirs.subscriptions.len(), 1);
    assert_eq!(theirs.subscriptions[0].namespace, "blue");
    let bad = pb::ListSubscriptionsRequest {
        page_size: 1_001,
        page_token: "no".to_owned(),
    };
    let refused = caller.list_subscriptions(bad).await.unwrap_err();
    assert_eq!(refused.fields, ["page_size", "page_token"]);
}

#[tokio::test]
async fn a_subscription_is_moved_forward_and_back_and_forgotten() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.create_subscription(create("memory")).await.unwrap();
    for key in ["a", "b", "c"] {
        caller.opened(key).await;
    }
    let before = subscription(&caller, "memory").await;
    let moved = caller
        .seek_subscription(seek("memory", Start::AfterRevision(2)))
        .await
        .unwrap()
        .subscription
        .unwrap();
    assert_eq!(moved.acked_revision, 2);
    assert!(moved.epoch > before.epoch, "who had it has it no more");
    let back = caller
        .seek_subscription(seek("memory", Start::Oldest(true)))
        .await
        .unwrap();
    assert_eq!(back.subscription.unwrap().acked_revision, 0);
    caller.delete_subscription(delete("memory")).await.unwrap();
    let refused = [
        caller
            .delete_subscription(delete("memory"))
            .await
            .unwrap_err(),
        caller
            .seek_subscription(seek("memory", Start::Now(true)))
            .await
            .unwrap_err(),
        caller
            .get_subscription(pb::GetSubscriptionRequest {
                name: "memory".to_owned(),
            })
            .await
            .unwrap_err(),
        ack(&caller, "memory", 1, 1).await.unwrap_err(),
        WatchStream::open(
            &caller,
            watch_from(Watch::Subscription("memory".to_owned())),
        )
        .await
        .unwrap_err(),
    ];
    for refused in refused {
        let refused = refused.is(Code::NotFound, Reason::SubscriptionNotFound);
        assert_eq!(refused.resource.as_deref(), Some("memory"));
    }
}

#[tokio::test]
async fn a_call_about_a_subscription_that_is_repeated_is_done_once() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    let request = pb::CreateSubscriptionRequest {
        request_id: "create".to_owned(),
        ..create("memory")
    };
    let made = caller.create_subscription(request.clone()).await.unwrap();
    assert!(made.created);
    caller.opened("a").await;
    let moving = pb::SeekSubscriptionRequest {
        request_id: "seek".to_owned(),
        ..seek("memory", Start::Now(true))
    };
    let moved = caller.seek_subscription(moving.clone()).await.unwrap();
    let moved = moved.subscription.unwrap();
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    let again = caller.create_subscription(request.clone()).await.unwrap();
    assert!(again.duplicate && !again.created);
    let once_more = caller.seek_subscription(moving).await.unwrap();
    assert!(once_more.duplicate);
    let shown = once_more.subscription.unwrap();
    assert_eq!(shown.epoch, moved.epoch, "it was moved once");
    assert_eq!(shown.acked_revision, moved.acked_revision);
    let other = pb::CreateSubscriptionRequest {
        required: true,
        ..request.clone()
    };
    let refused = caller.create_subscription(other).await.unwrap_err();
    refused.is(Code::InvalidArgument, Reason::RequestIdReused);
    let gone = pb::DeleteSubscriptionRequest {
        request_id: "delete".to_owned(),
        ..delete("memory")
    };
    let deleted = caller.delete_subscription(gone.clone()).await.unwrap();
    assert!(!deleted.duplicate);
    let deleted = caller.delete_subscription(gone).await.unwrap();
    assert!(deleted.duplicate);
    let refused = caller.create_subscription(request).await.unwrap_err();
    refused.is(Code::NotFound, Reason::SubscriptionNotFound);
}
