//! Absence: a worker that is not heard for a lease loses what it holds, and one that beats keeps it.
//!
//! The slowest test of all is alone here, under a name that comes first: the others run beside it.

use std::time::{Duration, Instant};

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::work_request::Frame as Said;
use sessiond_proto::v1::work_response::Frame;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, attempts, key};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;
use sessiond_tests::work_stream::WorkStream;

/// What a worker hears that says nothing for longer than a lease: frames with the time of each.
async fn silence(worker: &mut WorkStream) -> Vec<(Duration, Frame)> {
    let begun = Instant::now();
    let mut heard = Vec::new();
    loop {
        let frame = worker.frame().await.expect("open").expect("open");
        let over = matches!(frame, Frame::LeaseLost(_));
        heard.push((begun.elapsed(), frame));
        if over {
            return heard;
        }
    }
}

/// Renews by a heartbeat each time the server sends one, until its session's work comes back.
async fn beating(worker: &mut WorkStream, beats: usize) {
    let mut heard = 0;
    while heard < beats {
        match worker.frame().await.expect("open").expect("open") {
            Frame::Heartbeat(_) => {
                worker.say(Said::Heartbeat(pb::Heartbeat {}));
                heard += 1;
            }
            other => panic!("only heartbeats are awaited, not {other:?}"),
        }
    }
}

/// One test for the whole 15 s of a stream's lease, so that they are waited for once.
///
/// Proves: B14.
#[tokio::test]
async fn a_silent_worker_hears_heartbeats_and_loses_its_lease_and_one_that_beats_keeps_it() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    for name in ["silent", "beats", "gone"] {
        caller.opened(name).await;
        caller.enqueued(key(name), &[name]).await;
    }
    let mut silent = WorkStream::worker(&caller, "silent", 4).await;
    silent.attached_to(key("silent")).await;
    let out = silent.delivered(1).await;
    let mut beats = WorkStream::worker(&caller, "beats", 4).await;
    let epoch = beats.attached_to(key("beats")).await.lease.unwrap().epoch;
    beats.delivered(1).await;
    let mut gone = WorkStream::worker(&caller, "gone", 4).await;
    gone.attached_to(key("gone")).await;
    gone.delivered(1).await;
    drop(gone);
    let (heard, ()) = tokio::join!(silence(&mut silent), beating(&mut beats, 4));
    let (at, Frame::LeaseLost(lost)) = heard.last().unwrap() else {
        panic!("the lease is lost last");
    };
    assert_eq!(lost.reason(), pb::LeaseLostReason::Lapsed);
    assert!(
        *at > Duration::from_secs(14) && *at < Duration::from_secs(20),
        "{at:?}"
    );
    let beaten = heard
        .iter()
        .filter(|(_, frame)| matches!(frame, Frame::Heartbeat(_)));
    assert!(
        beaten.count() >= 2,
        "every 5 s when nothing else is sent: {heard:?}"
    );
    let shown = caller.session(key("beats")).await.lease.expect("kept");
    assert_eq!(shown.epoch, epoch);
    // Whoever hangs up without a goodbye is given the same time to come back.
    let mut watch = WatchStream::from_the_start(&caller).await;
    let session = caller.session(key("gone")).await.session_id;
    watch.event(pb::EventType::WorkerLost, &session).await;
    let again = caller.claimed(key("silent"), "other").await;
    assert_eq!(attempts(&again), [2], "a lapse is counted");
    assert_eq!(
        silent.code(ack(&out[0])).await,
        pb::SettleCode::StaleDelivery
    );
}
