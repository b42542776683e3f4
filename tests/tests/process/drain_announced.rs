//! A drain that is only announced: everything goes on but that no session begins, and until the notice is over it may be
//! called off.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::drain_stream::DrainStream;
use sessiond_tests::requests::{id, key, millis, open};
use sessiond_tests::server::Server;
use sessiond_tests::sessionctl::Sessionctl;
use sessiond_tests::watch_stream::WatchStream;
use tonic::Code;

use super::drained_by_call::{report, restart};
use super::drains::{again, ended, ends, in_order, live, request, start};

const MINUTE: u64 = 60_000;

/// A restart that is announced for so long.
fn announced(notice_ms: u64) -> pb::DrainServerRequest {
    pb::DrainServerRequest {
        notice: millis(notice_ms),
        ..restart()
    }
}

async fn cancel(caller: &Caller) -> Result<pb::DrainReport, sessiond_tests::refusal::Refusal> {
    let answer = caller.cancel_drain(pb::CancelDrainRequest {}).await?;
    Ok(answer.report.expect("what came of it"))
}

/// Proves: F68.
#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_announced_all_else_goes_on_and_calling_it_off_leaves_nothing_of_it() {
    let (_temporary, run, address, _) = start();
    let caller = Caller::at(&format!("http://{address}")).await;
    let session = caller.opened("a").await.session_id;
    let refused = cancel(&caller).await.expect_err("there is no drain");
    refused.is(Code::FailedPrecondition, Reason::DrainNotCancellable);
    let mut watch = WatchStream::from_now(&caller).await;
    let drain = DrainStream::open(&caller, announced(MINUTE)).await;
    let drain = drain.expect("it is announced");
    assert!(!drain.started.joined && drain.started.notice_end_time.is_some());
    let is_it = |event: &pb::SessionEvent| event.r#type() == pb::EventType::ServerDraining;
    let seen = watch.until(is_it).await;
    let told = seen.last().expect("it is told");
    assert_eq!(told.attributes["notice_ms"], "60000");
    assert_eq!(told.attributes["reason"], "restart");
    let on_record = report(&caller).await.expect("it is on record");
    assert_eq!(on_record.state(), pb::DrainState::Announced);
    assert_eq!(on_record.notice_end_time, drain.started.notice_end_time);
    assert_eq!((on_record.end_time, on_record.duration), (None, None));
    let refused = caller.open(open("b")).await.expect_err("nothing begins");
    refused.is(Code::Unavailable, Reason::ServerDraining);
    // Everything else is as ever: who comes anew is served.
    caller.enqueued(key("a"), &["work"]).await;
    request(&caller, "a").await;
    let mut late = WatchStream::from_now(&caller).await;
    let cancelled = cancel(&caller).await.expect("it is called off");
    assert_eq!(cancelled.state(), pb::DrainState::Cancelled);
    assert!(cancelled.end_time.is_some() && cancelled.duration.is_some());
    assert_eq!((cancelled.notice_end_time, cancelled.ended), (None, 0));
    assert_eq!(drain.report().await, cancelled, "who asked is told");
    assert_eq!(cancel(&caller).await.expect("again"), cancelled);
    assert_eq!(report(&caller).await, Some(cancelled));
    for watch in [&mut watch, &mut late] {
        let is_it =
            |event: &pb::SessionEvent| event.r#type() == pb::EventType::ServerDrainCancelled;
        let seen = watch.until(is_it).await;
        let told = seen.last().expect("it is told");
        assert_eq!((told.namespace.as_str(), &told.session), ("", &None));
        let actor = told.actor.as_ref().expect("somebody did it").kind();
        assert_eq!(actor, pb::ActorKind::Api);
    }
    let held = caller.session(id(&session)).await;
    assert_eq!(held.state(), pb::SessionState::Active);
    caller.opened("b").await;
    // The next one is a drain like any other.
    let began = Instant::now();
    run.signal(Signal::TERM);
    let (code, said) = ended(run).await;
    in_order(code, began, &said);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_notice_is_over_it_goes_through_and_cannot_be_called_off() {
    let (_temporary, run, address, directory) = start();
    let caller = Caller::at(&format!("http://{address}")).await;
    let quiet = caller.opened("quiet").await.session_id;
    let held = caller.opened("held").await.session_id;
    request(&caller, "held").await;
    let asked = Instant::now();
    let mut drain = DrainStream::open(&caller, announced(1_500))
        .await
        .expect("it goes");
    drain.progress(|progress| progress.waiting == 1).await;
    assert!(
        asked.elapsed() >= Duration::from_millis(1_500),
        "not before"
    );
    let began = Instant::now();
    let on_record = report(&caller).await.expect("it is on record");
    assert_eq!(
        (on_record.state(), on_record.notice_end_time),
        (pb::DrainState::Open, None)
    );
    let refused = cancel(&caller).await.expect_err("sessions end by it");
    refused.is(Code::FailedPrecondition, Reason::DrainNotCancellable);
    let told = drain.report().await;
    assert_eq!((told.state(), told.ended), (pb::DrainState::Closed, 2));
    let (code, said) = ended(run).await;
    in_order(code, began, &said);
    let (_run, caller) = again(&directory).await;
    let ends = ends(&caller).await;
    for session in [quiet, held] {
        assert_eq!(ends[&session].0, pb::EndReason::Restart);
    }
}

/// A supervisor does not know of the notice, and kills what does not go; nor does a call without one wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_or_a_call_that_joins_without_a_notice_has_it_begin_at_once() {
    for by_signal in [true, false] {
        let (_temporary, run, address, directory) = start();
        let caller = Caller::at(&format!("http://{address}")).await;
        let session = caller.opened("a").await.session_id;
        let drain = DrainStream::open(&caller, announced(MINUTE)).await;
        let drain = drain.expect("it is announced");
        let began = Instant::now();
        if by_signal {
            run.signal(Signal::TERM);
        } else {
            let other = DrainStream::open(&caller, pb::DrainServerRequest::default()).await;
            assert!(other.expect("it joins").started.joined);
        }
        assert_eq!(drain.report().await.state(), pb::DrainState::Closed);
        let (code, said) = ended(run).await;
        in_order(code, began, &said);
        let (_run, caller) = again(&directory).await;
        assert_eq!(ends(&caller).await[&session].0, pb::EndReason::Restart);
    }
}

/// What is on record holds: nobody called it off.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_in_the_notice_is_drained_by_its_next_start() {
    let (_temporary, run, address, directory) = start();
    let caller = Caller::at(&format!("http://{address}")).await;
    let session = caller.opened("a").await.session_id;
    let drain = DrainStream::open(&caller, announced(MINUTE)).await;
    drop(drain.expect("it is announced"));
    run.signal(Signal::KILL);
    ended(run).await;
    let (_run, caller) = again(&directory).await;
    assert_eq!(live(&caller).await, 0);
    assert_eq!(ends(&caller).await[&session].0, pb::EndReason::Restart);
    let told = report(&caller).await.expect("it was drained");
    assert_eq!((told.state(), told.ended), (pb::DrainState::Closed, 1));
    assert!(told.recovered && told.notice_end_time.is_none());
    caller.opened("a").await;
}

/// Sessions that are kept do not mind company.
#[tokio::test(flavor = "multi_thread")]
async fn where_sessions_are_kept_new_ones_begin_in_the_notice_and_after_it_was_called_off() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let drain = ["server", "drain", "--keep", "--notice", "1m"];
    let begun = &Sessionctl::succeeded(&server, &drain)[0];
    assert!(begun["notice_end_time"].is_string(), "{begun}");
    caller.opened("b").await;
    let cancelled = &Sessionctl::succeeded(&server, &["server", "cancel-drain"])[0];
    assert_eq!(cancelled["state"], Value::from("DRAIN_STATE_CANCELLED"));
    caller.opened("c").await;
    assert_eq!(live(&caller).await, 2);
}
