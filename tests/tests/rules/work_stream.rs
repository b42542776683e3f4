//! Work streams: hello, attach, deliveries and settlements as frames, and how a worker leaves.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::work_request::Frame as Said;
use sessiond_proto::v1::work_response::Frame;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{
    ack, attempts, claim, end, extend, id, key, labels, nack, payloads, seqs,
};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, types};
use sessiond_tests::work_stream::{WorkStream, hello};
use tonic::Code;

#[tokio::test]
async fn a_welcome_tells_the_terms_of_the_stream() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (_stream, welcome) = WorkStream::greet(&caller, hello("w", 3)).await;
    let info = caller
        .info(pb::GetServerInfoRequest {})
        .await
        .expect("info");
    assert_eq!(
        (welcome.worker.as_str(), welcome.instance_id.as_str()),
        ("w", "w")
    );
    assert_eq!(
        (welcome.server_version, welcome.log_id),
        (info.version, info.log_id)
    );
    let seconds = |span: Option<prost_types::Duration>| span.unwrap().seconds;
    assert_eq!(seconds(welcome.lease_duration), 15);
    assert_eq!(seconds(welcome.heartbeat_interval), 5);
    let window = welcome.window.unwrap();
    assert_eq!(window.max_messages, Some(3));
    assert_eq!(window.max_bytes, Some(64 * 1_024 * 1_024), "resolved");
    assert_eq!(window.max_sessions, Some(100));
}

#[tokio::test]
async fn an_attach_takes_the_lease_and_messages_come_in_order_as_they_are_settled() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await;
    caller.enqueued(key("a"), &["one", "two", "three"]).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let mut worker = WorkStream::worker(&caller, "w", 2).await;
    let attached = worker.attached_to(key("a")).await;
    let lease = attached.lease.unwrap();
    assert_eq!(
        (lease.worker.as_str(), lease.session_id.as_str()),
        ("w", session.session_id.as_str())
    );
    assert_eq!(attached.session.unwrap().session_id, session.session_id);
    assert_eq!(attached.voided_keys, [""; 0]);
    assert_eq!(
        types(&watch.batch().await.events),
        [pb::EventType::WorkerAttached]
    );
    let out = worker.delivered(2).await;
    assert_eq!(payloads(&out), ["one", "two"]);
    assert!(out.iter().all(|delivery| delivery.epoch == lease.epoch));
    let told = worker
        .settle(vec![ack(&out[0]), extend(&out[1], 60_000)])
        .await;
    assert_eq!([told[0].code(), told[1].code()], [pb::SettleCode::Ok; 2]);
    assert!(told[1].deadline.is_some());
    assert_eq!(payloads(&worker.delivered(1).await), ["three"]);
    caller.enqueued(key("a"), &["four"]).await;
    worker.is_quiet().await;
    assert_eq!(worker.code(ack(&out[1])).await, pb::SettleCode::Ok);
    assert_eq!(
        payloads(&worker.delivered(1).await),
        ["four"],
        "what came later comes by itself"
    );
}

#[tokio::test]
async fn a_settle_frame_has_one_answer_in_the_order_of_the_frames() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["m"; 20]).await;
    let mut worker = WorkStream::worker(&caller, "w", 64).await;
    worker.attached_to(key("a")).await;
    let out = worker.delivered(20).await;
    for delivery in &out {
        let settlements = vec![ack(delivery), ack(delivery)];
        worker.say(Said::Settle(pb::Settle { settlements }));
    }
    for delivery in &out {
        let Frame::Settled(settled) = worker.next().await else {
            panic!("only answers are awaited");
        };
        let codes = [settled.results[0].code(), settled.results[1].code()];
        assert_eq!(codes, [pb::SettleCode::Ok, pb::SettleCode::AlreadySettled]);
        assert_eq!(settled.results[0].delivery_id, delivery.delivery_id);
        assert_eq!(settled.revision, 2);
    }
}

#[tokio::test]
async fn a_nack_and_a_dead_letter_on_a_stream_are_as_without_one() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["one"]).await;
    let mut worker = WorkStream::worker(&caller, "w", 4).await;
    worker.attached_to(key("a")).await;
    let mut watch = WatchStream::from_now(&caller).await;
    for attempt in 1..=3 {
        let out = worker.delivered(1).await;
        assert_eq!(attempts(&out), [attempt]);
        let retry = nack(&out[0], pb::NackKind::Retry, Some(1));
        assert_eq!(worker.code(retry).await, pb::SettleCode::Ok);
    }
    watch
        .event(pb::EventType::MessageDeadLettered, &session)
        .await;
    worker.is_quiet().await;
}

#[tokio::test]
async fn an_attach_that_fails_is_answered_by_a_frame() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut holder = WorkStream::worker(&caller, "holder", 1).await;
    caller.opened("held").await;
    holder.attached_to(key("held")).await;
    let ended = caller.opened("over").await.session_id;
    let over = end(key("over"), pb::EndReason::Failed, pb::EndMode::Immediate);
    caller.end(over).await.expect("ended");
    let mut worker = WorkStream::worker(&caller, "w", 1).await;
    let mut failed = async |session: Option<pb::SessionRef>, code: Code, reason: Reason| {
        worker.attach(session);
        let status = worker.attach_failed().await;
        assert_eq!(
            (status.code, status.reason.as_str()),
            (code as i32, reason.as_str())
        );
        status
    };
    failed(key("none"), Code::NotFound, Reason::SessionNotFound).await;
    failed(key("over"), Code::NotFound, Reason::SessionNotFound).await;
    failed(id(&ended), Code::FailedPrecondition, Reason::SessionEnded).await;
    let held = failed(key("held"), Code::FailedPrecondition, Reason::LeaseHeld).await;
    assert_eq!(
        held.metadata.get("holder").map(String::as_str),
        Some("holder")
    );
    assert!(held.retry_after.is_some());
    let invalid = failed(None, Code::InvalidArgument, Reason::FieldInvalid).await;
    assert_eq!(invalid.violations[0].field, "attach.ref");
    failed(key(""), Code::InvalidArgument, Reason::FieldInvalid).await;
    caller.opened("a").await;
    worker.attached_to(key("a")).await;
}

#[tokio::test]
async fn a_clean_detach_returns_deliveries_to_their_place_uncounted() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["one", "two", "three"]).await;
    let mut worker = WorkStream::worker(&caller, "w", 2).await;
    let epoch = worker.attached_to(key("a")).await.lease.unwrap().epoch;
    let out = worker.delivered(2).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let detach = || {
        Said::Detach(pb::Detach {
            session_id: session.clone(),
        })
    };
    worker.say(detach());
    let lost = worker.lease_lost().await;
    assert_eq!(
        (lost.reason(), lost.epoch),
        (pb::LeaseLostReason::Detached, epoch)
    );
    assert_eq!(
        types(&watch.batch().await.events),
        [pb::EventType::WorkerDetached]
    );
    worker.say(detach());
    let again = worker.lease_lost().await;
    assert_eq!(
        (again.reason(), again.epoch),
        (pb::LeaseLostReason::Detached, 0),
        "harmless"
    );
    let next = caller.claimed(key("a"), "other").await;
    assert_eq!(
        (seqs(&next), attempts(&next)),
        (vec![1, 2, 3], vec![1, 1, 1])
    );
    assert_eq!(
        worker.code(ack(&out[0])).await,
        pb::SettleCode::StaleDelivery
    );
}

#[tokio::test]
async fn a_goodbye_gives_every_lease_back_and_the_server_closes_the_stream() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut worker = WorkStream::worker(&caller, "w", 8).await;
    for name in ["a", "b", "c"] {
        caller.opened(name).await;
        caller.enqueued(key(name), &[name]).await;
        worker.attached_to(key(name)).await;
        worker.delivered(1).await;
    }
    let detail = "done for today".to_owned();
    worker.say(Said::Goodbye(pb::Goodbye { detail }));
    worker.closed().await;
    for name in ["a", "b", "c"] {
        let out = caller.claimed(key(name), "other").await;
        assert_eq!(
            (payloads(&out), attempts(&out)),
            (vec![name.to_owned()], vec![1])
        );
    }
    let workers = caller.list_workers(pb::ListWorkersRequest::default()).await;
    assert_eq!(workers.expect("listed").workers, []);
}

#[tokio::test]
async fn an_attach_behind_a_goodbye_is_never_granted() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let mut worker = WorkStream::worker(&caller, "w", 8).await;
    worker.say(Said::Goodbye(pb::Goodbye::default()));
    worker.attach(key("a"));
    // The end of the stream may be faster than the answer; nothing else may.
    while let Some(frame) = worker.frame().await.expect("closed in order") {
        match frame {
            Frame::Heartbeat(_) => {}
            Frame::AttachFailed(failed) => {
                let status = failed.status.expect("why it failed");
                assert_eq!(status.reason, Reason::FieldInvalid.as_str());
                assert_eq!(status.violations[0].field, "attach");
            }
            other => panic!("a worker that left is told {other:?}"),
        }
    }
    let mut other = WorkStream::worker(&caller, "other", 8).await;
    other.attached_to(key("a")).await;
    assert_eq!(payloads(&other.delivered(1).await), ["one"]);
    assert_eq!(
        types(&watch.batch().await.events),
        [pb::EventType::WorkerAttached],
        "nobody was attached before"
    );
}

#[tokio::test]
async fn a_detach_of_what_there_is_not_is_answered_like_any_other() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut worker = WorkStream::worker(&caller, "w", 8).await;
    let elsewhere = caller.opened("a").await.session_id;
    for session_id in ["nobody".to_owned(), elsewhere] {
        worker.say(Said::Detach(pb::Detach {
            session_id: session_id.clone(),
        }));
        let expected = pb::LeaseLost {
            session_id,
            reason: pb::LeaseLostReason::Detached.into(),
            successor_id: String::new(),
            epoch: 0,
        };
        assert_eq!(worker.lease_lost().await, expected);
    }
    worker.attached_to(key("a")).await;
}

#[tokio::test]
async fn a_lease_of_a_claim_becomes_the_streams_under_a_new_epoch() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    let claimed = caller.claim(claim(key("a"), "w")).await.expect("claimed");
    let mut worker = WorkStream::worker(&caller, "w", 4).await;
    let lease = worker.attached_to(key("a")).await.lease.unwrap();
    assert!(lease.epoch > claimed.lease.unwrap().epoch);
    let out = worker.delivered(1).await;
    assert_eq!(attempts(&out), [1], "given back and taken again, uncounted");
    assert_eq!(
        caller.code(ack(&claimed.deliveries[0])).await,
        pb::SettleCode::StaleDelivery
    );
    assert_eq!(worker.code(ack(&out[0])).await, pb::SettleCode::Ok);
}

#[tokio::test]
async fn attaching_what_it_holds_is_answered_as_before() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    let mut worker = WorkStream::worker(&caller, "w", 4).await;
    let first = worker.attached_to(key("a")).await.lease.unwrap();
    worker.delivered(1).await;
    let again = worker.attached_to(key("a")).await.lease.unwrap();
    assert_eq!(again.epoch, first.epoch);
    worker.is_quiet().await;
    assert_eq!(caller.revision().await, 2);
}

#[tokio::test]
async fn workers_with_a_stream_are_listed_by_name_and_instance() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["one"]).await;
    let mut streams = Vec::new();
    for (worker, instance) in [("w", "2"), ("v", "9"), ("w", "1")] {
        let hello = pb::Hello {
            instance_id: format!("{worker}-{instance}"),
            build_id: "b7".to_owned(),
            labels: labels(&[("zone", instance)]),
            ..hello(worker, 2)
        };
        streams.push(WorkStream::greet(&caller, hello).await.0);
    }
    let epoch = streams[1].attached_to(key("a")).await.lease.unwrap().epoch;
    streams[1].delivered(1).await;
    let page = |token: &str| pb::ListWorkersRequest {
        page_size: 2,
        page_token: token.to_owned(),
    };
    let first = caller.list_workers(page("")).await.expect("listed");
    let second = caller
        .list_workers(page(&first.next_page_token))
        .await
        .expect("listed");
    assert_eq!(second.next_page_token, "");
    let names = |page: &pb::ListWorkersResponse| -> Vec<String> {
        page.workers
            .iter()
            .map(|worker| worker.instance_id.clone())
            .collect()
    };
    assert_eq!(
        (names(&first), names(&second)),
        (
            vec!["v-9".to_owned(), "w-1".to_owned()],
            vec!["w-2".to_owned()]
        )
    );
    let busy = &first.workers[0];
    assert_eq!(
        (busy.worker.as_str(), busy.build_id.as_str(), busy.in_flight),
        ("v", "b7", 1)
    );
    assert_eq!(busy.labels, labels(&[("zone", "9")]));
    let held = &busy.attached_sessions;
    assert_eq!(
        *held,
        [pb::AttachedSession {
            session_id: session,
            epoch
        }]
    );
    assert!(busy.connect_time.is_some() && busy.last_seen_time.is_some());
    assert_eq!(busy.window.unwrap().max_messages, Some(2));
}
