//! Namespaces: a wall through everything, on the same server and the same log.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::watch_session_events_request::Start;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, claim, claim_within, end, enqueue, id, key, open, payloads};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, about, watch_from};
use sessiond_tests::work_stream::{WorkStream, serving};
use tonic::Code;

/// The same server in two namespaces.
async fn two() -> (Server, Caller, Caller) {
    let server = Server::start_with(&["--namespaces", "blue,green"]);
    let caller = Caller::to(&server).await;
    let (blue, green) = (caller.in_namespace("blue"), caller.in_namespace("green"));
    (server, blue, green)
}

#[tokio::test]
async fn a_namespace_that_is_not_configured_is_refused_everywhere() {
    let server = Server::start_with(&["--namespaces", "blue"]);
    let nowhere = Caller::to(&server).await.in_namespace("red");
    let refusals = [
        nowhere.open(open("a")).await.expect_err("open"),
        nowhere
            .get(pb::GetSessionRequest { r#ref: key("a") })
            .await
            .expect_err("get"),
        nowhere
            .list(pb::ListSessionsRequest::default())
            .await
            .expect_err("list"),
        nowhere.claim(claim(None, "w")).await.expect_err("claim"),
        nowhere
            .stats(pb::GetStatsRequest {})
            .await
            .expect_err("stats"),
        WatchStream::open(&nowhere, watch_from(Start::Now(true)))
            .await
            .expect_err("watch"),
        WorkStream::open(&nowhere).await.expect_err("work"),
    ];
    for refusal in refusals {
        let refusal = refusal
            .is(Code::NotFound, Reason::NamespaceNotFound)
            .with("namespace", "red");
        assert_eq!(refusal.resource.as_deref(), Some("red"));
    }
    let named = Caller::to(&server).await.in_namespace("blue");
    assert_eq!(named.opened("a").await.namespace, "blue");
    let default = Caller::to(&server).await.in_namespace("default");
    default
        .get(pb::GetSessionRequest { r#ref: key("a") })
        .await
        .expect_err("absent means default");
}

#[tokio::test]
async fn keys_ids_and_request_ids_of_two_namespaces_are_different_things() {
    let (_server, blue, green) = two().await;
    let asked = || pb::OpenSessionRequest {
        session_id: "same".to_owned(),
        request_id: "r".to_owned(),
        ..open("a")
    };
    let first = blue.open(asked()).await.expect("opened");
    let second = green.open(asked()).await.expect("opened");
    assert!(first.created && second.created && !second.duplicate);
    let (first, second) = (first.session.unwrap(), second.session.unwrap());
    assert_ne!(first.queue_id, second.queue_id);
    let over = end(key("a"), pb::EndReason::Completed, pb::EndMode::Immediate);
    blue.end(over).await.expect("ended");
    assert_eq!(
        green.session(id("same")).await.state(),
        pb::SessionState::Active
    );
    assert_eq!(
        blue.session(id("same")).await.state(),
        pb::SessionState::Ended
    );
}

#[tokio::test]
async fn nothing_of_another_namespace_is_found() {
    let (_server, blue, green) = two().await;
    let session = blue.opened("a").await.session_id;
    blue.enqueued(key("a"), &["m"]).await;
    let asked = pb::GetSessionRequest {
        r#ref: id(&session),
    };
    let touch = pb::TouchSessionRequest {
        r#ref: id(&session),
        usage_delta: None,
    };
    let list = pb::ListMessagesRequest {
        r#ref: id(&session),
        ..pb::ListMessagesRequest::default()
    };
    let over = end(
        id(&session),
        pb::EndReason::Completed,
        pb::EndMode::Immediate,
    );
    let refusals = [
        green.get(asked).await.expect_err("get"),
        green.touch(touch).await.expect_err("touch"),
        green
            .enqueue(enqueue(id(&session), &["m"]))
            .await
            .expect_err("enqueue"),
        green
            .claim(claim(id(&session), "w"))
            .await
            .expect_err("claim"),
        green.list_messages(list).await.expect_err("list"),
        green.end(over).await.expect_err("end"),
    ];
    for refusal in refusals {
        refusal.is(Code::NotFound, Reason::SessionNotFound);
    }
    let mut worker = WorkStream::worker(&green, "w", 1).await;
    worker.attach(id(&session));
    assert_eq!(worker.attach_failed().await.reason, "SESSION_NOT_FOUND");
    assert_eq!(
        green
            .list(pb::ListSessionsRequest::default())
            .await
            .expect("listed")
            .sessions,
        []
    );
}

#[tokio::test]
async fn work_is_handed_out_and_settled_in_its_own_namespace_only() {
    let (_server, blue, green) = two().await;
    blue.opened("a").await;
    blue.enqueued(key("a"), &["m"]).await;
    let waits = claim_within(None, "w", 200);
    assert_eq!(green.claim(waits).await.expect("OK").deliveries, []);
    let any = pb::SessionFilter::default();
    let (mut stranger, _) = WorkStream::greet(&green, serving("w", 4, any)).await;
    stranger.is_quiet().await;
    let out = blue.claimed(key("a"), "w").await;
    assert_eq!(payloads(&out), ["m"]);
    assert_eq!(
        green.code(ack(&out[0])).await,
        pb::SettleCode::UnknownMessage
    );
    assert_eq!(
        stranger.code(ack(&out[0])).await,
        pb::SettleCode::UnknownMessage
    );
    assert_eq!(blue.code(ack(&out[0])).await, pb::SettleCode::Ok);
}

#[tokio::test]
async fn instances_of_two_namespaces_do_not_take_over_from_one_another() {
    let (_server, blue, green) = two().await;
    let mut first = WorkStream::worker(&blue, "w", 4).await;
    let mut second = WorkStream::worker(&green, "w", 4).await;
    first.is_quiet().await;
    second.is_quiet().await;
    for caller in [&blue, &green] {
        let listed = caller
            .list_workers(pb::ListWorkersRequest::default())
            .await
            .expect("listed");
        assert_eq!(listed.workers.len(), 1);
    }
}

#[tokio::test]
async fn a_watch_shows_its_own_namespace_of_one_log() {
    let (_server, blue, green) = two().await;
    let mut watch = WatchStream::from_the_start(&green).await;
    blue.opened("a").await;
    let own = green.opened("b").await.session_id;
    blue.opened("c").await;
    let events = watch.batch().await.events;
    assert_eq!(
        (events.len(), about(&events[0]), events[0].revision),
        (1, own.as_str(), 2)
    );
    assert_eq!(events[0].namespace, "green");
    let everything = pb::WatchSessionEventsRequest {
        all_namespaces: true,
        ..watch_from(Start::AfterRevision(0))
    };
    let mut all = WatchStream::open(&green, everything)
        .await
        .expect("a watch");
    let namespaces: Vec<String> = all
        .up_to(3)
        .await
        .into_iter()
        .map(|event| event.namespace)
        .collect();
    assert_eq!(namespaces, ["blue", "green", "blue"], "the unfiltered log");
}

#[tokio::test]
async fn stats_count_the_whole_store() {
    let (_server, blue, green) = two().await;
    blue.opened("a").await;
    blue.enqueued(key("a"), &["m"]).await;
    let _worker = WorkStream::worker(&blue, "w", 0).await;
    let stats = blue.stats(pb::GetStatsRequest {}).await.expect("stats");
    assert_eq!(
        (
            stats.sessions.unwrap().active,
            stats.messages.unwrap().pending
        ),
        (1, 1)
    );
    assert_eq!(stats.workers_connected, 1);
    let same = green.stats(pb::GetStatsRequest {}).await.expect("stats");
    assert_eq!(same.sessions, stats.sessions);
    assert_eq!(same.messages, stats.messages);
    assert_eq!(same.workers_connected, 1);
}
