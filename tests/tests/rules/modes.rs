//! Delivery modes: what goes before what, and what an INTERRUPT does to work in progress.

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::SettleCode as Code;
use sessiond_proto::v1::work_request::Frame as Said;
use sessiond_proto::v1::work_response::Frame;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, attempts, key, message, nack, open, payloads, seqs};
use sessiond_tests::server::Server;
use sessiond_tests::work_stream::{WorkStream, hello};

fn sent_as(mode: pb::DeliveryMode, payload: &str) -> pb::Message {
    pb::Message {
        delivery_mode: mode.into(),
        ..message(payload)
    }
}

fn steer(payload: &str) -> pb::Message {
    sent_as(pb::DeliveryMode::Steer, payload)
}

fn interrupt(payload: &str) -> pb::Message {
    sent_as(pb::DeliveryMode::Interrupt, payload)
}

async fn send(caller: &Caller, messages: Vec<pb::Message>) {
    caller.sent(key("a"), messages).await;
}

/// A worker that has two messages in flight.
async fn at_work(caller: &Caller) -> (WorkStream, Vec<pb::Delivery>) {
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one", "two"]).await;
    let mut worker = WorkStream::worker(caller, "w", 8).await;
    worker.attached_to(key("a")).await;
    let out = worker.delivered(2).await;
    (worker, out)
}

async fn cancel(worker: &mut WorkStream) -> pb::Cancel {
    match worker.next().await {
        Frame::Cancel(cancel) => cancel,
        other => panic!("`cancel` is awaited, not {other:?}"),
    }
}

fn answer(worker: &WorkStream, cancel: &pb::Cancel, outcome: pb::CancelOutcome) {
    worker.say(Said::CancelResult(pb::CancelResult {
        session_id: cancel.session_id.clone(),
        outcome: outcome.into(),
        detail: String::new(),
    }));
}

fn ids(deliveries: &[pb::Delivery]) -> Vec<u64> {
    deliveries.iter().map(|one| one.delivery_id).collect()
}

/// Proves: B7.
#[tokio::test]
async fn what_interrupts_goes_before_what_steers_and_both_before_all_others() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let all = vec![
        message("f1"),
        steer("s1"),
        interrupt("i1"),
        message("f2"),
        steer("s2"),
        interrupt("i2"),
    ];
    send(&caller, all).await;
    let out = caller.claimed(key("a"), "w").await;
    assert_eq!(payloads(&out), ["i1", "i2", "s1", "s2", "f1", "f2"]);
    let shown = |one: &pb::Delivery| one.message.as_ref().unwrap().delivery_mode();
    let modes: Vec<_> = out.iter().map(shown).collect();
    assert_eq!(modes[0], pb::DeliveryMode::Interrupt);
    assert_eq!(modes[2], pb::DeliveryMode::Steer);
    assert_eq!(modes[4], pb::DeliveryMode::FollowUp);
}

#[tokio::test]
async fn a_steering_message_passes_one_that_waits_to_be_tried_again_and_holds_the_others_back_itself()
 {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let mut worker = WorkStream::worker(&caller, "w", 8).await;
    worker.attached_to(key("a")).await;
    send(&caller, vec![message("f1")]).await;
    let out = worker.delivered(1).await;
    let failed = nack(&out[0], pb::NackKind::Retry, Some(60_000));
    assert_eq!(worker.code(failed).await, Code::Ok);
    send(&caller, vec![message("f2")]).await;
    worker.is_quiet().await;
    send(&caller, vec![steer("s1")]).await;
    let steered = worker.delivered(1).await;
    assert_eq!(payloads(&steered), ["s1"]);
    let failed = nack(&steered[0], pb::NackKind::Retry, Some(60_000));
    assert_eq!(worker.code(failed).await, Code::Ok);
    send(&caller, vec![steer("s2")]).await;
    worker.is_quiet().await;
    send(&caller, vec![interrupt("i1")]).await;
    assert_eq!(payloads(&worker.delivered(1).await), ["i1"]);
}

/// Proves: B7, F62.
#[tokio::test]
async fn an_interrupt_cancels_what_is_in_flight_and_goes_first_when_the_worker_has_stopped() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (mut worker, out) = at_work(&caller).await;
    send(&caller, vec![message("three"), interrupt("stop")]).await;
    let asked = cancel(&mut worker).await;
    assert_eq!(asked.reason(), pb::CancelReason::Interrupt);
    assert_eq!(asked.delivery_ids, ids(&out));
    assert!(asked.deadline.is_some());
    worker.is_quiet().await;
    answer(&worker, &asked, pb::CancelOutcome::Stopped);
    let again = worker.delivered(4).await;
    assert_eq!(payloads(&again), ["stop", "one", "two", "three"]);
    assert_eq!(attempts(&again), [1, 1, 1, 1], "not counted");
    assert_eq!(worker.code(ack(&out[0])).await, Code::StaleDelivery);
    let settled = worker.settle(again.iter().map(ack).collect()).await;
    assert!(settled.iter().all(|one| one.code() == Code::Ok));
}

#[tokio::test]
async fn a_worker_that_does_not_answer_is_not_waited_for_and_its_ack_counts_until_then() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let serial = pb::OpenSessionRequest {
        ordering: pb::Ordering::Serial.into(),
        ..open("a")
    };
    caller.open(serial).await.expect("opened");
    caller.enqueued(key("a"), &["one"]).await;
    let mut worker = WorkStream::worker(&caller, "w", 8).await;
    worker.attached_to(key("a")).await;
    let out = worker.delivered(1).await;
    send(&caller, vec![interrupt("stop")]).await;
    let asked = cancel(&mut worker).await;
    answer(&worker, &asked, pb::CancelOutcome::Finished);
    worker.is_quiet().await;
    // 5 s later the server goes on; the stream is kept alive meanwhile.
    let next = loop {
        worker.say(Said::Heartbeat(pb::Heartbeat {}));
        match worker.frame().await.expect("the stream goes on") {
            Some(Frame::Delivery(batch)) => break batch.deliveries,
            Some(Frame::Heartbeat(_)) => {}
            other => panic!("a delivery is awaited, not {other:?}"),
        }
    };
    assert_eq!(payloads(&next), ["stop"]);
    assert_eq!(
        worker.code(ack(&out[0])).await,
        Code::Ok,
        "not handed out again"
    );
    assert_eq!(worker.code(ack(&next[0])).await, Code::Ok);
    assert_eq!(caller.messages_of(key("a")).await, []);
}

/// Proves: F62.
#[tokio::test]
async fn a_worker_that_settles_everything_instead_gets_the_next_at_once() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (mut worker, out) = at_work(&caller).await;
    send(&caller, vec![interrupt("stop"), interrupt("now")]).await;
    let asked = cancel(&mut worker).await;
    let failed = nack(&out[1], pb::NackKind::Retry, Some(60_000));
    let codes = worker.settle(vec![ack(&out[0]), failed]).await;
    assert!(codes.iter().all(|one| one.code() == Code::Ok));
    let next = worker.delivered(2).await;
    assert_eq!(payloads(&next), ["stop", "now"]);
    // The late answer is about nothing.
    answer(&worker, &asked, pb::CancelOutcome::Stopped);
    worker.is_quiet().await;
    send(&caller, vec![interrupt("again")]).await;
    assert_eq!(cancel(&mut worker).await.delivery_ids, ids(&next));
}

#[tokio::test]
async fn a_worker_that_could_not_stop_has_its_work_taken_all_the_same() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (mut worker, _) = at_work(&caller).await;
    send(&caller, vec![interrupt("stop")]).await;
    let asked = cancel(&mut worker).await;
    answer(&worker, &asked, pb::CancelOutcome::Failed);
    let again = worker.delivered(3).await;
    assert_eq!(payloads(&again), ["stop", "one", "two"]);
    assert_eq!(attempts(&again), [1, 1, 1]);
}

#[tokio::test]
async fn the_next_claim_of_a_worker_without_a_stream_is_its_answer() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    let out = caller.claimed(key("a"), "w").await;
    send(&caller, vec![interrupt("stop")]).await;
    let next = caller.claimed(key("a"), "w").await;
    assert_eq!(payloads(&next), ["stop", "one"]);
    assert_eq!(attempts(&next), [1, 1]);
    assert_eq!(caller.code(ack(&out[0])).await, Code::StaleDelivery);
}

#[tokio::test]
async fn an_interrupt_outlives_a_sigkill_and_is_told_again_to_who_comes_back() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    let (mut worker, out) = at_work(&caller).await;
    send(&caller, vec![interrupt("stop")]).await;
    let asked = cancel(&mut worker).await;
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    let resume = pb::Resume {
        session_id: asked.session_id.clone(),
        queue_id: out[0].message.as_ref().unwrap().queue_id,
        epoch: out[0].epoch,
        delivery_ids: ids(&out),
    };
    let back = pb::Hello {
        resume: vec![resume],
        ..hello("w", 8)
    };
    let (mut worker, _) = WorkStream::greet(&caller, back).await;
    worker.attached().await;
    let told = cancel(&mut worker).await;
    assert_eq!(told.delivery_ids, asked.delivery_ids);
    answer(&worker, &told, pb::CancelOutcome::Stopped);
    let again = worker.delivered(3).await;
    assert_eq!(payloads(&again), ["stop", "one", "two"]);
    assert_eq!(attempts(&again), [1, 1, 1]);
}

#[tokio::test]
async fn an_answer_about_a_session_that_is_not_held_says_nothing() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await;
    let mut worker = WorkStream::worker(&caller, "w", 8).await;
    worker.say(Said::CancelResult(pb::CancelResult {
        session_id: session.session_id.clone(),
        outcome: pb::CancelOutcome::Stopped.into(),
        detail: "nobody asked".to_owned(),
    }));
    worker.is_quiet().await;
}

#[tokio::test]
async fn an_interrupt_that_waits_for_its_time_cancels_when_it_comes() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let (mut worker, out) = at_work(&caller).await;
    let soon = std::time::SystemTime::now() + std::time::Duration::from_millis(300);
    let later = pb::Message {
        not_before_time: Some(soon.into()),
        ..interrupt("stop")
    };
    send(&caller, vec![later]).await;
    assert_eq!(seqs(&out), [1, 2]);
    let asked = cancel(&mut worker).await;
    assert_eq!(asked.delivery_ids, ids(&out));
}
