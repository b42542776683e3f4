//! How a worker stops.

use std::time::Duration;

use pb::work_request::Frame as Sent;
use sessiond_client::{Cancellation, Outcome, WorkerEvent, pb};

use super::{attached, builder, deliveries, ids, run, serving, settled, welcome};
use crate::fake_server::{FakeServer, WorkCall, within};

/// The next frame, which must be a window through which nothing comes.
async fn closed_window(work: &mut WorkCall) {
    match work.frame().await {
        Sent::Window(window) => assert_eq!(window.max_messages, Some(0)),
        other => panic!("expected a window, got {other:?}"),
    }
}

async fn goodbye(work: &mut WorkCall) {
    match work.frame().await {
        Sent::Goodbye(_) => {}
        other => panic!("expected a goodbye, got {other:?}"),
    }
}

#[tokio::test]
async fn what_runs_is_finished_and_what_waits_is_given_back() {
    let mut server = FakeServer::start().await;
    let (mut worker, mut work) = serving(&mut server).await;
    work.send(attached("s", 1, 1)).await;
    work.send(deliveries("s", (1, 1), &[(1, 11), (2, 12)]))
        .await;
    let job = worker.job().await;
    worker.stop.send(()).unwrap();
    closed_window(&mut work).await;
    // Sent before the server saw the window: not started any more.
    work.send(deliveries("s", (1, 1), &[(3, 13)])).await;
    assert!(job.delivery.cancellation().is_none());
    job.finish(Outcome::ack());
    let settlements = work.settle().await;
    assert_eq!(ids(&settlements), [11]);
    work.send(settled(&settlements)).await;
    goodbye(&mut work).await;
    assert!(worker.jobs.try_recv().is_err());
    drop(work);
    within(worker.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn handler_that_does_not_finish_is_told_and_then_dropped() {
    let mut server = FakeServer::start().await;
    let grace = Duration::from_millis(20);
    let filter = pb::SessionFilter::default();
    let mut worker = run(builder(&server).serves(filter).stop_grace(grace));
    let (_, mut work) = welcome(&mut server).await;
    work.send(attached("s", 1, 1)).await;
    work.send(deliveries("s", (1, 1), &[(1, 11)])).await;
    let mut job = worker.job().await;
    worker.stop.send(()).unwrap();
    closed_window(&mut work).await;
    let why = within(job.delivery.cancelled()).await;
    assert_eq!(why, Cancellation::Stopping);
    within(job.outcome.closed()).await;
    // Its delivery is given back with the lease: nothing is settled.
    goodbye(&mut work).await;
    drop(work);
    within(worker.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn last_settlements_survive_a_cut() {
    let mut server = FakeServer::start().await;
    let (mut worker, mut work) = serving(&mut server).await;
    work.send(attached("s", 1, 1)).await;
    work.send(deliveries("s", (1, 1), &[(1, 11)])).await;
    let job = worker.job().await;
    worker.stop.send(()).unwrap();
    closed_window(&mut work).await;
    job.finish(Outcome::ack());
    assert_eq!(ids(&work.settle().await), [11]);
    server.cut();
    let (hello, mut work) = welcome(&mut server).await;
    // It comes back to settle, not to work.
    assert_eq!(hello.serves, None);
    assert_eq!(hello.window.unwrap().max_messages, Some(0));
    assert_eq!(hello.resume[0].delivery_ids, [11]);
    let settlements = work.settle().await;
    assert_eq!(ids(&settlements), [11]);
    work.send(settled(&settlements)).await;
    goodbye(&mut work).await;
    drop(work);
    within(worker.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn worker_that_never_connected_stops_at_once() {
    let server = FakeServer::start().await;
    let filter = pb::SessionFilter::default();
    let worker = builder(&server).serves(filter).build().unwrap();
    let handler = |_| std::future::ready(Outcome::ack());
    within(worker.run(handler, std::future::ready(())))
        .await
        .unwrap();
}

#[tokio::test]
async fn dropped_worker_leaves_nothing_behind() {
    let mut server = FakeServer::start().await;
    let (mut worker, work) = serving(&mut server).await;
    work.send(attached("s", 1, 1)).await;
    work.send(deliveries("s", (1, 1), &[(1, 11)])).await;
    let mut job = worker.job().await;
    worker.task.abort();
    within(job.outcome.closed()).await;
    within(work.frames.closed()).await;
    let refused = job.delivery.extend(Duration::from_secs(1)).await;
    assert!(refused.is_err(), "{refused:?}");
    while let Some(event) = within(worker.events.recv()).await {
        assert!(
            !matches!(event, WorkerEvent::Disconnected { .. }),
            "{event:?}"
        );
    }
}
