//! What a handler causes carries its cause, and a handler that feeds itself is refused.

use std::time::Duration;

use sessiond_client::{Client, Error, PluginEvent};
use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::refusal::Refusal;
use sessiond_tests::requests::{end, enqueue, id, key, millis, open};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;
use tonic::Code;

/// How deep a chain may be.
const DEPTH_MAX: u32 = 8;

/// The newest event.
async fn newest(caller: &Caller) -> pb::SessionEvent {
    let revision = caller.revision().await;
    let mut watch = WatchStream::from_the_start(caller).await;
    watch.up_to(revision).await.pop().expect("there is one")
}

/// Opens sessions, each by whoever handles the opening of the last, as deep as that may go; answers with the last event.
async fn chain(caller: &Caller) -> pb::SessionEvent {
    caller.opened("0").await;
    let mut event = newest(caller).await;
    assert_eq!(event.cause, None, "nobody said so");
    for depth in 1..=DEPTH_MAX {
        let before = event.event_id;
        caller.caused_by(&before).opened(&depth.to_string()).await;
        event = newest(caller).await;
        let event_id = before;
        assert_eq!(event.cause, Some(pb::EventCause { event_id, depth }));
    }
    event
}

/// How each call that writes events is refused.
async fn changes(too_deep: &Caller) -> Vec<Refusal> {
    let one = || key("0");
    let carried = pb::EnqueueMessagesRequest {
        open_if_missing: Some(open("new")),
        ..enqueue(key("new"), &["m"])
    };
    let (reason, mode) = (pb::EndReason::Completed, pb::EndMode::Immediate);
    let purge = pb::PurgeSessionsRequest::default();
    let all = [
        too_deep.open(open("new")).await.err(),
        too_deep.enqueue(carried).await.err(),
        too_deep.end(end(one(), reason, mode)).await.err(),
        too_deep
            .update(pb::UpdateSessionRequest {
                r#ref: one(),
                project: "p".to_owned(),
                ..pb::UpdateSessionRequest::default()
            })
            .await
            .err(),
        too_deep
            .reset(pb::ResetSessionRequest {
                r#ref: one(),
                ..pb::ResetSessionRequest::default()
            })
            .await
            .err(),
        too_deep
            .end_many(pb::EndSessionsRequest {
                filter: Some(pb::SessionFilter::default()),
                reason: reason.into(),
                mode: mode.into(),
                ..pb::EndSessionsRequest::default()
            })
            .await
            .err(),
        too_deep.purge(purge).await.err(),
        too_deep.sweep(pb::SweepRequest::default()).await.err(),
        too_deep
            .revoke_lease(pb::RevokeLeaseRequest::default())
            .await
            .err(),
        too_deep
            .reset_circuit(pb::ResetCircuitRequest::default())
            .await
            .err(),
        too_deep
            .requeue(pb::RequeueDeadLettersRequest::default())
            .await
            .err(),
        too_deep
            .discard(pb::DiscardMessagesRequest::default())
            .await
            .err(),
        too_deep.cancel_drain(pb::CancelDrainRequest {}).await.err(),
        too_deep
            .declare_resource(pb::DeclareResourceRequest::default())
            .await
            .err(),
        too_deep
            .release_resource(pb::ReleaseResourceRequest::default())
            .await
            .err(),
    ];
    let refused = all.into_iter();
    refused
        .map(|one| one.expect("it would be one deeper"))
        .collect()
}

/// Proves: F72.
#[tokio::test]
async fn a_chain_of_causes_has_an_end_and_every_call_that_would_add_to_it_is_refused() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    let deepest = chain(&caller).await.event_id;
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    let too_deep = caller.caused_by(&deepest);
    let before = caller.revision().await;
    for refusal in changes(&too_deep).await {
        refusal
            .is(Code::FailedPrecondition, Reason::CauseTooDeep)
            .with("depth", "9")
            .with("limit", "8");
    }
    assert_eq!(caller.revision().await, before, "nothing was changed");
    // Whoever only reads is answered, and so is everybody else.
    too_deep.session(key("0")).await;
    caller.opened("new").await;
}

#[tokio::test]
async fn a_chain_goes_through_namespaces() {
    let server = Server::start_with(&["--namespaces", "blue,green"]);
    let caller = Caller::to(&server).await;
    let namespaces = ["blue", "green"].map(|name| caller.in_namespace(name));
    let mut cause: Option<String> = None;
    for depth in 0..=DEPTH_MAX {
        let here = &namespaces[depth as usize % 2];
        let caused = cause.as_ref().map(|event_id| here.caused_by(event_id));
        caused
            .as_ref()
            .unwrap_or(here)
            .opened(&depth.to_string())
            .await;
        let event = newest(here).await;
        let told = event.cause.map(|cause| (cause.event_id, cause.depth));
        assert_eq!(told, cause.map(|event_id| (event_id, depth)));
        cause = Some(event.event_id);
    }
    // Two handlers that feed one another are found wherever each of them writes.
    let deepest = cause.expect("the last one");
    let refused = namespaces[1].caused_by(&deepest).open(open("new")).await;
    refused
        .expect_err("too deep")
        .is(Code::FailedPrecondition, Reason::CauseTooDeep);
}

#[tokio::test]
async fn a_cause_is_carried_to_an_end_that_comes_later_and_over_a_kill() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let event_id = newest(&caller).await.event_id;
    let begin = pb::BeginRequestRequest {
        r#ref: key("a"),
        request_lease: millis(60_000),
        ..pb::BeginRequestRequest::default()
    };
    let token = caller
        .begin_request(begin)
        .await
        .expect("a request")
        .request_token;
    let graceful = end(key("a"), pb::EndReason::Completed, pb::EndMode::Graceful);
    caller
        .caused_by(&event_id)
        .end(graceful)
        .await
        .expect("it begins to end");
    let cause = Some(pb::EventCause { event_id, depth: 1 });
    assert_eq!(newest(&caller).await.cause, cause, "that it drains");
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    let done = pb::EndRequestRequest {
        r#ref: id(&session),
        request_token: token,
    };
    caller.end_request(done).await.expect("it ends");
    let ended = newest(&caller).await;
    assert_eq!(ended.r#type(), pb::EventType::SessionEnd);
    assert_eq!(ended.cause, cause, "that it has ended");
}

#[tokio::test]
async fn an_event_that_is_deleted_is_a_cause_of_which_no_other_is_known() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let deepest = chain(&caller).await;
    let through_revision = deepest.revision;
    let compact = pb::CompactEventsRequest { through_revision };
    caller.compact_events(compact).await.expect("it may");
    let event_id = deepest.event_id;
    caller.caused_by(&event_id).opened("next").await;
    let mut watch = WatchStream::from_now(&caller).await;
    caller.caused_by(&event_id).opened("after").await;
    let event = watch.batch().await.events.remove(0);
    assert_eq!(event.cause, Some(pb::EventCause { event_id, depth: 1 }));
}

/// Proves: F72.
#[tokio::test]
async fn a_plugin_that_feeds_itself_is_stopped() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let client = Client::builder().addr(server.url()).build().expect("a URL");
    let feeds = client.clone();
    // For each session that is opened it opens another one.
    let handler = move |_: PluginEvent| {
        let client = feeds.clone();
        async move {
            client.open(open("")).await?;
            Ok(())
        }
    };
    let plugin = client.plugin("feeds").max_attempts(1).build();
    let run = plugin.run(handler, std::future::pending());
    let first = async {
        let made = async || subscriptions(&caller).await > 0;
        while !made().await {
            caller.a_moment().await;
        }
        caller.opened("first").await;
        std::future::pending::<()>().await;
    };
    let stopped = async {
        tokio::select! {
            ended = run => ended.expect_err("it cannot go on"),
            () = first => unreachable!("it waits for ever"),
        }
    };
    let stopped = tokio::time::timeout(Duration::from_secs(60), Box::pin(stopped)).await;
    let sessiond_client::PluginError::Handler { source, .. } = stopped.expect("in time") else {
        panic!("its handler was refused");
    };
    let refused = source.downcast::<Error>().expect("what the server refused");
    assert_eq!(refused.reason(), Some(Reason::CauseTooDeep), "{refused}");
    let opened = caller.list(pb::ListSessionsRequest::default()).await;
    let opened = opened.expect("a list").sessions;
    assert_eq!(opened.len() as u32, 1 + DEPTH_MAX);
}

async fn subscriptions(caller: &Caller) -> usize {
    let all = pb::ListSubscriptionsRequest::default();
    let listed = caller.list_subscriptions(all).await;
    listed.expect("a list").subscriptions.len()
}
