//! Ends: the first reason wins, one end for every open, and what an end tells.

use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, end, id, key, open, settlement};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, types};
use sessiond_tests::work_stream::WorkStream;
use tokio::task::JoinSet;

#[tokio::test]
async fn an_end_with_nothing_to_wait_for_goes_straight_to_ended() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    for mode in [
        pb::EndMode::Graceful,
        pb::EndMode::AfterPending,
        pb::EndMode::Immediate,
    ] {
        let name = mode.as_str_name();
        caller.opened(name).await;
        let mut watch = WatchStream::from_now(&caller).await;
        let answer = caller
            .end(end(key(name), pb::EndReason::Completed, mode))
            .await;
        let answer = answer.expect("ended");
        assert!(!answer.already_ended && !answer.duplicate);
        assert_eq!(
            answer.session.unwrap().state(),
            pb::SessionState::Ended,
            "{name}"
        );
        assert_eq!(
            types(&watch.batch().await.events),
            [pb::EventType::SessionEnd],
            "{name}"
        );
    }
}

#[tokio::test]
async fn the_first_reason_wins() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let first = pb::EndSessionRequest {
        detail: "said so".to_owned(),
        ..end(key("a"), pb::EndReason::Deleted, pb::EndMode::Immediate)
    };
    let first = caller.end(first).await.expect("ended").session.unwrap();
    let second = pb::EndSessionRequest {
        detail: "too late".to_owned(),
        pending_policy: pb::PendingPolicy::Discard.into(),
        ..end(key("a"), pb::EndReason::Failed, pb::EndMode::Graceful)
    };
    let second = caller.end(second).await.expect("OK all the same");
    assert!(second.already_ended && !second.duplicate);
    assert_eq!(second.session, Some(first));
    assert_eq!(caller.revision().await, 2);
}

#[tokio::test]
async fn the_first_reason_wins_while_the_session_drains() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["m"]).await;
    let out = caller.claimed(key("a"), "w").await;
    let first = caller
        .end(end(key("a"), pb::EndReason::Idle, pb::EndMode::Graceful))
        .await;
    assert!(!first.expect("draining").already_ended);
    let second = end(id(&session), pb::EndReason::Failed, pb::EndMode::Graceful);
    let second = caller.end(second).await.expect("OK all the same");
    assert!(second.already_ended, "its end was decided before this call");
    let told = second.session.unwrap();
    assert_eq!(told.state(), pb::SessionState::Draining);
    assert_eq!(told.end.unwrap().reason(), pb::EndReason::Idle);
    caller.settled(vec![ack(&out[0])]).await;
    let over = caller.session(id(&session)).await;
    assert_eq!(over.state(), pb::SessionState::Ended);
    assert_eq!(over.end.unwrap().reason(), pb::EndReason::Idle);
}

#[tokio::test]
async fn concurrent_ends_write_one_end() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let mut ends = JoinSet::new();
    for at in 0..20 {
        let caller = caller.clone();
        let session = session.clone();
        let reason = [pb::EndReason::Completed, pb::EndReason::Failed][at % 2];
        ends.spawn(async move {
            let answer = caller
                .end(end(id(&session), reason, pb::EndMode::Immediate))
                .await;
            answer.expect("ended")
        });
    }
    let answers = ends.join_all().await;
    assert_eq!(
        answers
            .iter()
            .filter(|answer| !answer.already_ended)
            .count(),
        1
    );
    let reasons: std::collections::BTreeSet<i32> = answers
        .into_iter()
        .map(|answer| answer.session.unwrap().end.unwrap().reason)
        .collect();
    assert_eq!(reasons.len(), 1, "all are told the same reason");
    assert_eq!(caller.revision().await, 2);
}

#[tokio::test]
async fn the_record_of_an_end_says_what_the_session_came_to() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let asked = pb::OpenSessionRequest {
        transcript_path: "/transcripts/a".to_owned(),
        ..open("a")
    };
    let session = caller.opened_as(asked).await;
    caller.enqueued(key("a"), &["one", "two", "three"]).await;
    let out = caller.claimed(key("a"), "w").await;
    let usage = pb::Usage {
        input_tokens: 10,
        output_tokens: 4,
    };
    let done = pb::settlement::Outcome::Ack(pb::Ack {
        usage_delta: Some(usage),
    });
    caller.settled(vec![settlement(&out[0], done)]).await;
    let request = pb::EndSessionRequest {
        detail: "enough".to_owned(),
        successor_id: "elsewhere".to_owned(),
        ..end(key("a"), pb::EndReason::Scheduled, pb::EndMode::Immediate)
    };
    let told = caller.end(request).await.expect("ended").session.unwrap();
    let end = told.end.clone().unwrap();
    assert_eq!(
        (end.reason(), end.detail.as_str()),
        (pb::EndReason::Scheduled, "enough")
    );
    assert_eq!(end.actor.as_ref().unwrap().kind(), pb::ActorKind::Api);
    assert_eq!(end.create_time, session.create_time);
    assert_eq!(end.end_time, told.end_time);
    assert!(end.end_time.is_some() && end.duration.is_some());
    assert_eq!(end.usage, Some(usage));
    let counts = end.counts.unwrap();
    assert_eq!(
        (counts.enqueued, counts.processed, counts.in_flight),
        (3, 1, 2)
    );
    assert_eq!(end.pending_kept, 2);
    assert_eq!(
        (told.successor_id.as_str(), end.successor_id.as_str()),
        ("elsewhere", "elsewhere")
    );
    assert_eq!(end.transcript_path, "/transcripts/a");
    let mut watch = WatchStream::from_the_start(&caller).await;
    let event = watch
        .event(pb::EventType::SessionEnd, &session.session_id)
        .await;
    assert_eq!(event.end, Some(end));
}

#[tokio::test]
async fn the_worker_is_told_of_an_end_and_loses_its_lease_by_it() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["one", "two"]).await;
    let mut worker = WorkStream::worker(&caller, "w", 1).await;
    let epoch = worker.attached_to(key("a")).await.lease.unwrap().epoch;
    let out = worker.delivered(1).await;
    let request = end(key("a"), pb::EndReason::Restart, pb::EndMode::Graceful);
    caller.end(request).await.expect("draining");
    let ending = match worker.next().await {
        pb::work_response::Frame::SessionEnding(ending) => ending,
        other => panic!("`session_ending` is awaited, not {other:?}"),
    };
    assert_eq!(
        (ending.session_id.as_str(), ending.reason()),
        (session.as_str(), pb::EndReason::Restart)
    );
    assert_eq!(ending.mode(), pb::EndMode::Graceful);
    assert!(ending.deadline.is_some());
    worker.is_quiet().await;
    assert_eq!(worker.code(ack(&out[0])).await, pb::SettleCode::Ok);
    let lost = worker.lease_lost().await;
    assert_eq!(lost.reason(), pb::LeaseLostReason::SessionEnded);
    assert_eq!(
        (lost.session_id.as_str(), lost.epoch),
        (session.as_str(), epoch)
    );
    worker.is_quiet().await;
}

#[tokio::test]
async fn a_session_needs_no_worker_to_end_and_its_open_deliveries_stay_settleable() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["one", "two"]).await;
    let out = caller.claimed(key("a"), "w").await;
    let request = end(key("a"), pb::EndReason::Completed, pb::EndMode::Immediate);
    let told = caller.end(request).await.expect("ended").session.unwrap();
    assert_eq!(told.state(), pb::SessionState::Ended);
    assert_eq!(told.counts.unwrap().dead_lettered, 2);
    assert_eq!(caller.code(ack(&out[0])).await, pb::SettleCode::Ok);
    let counts = caller.session(id(&session)).await.counts.unwrap();
    assert_eq!(
        (counts.processed, counts.dead_lettered),
        (1, 1),
        "the ack removes the dead letter"
    );
    let left = caller.messages_of(id(&session)).await;
    assert_eq!(
        left.iter().map(|message| message.seq).collect::<Vec<u64>>(),
        [2]
    );
    let extend = sessiond_tests::requests::extend(&out[1], 1_000);
    assert_eq!(caller.code(extend).await, pb::SettleCode::Fenced);
}
