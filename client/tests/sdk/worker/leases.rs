//! Leases that are asked for, held by others, lost and cancelled.

use std::time::Duration;

use pb::work_request::Frame as Sent;
use pb::work_response::Frame;
use sessiond_client::{Cancellation, Error, Outcome, WorkerEvent, pb, session_id, session_key};
use sessiond_proto::reason::Reason;
use tokio::time::Instant;

use super::{
    attach_failed, attached, builder, deliveries, ids, lease_lost, run, serving, settled, welcome,
};
use crate::fake_server::{FakeServer, WorkCall};

/// The next frame, which must be an attach.
async fn attach(work: &mut WorkCall) -> pb::SessionRef {
    match work.frame().await {
        Sent::Attach(attach) => attach.r#ref.unwrap(),
        other => panic!("expected an attach, got {other:?}"),
    }
}

async fn cancel_result(work: &mut WorkCall) -> pb::CancelOutcome {
    match work.frame().await {
        Sent::CancelResult(result) => result.outcome(),
        other => panic!("expected a cancel result, got {other:?}"),
    }
}

fn cancel(session_id: &str, delivery_ids: &[u64]) -> Frame {
    let mut cancel = pb::Cancel {
        session_id: session_id.to_owned(),
        delivery_ids: delivery_ids.to_vec(),
        ..Default::default()
    };
    cancel.set_reason(pb::CancelReason::Interrupt);
    Frame::Cancel(cancel)
}

#[tokio::test]
async fn held_session_is_asked_for_again_after_the_time_it_takes() {
    let mut server = FakeServer::start().await;
    let mut worker = run(builder(&server).attach(session_key("key-s")));
    let (_, mut work) = welcome(&mut server).await;
    assert_eq!(attach(&mut work).await, session_key("key-s"));
    let wait = Duration::from_millis(200);
    let refused = Instant::now();
    work.send(attach_failed("key-s", Reason::LeaseHeld, Some(wait)))
        .await;
    assert_eq!(attach(&mut work).await, session_key("key-s"));
    assert!(refused.elapsed() >= wait);
    let (error, retry_in) = worker
        .event(|event| match event {
            WorkerEvent::AttachFailed {
                error, retry_in, ..
            } => Some((error, retry_in)),
            _other => None,
        })
        .await;
    assert_eq!(error.reason(), Some(Reason::LeaseHeld));
    assert!(retry_in.is_some_and(|retry_in| retry_in >= wait));
}

#[tokio::test]
async fn worker_ends_when_nothing_is_left_to_attach_to() {
    let mut server = FakeServer::start().await;
    let worker = run(builder(&server).attach(session_key("none")));
    let (_, mut work) = welcome(&mut server).await;
    attach(&mut work).await;
    work.send(attach_failed("none", Reason::SessionNotFound, None))
        .await;
    let error = worker.end().await.unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error:?}");
}

#[tokio::test]
async fn ended_session_is_no_failure_of_who_worked_on_it() {
    let mut server = FakeServer::start().await;
    let worker = run(builder(&server).attach(session_key("key-s")));
    let (_, mut work) = welcome(&mut server).await;
    attach(&mut work).await;
    work.send(attached("s", 1, 1)).await;
    work.send(lease_lost("s", pb::LeaseLostReason::SessionEnded, ""))
        .await;
    // The key may have another session by now.
    assert_eq!(attach(&mut work).await, session_key("key-s"));
    work.send(attach_failed("key-s", Reason::SessionNotFound, None))
        .await;
    worker.end().await.unwrap();
}

#[tokio::test]
async fn session_with_nothing_to_do_is_awaited_and_not_asked_for() {
    let mut server = FakeServer::start().await;
    let mut worker = run(builder(&server).attach(session_key("key-s")));
    let (_, mut work) = welcome(&mut server).await;
    attach(&mut work).await;
    let held = |event| matches!(event, WorkerEvent::Attached { .. }).then_some(());
    work.send(attached("s", 1, 1)).await;
    worker.event(held).await;
    work.send(lease_lost("s", pb::LeaseLostReason::Idle, ""))
        .await;
    // There is work again: it comes unasked, and is worked on.
    work.send(attached("s", 2, 1)).await;
    worker.event(held).await;
    work.send(deliveries("s", (1, 2), &[(1, 11)])).await;
    worker.job().await.finish(Outcome::ack());
    let settlements = work.settle().await;
    assert_eq!(ids(&settlements), [11], "an attach would have come before");
    work.send(settled(&settlements)).await;
    work.send(lease_lost("s", pb::LeaseLostReason::Idle, ""))
        .await;
    let lost = |event| matches!(event, WorkerEvent::LeaseLost(_)).then_some(());
    worker.event(lost).await;
    // A new stream is told of nothing that the old one rested from.
    server.cut();
    let (_, mut work) = welcome(&mut server).await;
    assert_eq!(attach(&mut work).await, session_key("key-s"));
    work.send(attached("s", 3, 1)).await;
    work.send(lease_lost("s", pb::LeaseLostReason::Idle, ""))
        .await;
    work.send(lease_lost("s", pb::LeaseLostReason::SessionEnded, ""))
        .await;
    assert_eq!(attach(&mut work).await, session_key("key-s"));
}

#[tokio::test]
async fn successor_is_followed() {
    let mut server = FakeServer::start().await;
    let _worker = run(builder(&server).attach(session_id("s")));
    let (_, mut work) = welcome(&mut server).await;
    attach(&mut work).await;
    work.send(attached("s", 1, 1)).await;
    work.send(lease_lost("s", pb::LeaseLostReason::Succeeded, "s2"))
        .await;
    assert_eq!(attach(&mut work).await, session_id("s2"));
}

#[tokio::test]
async fn lease_that_was_not_resumed_is_asked_for() {
    let mut server = FakeServer::start().await;
    let mut worker = run(builder(&server).attach(session_key("key-s")));
    let (_, mut work) = welcome(&mut server).await;
    attach(&mut work).await;
    work.send(attached("s", 1, 1)).await;
    let held = |event| matches!(event, WorkerEvent::Attached { .. }).then_some(());
    worker.event(held).await;
    server.cut();
    let (hello, mut work) = welcome(&mut server).await;
    assert_eq!(hello.resume.len(), 1);
    work.send(lease_lost("s", pb::LeaseLostReason::Lapsed, ""))
        .await;
    assert_eq!(attach(&mut work).await, session_key("key-s"));
}

#[tokio::test]
async fn lost_lease_stops_what_runs_and_drops_what_waits() {
    let mut server = FakeServer::start().await;
    let (mut worker, mut work) = serving(&mut server).await;
    work.send(attached("s", 1, 1)).await;
    work.send(attached("t", 2, 2)).await;
    work.send(deliveries("s", (1, 1), &[(1, 11), (2, 12)]))
        .await;
    work.send(deliveries("t", (2, 2), &[(1, 21)])).await;
    let (lost, kept) = (worker.job().await, worker.job().await);
    work.send(lease_lost("s", pb::LeaseLostReason::Fenced, ""))
        .await;
    let why = lost.delivery.cancelled().await;
    let reason = pb::LeaseLostReason::Fenced;
    let successor_id = String::new();
    assert_eq!(
        why,
        Cancellation::LeaseLost {
            reason,
            successor_id
        }
    );
    assert!(kept.delivery.cancellation().is_none());
    // A nack would be fenced: it is not even sent. 12 is never started.
    lost.finish(Outcome::retry("cancelled"));
    kept.finish(Outcome::ack());
    assert_eq!(ids(&work.settle().await), [21]);
    assert!(worker.jobs.try_recv().is_err());
}

#[tokio::test]
async fn work_that_was_done_is_acked_whatever_became_of_the_lease() {
    let mut server = FakeServer::start().await;
    let (mut worker, mut work) = serving(&mut server).await;
    work.send(attached("s", 1, 1)).await;
    work.send(deliveries("s", (1, 1), &[(1, 11)])).await;
    let job = worker.job().await;
    work.send(lease_lost("s", pb::LeaseLostReason::Lapsed, ""))
        .await;
    job.delivery.cancelled().await;
    let refused = job.delivery.extend(Duration::from_secs(1)).await;
    assert!(matches!(refused, Err(Error::LeaseLost(_))), "{refused:?}");
    job.finish(Outcome::ack());
    let settlements = work.settle().await;
    assert_eq!(ids(&settlements), [11]);
    work.send(settled(&settlements)).await;
}

#[tokio::test]
async fn cancel_is_answered_when_the_work_has_stopped() {
    let mut server = FakeServer::start().await;
    let (mut worker, mut work) = serving(&mut server).await;
    work.send(cancel("s", &[])).await;
    assert_eq!(cancel_result(&mut work).await, pb::CancelOutcome::Finished);
    work.send(attached("s", 1, 1)).await;
    work.send(deliveries("s", (1, 1), &[(1, 11), (2, 12)]))
        .await;
    let job = worker.job().await;
    work.send(cancel("s", &[12])).await;
    // It waited: it has stopped without ever starting.
    assert_eq!(cancel_result(&mut work).await, pb::CancelOutcome::Stopped);
    assert!(job.delivery.cancellation().is_none());
    work.send(cancel("s", &[])).await;
    let why = job.delivery.cancelled().await;
    let reason = pb::CancelReason::Interrupt;
    assert_eq!(why, Cancellation::Requested { reason });
    job.finish(Outcome::Abandoned);
    assert_eq!(cancel_result(&mut work).await, pb::CancelOutcome::Stopped);
    assert!(worker.jobs.try_recv().is_err());
}

#[tokio::test]
async fn what_a_cancelled_handler_settles_is_said_before_the_answer() {
    let mut server = FakeServer::start().await;
    let (mut worker, mut work) = serving(&mut server).await;
    work.send(attached("s", 1, 1)).await;
    work.send(deliveries("s", (1, 1), &[(1, 11)])).await;
    let job = worker.job().await;
    work.send(cancel("s", &[11])).await;
    job.delivery.cancelled().await;
    job.finish(Outcome::ack());
    match work.frame().await {
        Sent::Settle(settle) => assert_eq!(settle.settlements[0].delivery_id, 11),
        other => panic!("expected a settle, got {other:?}"),
    }
    assert_eq!(cancel_result(&mut work).await, pb::CancelOutcome::Stopped);
}

#[tokio::test]
async fn cancel_that_is_not_heeded_is_answered_too() {
    let mut server = FakeServer::start().await;
    let (mut worker, mut work) = serving(&mut server).await;
    work.send(attached("s", 1, 1)).await;
    work.send(deliveries("s", (1, 1), &[(1, 11)])).await;
    let job = worker.job().await;
    // Without a deadline it gets the least patience there is.
    work.send(cancel("s", &[11])).await;
    assert_eq!(cancel_result(&mut work).await, pb::CancelOutcome::Failed);
    drop(job);
}
