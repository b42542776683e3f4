//! Restarts: what is on record goes on after a SIGKILL as if nothing had happened.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::watch_session_events_request::Start;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{
    ack, attempts, claim_within, end, id, key, message, millis, nack, open, payloads, unforeseen,
};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, watch_from};
use tonic::Code;

/// Kills the server and starts it again on what is on disk.
async fn killed(server: &mut Server) -> Caller {
    server.kill();
    server.restart();
    Caller::to(server).await
}

/// Proves: F5, F55.
#[tokio::test]
async fn sessions_counts_and_messages_are_as_they_were() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    let asked = pb::OpenSessionRequest {
        project: "/src".to_owned(),
        prompt: "go".to_owned(),
        labels: sessiond_tests::requests::labels(&[("team", "blue")]),
        ordering: pb::Ordering::Relaxed.into(),
        owner_timeout: sessiond_tests::requests::after(3_000_000),
        ..open("a")
    };
    caller.open(asked).await.expect("opened");
    caller.enqueued(key("a"), &["one", "two", "three"]).await;
    let out = caller.claimed(key("a"), "w").await;
    let usage_delta = Some(pb::Usage {
        input_tokens: 7,
        output_tokens: 8,
    });
    let done = pb::settlement::Outcome::Ack(pb::Ack { usage_delta });
    caller
        .settled(vec![sessiond_tests::requests::settlement(&out[0], done)])
        .await;
    caller
        .settled(vec![nack(&out[1], pb::NackKind::Permanent, None)])
        .await;
    let ended = caller.opened("b").await.session_id;
    caller
        .end(end(key("b"), pb::EndReason::Failed, pb::EndMode::Immediate))
        .await
        .expect("ended");
    let before = (
        caller.session(key("a")).await,
        caller.session(id(&ended)).await,
    );
    let info = caller
        .info(pb::GetServerInfoRequest {})
        .await
        .expect("info");
    let stats = caller.stats(pb::GetStatsRequest {}).await.expect("stats");
    let caller = killed(&mut server).await;
    assert_eq!(
        unforeseen(caller.session(key("a")).await),
        unforeseen(before.0)
    );
    assert_eq!(caller.session(id(&ended)).await, before.1);
    let after = caller
        .info(pb::GetServerInfoRequest {})
        .await
        .expect("info");
    assert_eq!(
        (after.log_id, after.current_revision),
        (info.log_id, info.current_revision)
    );
    let again = caller.stats(pb::GetStatsRequest {}).await.expect("stats");
    assert_eq!(
        (again.sessions, again.messages),
        (stats.sessions, stats.messages)
    );
    let listed = caller.messages_of(key("a")).await;
    let states: Vec<pb::MessageState> = listed
        .iter()
        .map(|message| message.status.as_ref().unwrap().state())
        .collect();
    assert_eq!(
        states,
        [pb::MessageState::DeadLettered, pb::MessageState::InFlight]
    );
}

#[tokio::test]
async fn idempotency_keys_and_request_ids_are_remembered() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    let opens = || pb::OpenSessionRequest {
        request_id: "open-1".to_owned(),
        conflict_policy: pb::ConflictPolicy::Replace.into(),
        ..open("a")
    };
    let ends = || pb::EndSessionRequest {
        request_id: "end-1".to_owned(),
        ..end(key("b"), pb::EndReason::Completed, pb::EndMode::Immediate)
    };
    let enqueues = || pb::EnqueueMessagesRequest {
        r#ref: key("a"),
        messages: vec![
            pb::Message {
                idempotency_key: "tool-1".to_owned(),
                ..message("one")
            },
            message("two"),
        ],
        request_id: "batch-1".to_owned(),
        open_if_missing: None,
    };
    caller.open(opens()).await.expect("opened");
    caller.opened("b").await;
    caller.end(ends()).await.expect("ended");
    caller.enqueue(enqueues()).await.expect("enqueued");
    let out = caller.claimed(key("a"), "w").await;
    caller.settled(vec![ack(&out[0])]).await;
    let revision = caller.revision().await;
    let caller = killed(&mut server).await;
    assert!(caller.open(opens()).await.expect("repeated").duplicate);
    assert!(caller.end(ends()).await.expect("repeated").duplicate);
    let again = caller.enqueue(enqueues()).await.expect("repeated").results;
    let told: Vec<(u64, pb::EnqueueStatus)> = again
        .iter()
        .map(|result| (result.seq, result.status()))
        .collect();
    let duplicate = pb::EnqueueStatus::Duplicate;
    assert_eq!(told, [(1, duplicate), (2, duplicate)], "settled or not");
    let other = pb::OpenSessionRequest {
        source: "x".to_owned(),
        ..opens()
    };
    let reused = caller.open(other).await.expect_err("another request");
    reused.is(Code::InvalidArgument, Reason::RequestIdReused);
    assert_eq!(
        caller.code(ack(&out[0])).await,
        pb::SettleCode::AlreadySettled
    );
    assert_eq!(caller.revision().await, revision);
}

/// Proves: F48, G9.
#[tokio::test]
async fn attempts_are_counted_across_restarts_up_to_the_last() {
    let mut server = Server::start();
    let mut caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    for attempt in 1..=3 {
        let waits = claim_within(key("a"), "w", 20_000);
        let out = caller.claim(waits).await.expect("claimed").deliveries;
        assert_eq!(attempts(&out), [attempt]);
        let retry = nack(&out[0], pb::NackKind::Retry, Some(1));
        assert_eq!(caller.code(retry).await, pb::SettleCode::Ok);
        caller = killed(&mut server).await;
    }
    let listed = caller.messages_of(key("a")).await;
    let status = listed[0].status.as_ref().unwrap();
    assert_eq!(
        status.dead_letter_reason(),
        pb::DeadLetterReason::MaxAttempts
    );
    assert_eq!(
        (status.last_error.as_str(), listed[0].attempt),
        ("it failed", 3)
    );
}

#[tokio::test]
async fn a_held_queue_is_adopted_after_a_restart() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    let old = caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    caller
        .end(end(
            key("a"),
            pb::EndReason::Shutdown,
            pb::EndMode::Immediate,
        ))
        .await
        .expect("ended");
    let caller = killed(&mut server).await;
    let next = caller.opened("a").await;
    assert_eq!(
        (next.queue_id, next.predecessor_id.as_str()),
        (old.queue_id, old.session_id.as_str())
    );
    assert_eq!(caller.enqueued(key("a"), &["two"]).await, [2]);
    assert_eq!(
        payloads(&caller.claimed(key("a"), "w").await),
        ["one", "two"]
    );
}

#[tokio::test]
async fn a_draining_session_is_finished_with_its_own_end() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["one"]).await;
    caller.claimed(key("a"), "w").await;
    let drains = pb::EndSessionRequest {
        end_grace: millis(1_000),
        detail: "by its owner".to_owned(),
        ..end(key("a"), pb::EndReason::Scheduled, pb::EndMode::Graceful)
    };
    caller.end(drains).await.expect("draining");
    let caller = killed(&mut server).await;
    let mut watch = WatchStream::from_the_start(&caller).await;
    let told = watch
        .event(pb::EventType::SessionEnd, &session)
        .await
        .end
        .unwrap();
    assert_eq!(
        (told.reason(), told.detail.as_str()),
        (pb::EndReason::Scheduled, "by its owner")
    );
    assert_eq!(told.actor.unwrap().kind(), pb::ActorKind::Api);
}

#[tokio::test]
async fn an_end_after_pending_goes_on_at_the_next_start() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["one", "two"]).await;
    caller
        .end(end(
            key("a"),
            pb::EndReason::Completed,
            pb::EndMode::AfterPending,
        ))
        .await
        .expect("draining");
    let caller = killed(&mut server).await;
    assert_eq!(
        caller.session(id(&session)).await.state(),
        pb::SessionState::Draining
    );
    let out = caller.claimed(id(&session), "w").await;
    assert_eq!(payloads(&out), ["one", "two"]);
    caller.settled(out.iter().map(ack).collect()).await;
    let over = caller.session(id(&session)).await;
    assert_eq!(over.state(), pb::SessionState::Ended);
    assert_eq!(over.counts.unwrap().processed, 2);
}

#[tokio::test]
async fn no_revision_is_used_twice_and_no_event_is_lost() {
    let mut server = Server::start();
    let mut seen = Vec::new();
    let mut token = None;
    for round in 0..4 {
        let caller = Caller::to(&server).await;
        let start = token.map_or(Start::AfterRevision(0), Start::ResumeToken);
        let mut watch = WatchStream::open(&caller, watch_from(start))
            .await
            .expect("the same log");
        for at in 0..5 {
            caller.opened(&format!("k{round}-{at}")).await;
        }
        let newest = caller.revision().await;
        assert_eq!(newest, 5 * (round + 1));
        let mut batch = watch.batch().await;
        seen.append(&mut batch.events);
        while seen.last().map(|event| event.revision) != Some(newest) {
            batch = watch.batch().await;
            seen.append(&mut batch.events);
        }
        token = Some(batch.resume_token);
        server.kill();
        server.restart();
    }
    let caller = Caller::to(&server).await;
    let all = WatchStream::from_the_start(&caller).await.up_to(20).await;
    assert_eq!(all, seen, "what was told is what is on record");
    let revisions: Vec<u64> = seen.iter().map(|event| event.revision).collect();
    assert_eq!(revisions, (1..=20).collect::<Vec<u64>>());
    let ids: std::collections::BTreeSet<&str> =
        seen.iter().map(|event| event.event_id.as_str()).collect();
    assert_eq!(ids.len(), 20);
}

#[tokio::test]
async fn page_tokens_and_resume_tokens_outlive_the_process() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    for name in ["a", "b", "c"] {
        caller.opened(name).await;
    }
    let page = |page_token: String| pb::ListSessionsRequest {
        page_size: 2,
        page_token,
        ..pb::ListSessionsRequest::default()
    };
    let first = caller.list(page(String::new())).await.expect("listed");
    let caller = killed(&mut server).await;
    let second = caller
        .list(page(first.next_page_token))
        .await
        .expect("listed");
    assert_eq!(
        (
            second.sessions.len(),
            second.resume_token == first.resume_token
        ),
        (1, true)
    );
    let start = Start::ResumeToken(first.resume_token);
    let mut watch = WatchStream::open(&caller, watch_from(start))
        .await
        .expect("the same log");
    caller.opened("d").await;
    assert_eq!(watch.batch().await.events[0].revision, 4);
}
