//! What a worker does about a stream that breaks.

use std::time::Duration;

use sessiond_client::{Error, LinkState, Outcome, WorkerEvent, pb};
use sessiond_proto::reason::Reason;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::{attached, builder, deliveries, ids, run, serving, settled, welcome};
use crate::fake_server::{FakeServer, within};

#[tokio::test]
async fn hello_says_who_and_what() {
    let mut server = FakeServer::start().await;
    let filter = pb::SessionFilter {
        project: "p".to_owned(),
        ..Default::default()
    };
    let _worker = run(builder(&server)
        .build_id("b7")
        .label("zone", "a")
        .window(3)
        .serves(filter.clone()));
    let (hello, _work) = server.work().await;
    assert_eq!(
        (hello.worker.as_str(), hello.instance_id.as_str()),
        ("w", "i")
    );
    assert_eq!(
        (hello.build_id.as_str(), hello.labels["zone"].as_str()),
        ("b7", "a")
    );
    assert_eq!(hello.window.unwrap().max_messages, Some(3));
    assert_eq!(hello.serves, Some(filter));
    assert_eq!(hello.resume, []);
}

#[tokio::test]
async fn handlers_run_on_and_are_resumed() {
    let mut server = FakeServer::start().await;
    let (mut worker, mut work) = serving(&mut server).await;
    work.send(attached("a", 1, 5)).await;
    work.send(attached("b", 2, 6)).await;
    work.send(deliveries("a", (1, 5), &[(1, 11), (2, 12)]))
        .await;
    let job = worker.job().await;
    server.cut();
    let (hello, second) = welcome(&mut server).await;
    let resume = |session_id: &str, queue_id, epoch, delivery_ids: &[u64]| pb::Resume {
        session_id: session_id.to_owned(),
        queue_id,
        epoch,
        delivery_ids: delivery_ids.to_vec(),
    };
    let expected = [resume("a", 1, 5, &[11, 12]), resume("b", 2, 6, &[])];
    assert_eq!(hello.resume, expected);
    assert!(job.delivery.cancellation().is_none());
    work = second;
    work.send(attached("a", 1, 5)).await;
    // Sent again although it is here: it is not worked on twice.
    work.send(deliveries("a", (1, 5), &[(1, 11), (2, 12)]))
        .await;
    job.finish(Outcome::ack());
    assert_eq!(ids(&work.settle().await), [11]);
    let next = worker.job().await;
    assert_eq!(next.delivery.delivery_id(), 12);
    next.finish(Outcome::ack());
    assert_eq!(ids(&work.settle().await), [12]);
    assert!(worker.jobs.try_recv().is_err());
}

#[tokio::test]
async fn unanswered_settlements_are_sent_again_in_their_order() {
    let mut server = FakeServer::start().await;
    let (mut worker, mut work) = serving(&mut server).await;
    work.send(attached("s", 1, 1)).await;
    work.send(deliveries("s", (1, 1), &[(1, 11), (2, 12), (3, 13)]))
        .await;
    worker.job().await.finish(Outcome::ack());
    let answered = work.settle().await;
    work.send(settled(&answered)).await;
    worker.job().await.finish(Outcome::ack());
    assert_eq!(ids(&work.settle().await), [12]);
    server.cut();
    // Finished while there is no connection, or just before it is noticed.
    worker.job().await.finish(Outcome::retry("late"));
    let (hello, mut work) = welcome(&mut server).await;
    assert_eq!(hello.resume[0].delivery_ids, [12, 13]);
    let mut again = work.settle().await;
    while again.len() < 2 {
        again.extend(work.settle().await);
    }
    assert_eq!(ids(&again), [12, 13]);
}

#[tokio::test]
async fn answer_that_fits_no_frame_ends_the_stream_and_not_the_worker() {
    let mut server = FakeServer::start().await;
    let (mut worker, work) = serving(&mut server).await;
    work.send(settled(&[])).await;
    let error = worker
        .event(|event| match event {
            WorkerEvent::Disconnected { error, .. } => Some(error),
            _other => None,
        })
        .await;
    assert!(matches!(error, Error::Protocol(_)), "{error:?}");
    welcome(&mut server).await;
}

#[tokio::test]
async fn newer_hand_out_replaces_an_older_one() {
    let mut server = FakeServer::start().await;
    let (mut worker, mut work) = serving(&mut server).await;
    work.send(attached("s", 1, 1)).await;
    work.send(deliveries("s", (1, 1), &[(1, 11)])).await;
    let old = worker.job().await;
    work.send(deliveries("s", (1, 1), &[(1, 15)])).await;
    let why = within(old.delivery.cancelled()).await;
    assert_eq!(why, sessiond_client::Cancellation::Superseded);
    // Even work that is done does not count any more.
    old.finish(Outcome::ack());
    let new = worker.job().await;
    assert_eq!(new.delivery.delivery_id(), 15);
    new.finish(Outcome::ack());
    assert_eq!(ids(&work.settle().await), [15]);
}

#[tokio::test]
async fn silent_worker_is_heard() {
    let mut server = FakeServer::start().await;
    let _worker = run(builder(&server).serves(pb::SessionFilter::default()));
    let (_, mut work) = server.work().await;
    let interval = Duration::from_millis(100);
    work.send(pb::work_response::Frame::Welcome(pb::Welcome {
        heartbeat_interval: Some(interval.try_into().unwrap()),
        ..Default::default()
    }))
    .await;
    for _ in 0..3 {
        work.heartbeat().await;
    }
}

#[tokio::test]
async fn draining_server_is_left_only_when_it_closes() {
    let mut server = FakeServer::start().await;
    let (mut worker, mut work) = serving(&mut server).await;
    work.send(attached("s", 1, 1)).await;
    work.send(deliveries("s", (1, 1), &[(1, 11)])).await;
    let job = worker.job().await;
    let quiesce = pb::work_response::Frame::Quiesce(pb::Quiesce::default());
    work.send(quiesce).await;
    let mut go_away = pb::GoAway::default();
    go_away.set_reason(pb::GoAwayReason::ServerDraining);
    work.send(pb::work_response::Frame::GoAway(go_away)).await;
    let quiesced = |event| matches!(event, WorkerEvent::Quiesced).then_some(());
    worker.event(quiesced).await;
    job.finish(Outcome::ack());
    assert_eq!(ids(&work.settle().await), [11]);
    drop(work);
    welcome(&mut server).await;
}

#[tokio::test]
async fn worker_that_was_taken_over_does_not_come_back() {
    let mut server = FakeServer::start().await;
    let (worker, work) = serving(&mut server).await;
    let mut go_away = pb::GoAway::default();
    go_away.set_reason(pb::GoAwayReason::TakenOver);
    work.send(pb::work_response::Frame::GoAway(go_away)).await;
    let error = worker.end().await.unwrap_err();
    assert!(matches!(error, Error::LeaseLost(_)), "{error:?}");
}

#[tokio::test]
async fn refused_worker_says_why() {
    let mut server = FakeServer::start().await;
    let (worker, work) = serving(&mut server).await;
    let mut details = ErrorDetails::new();
    details.set_error_info(Reason::FieldInvalid.as_str(), "sessiond", []);
    details.add_bad_request_violation("hello.worker", "is too long");
    let status = Status::with_error_details(Code::InvalidArgument, "refused", details);
    work.refuse(status).await;
    let error = worker.end().await.unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
}

#[tokio::test]
async fn unavailable_server_is_tried_again() {
    let mut server = FakeServer::start().await;
    let worker = builder(&server).serves(pb::SessionFilter::default());
    let worker = worker.build().unwrap();
    let mut link = worker.link();
    assert_eq!(link.state(), LinkState::Connecting);
    let handler = |_| std::future::ready(Outcome::ack());
    let run = worker.run(handler, std::future::pending());
    let serve = async {
        for _ in 0..3 {
            let (_, work) = server.work().await;
            work.refuse(Status::unavailable("not yet")).await;
        }
        let (_, work) = welcome(&mut server).await;
        assert_eq!(link.settled().await, LinkState::Connected);
        work
    };
    tokio::select! {
        end = run => panic!("the worker ended: {end:?}"),
        _work = within(serve) => {}
    }
    // The future of the worker is dropped by now.
    assert_eq!(within(link.changed()).await, LinkState::Closed);
}
