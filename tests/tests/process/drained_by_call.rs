//! The drain that a call asks for: how it goes is told, what came of it stays on record, and whoever asks as well joins it.

use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::drain_stream::DrainStream;
use sessiond_tests::requests::id;

use super::drains::{TO_SPARE, again, ended, ends, in_order, live, request, start};
use super::run::{Run, command};

pub(crate) async fn report(caller: &Caller) -> Option<pb::DrainReport> {
    let answer = caller.drain_report(pb::GetDrainReportRequest {}).await;
    answer.expect("a report or none").report
}

pub(crate) fn restart() -> pb::DrainServerRequest {
    pb::DrainServerRequest {
        reason: pb::EndReason::Restart.into(),
        ..pb::DrainServerRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_is_announced_is_the_reason_and_what_came_of_it_is_told_and_kept() {
    let (_temporary, run, address, directory) = start();
    let caller = Caller::at(&format!("http://{address}")).await;
    assert_eq!(report(&caller).await, None, "it was never drained");
    let began = Instant::now();
    let quiet = caller.opened("quiet").await.session_id;
    let held = caller.opened("held").await.session_id;
    request(&caller, "held").await;
    let mut drain = DrainStream::open(&caller, restart())
        .await
        .expect("it goes");
    let started = drain.started;
    assert!(!started.joined && started.begin_time.is_some() && started.deadline.is_some());
    assert_eq!(started.reason(), pb::EndReason::Restart);
    assert_eq!(started.sessions(), pb::DrainSessions::End);
    let progress = drain.progress(|progress| progress.waiting == 1).await;
    assert_eq!((progress.ended, progress.left), (1, 0));
    let told = drain.report().await;
    assert_eq!(told.state(), pb::DrainState::Closed);
    assert_eq!((told.ended, told.ended_late, told.left), (2, 1, 0));
    assert!(!told.recovered && told.end_time.is_some() && told.duration.is_some());
    let timeout = pb::DrainWarning {
        code: "session-drain-timeout".to_owned(),
        subject: held.clone(),
        count: 1,
    };
    assert_eq!(told.warnings, [timeout]);
    let (code, said) = ended(run).await;
    in_order(code, began, &said);
    let (_run, caller) = again(&directory).await;
    assert_eq!(report(&caller).await, Some(told));
    let ends = ends(&caller).await;
    for session in [quiet, held] {
        assert_eq!(ends[&session].0, pb::EndReason::Restart);
    }
}

/// Proves: F18.
#[tokio::test(flavor = "multi_thread")]
async fn calls_and_a_signal_join_the_drain_that_is_under_way() {
    let (_temporary, run, address, _) = start();
    let caller = Caller::at(&format!("http://{address}")).await;
    caller.opened("held").await;
    request(&caller, "held").await;
    let began = Instant::now();
    let first = DrainStream::open(&caller, restart())
        .await
        .expect("it goes");
    let other = pb::DrainServerRequest {
        sessions: pb::DrainSessions::Keep.into(),
        ..pb::DrainServerRequest::default()
    };
    let second = DrainStream::open(&caller, other).await.expect("it joins");
    assert!(second.started.joined);
    assert_eq!(second.started.reason(), pb::EndReason::Restart);
    assert_eq!(second.started.sessions(), pb::DrainSessions::End);
    // The first signal joins; it is the second one that would end it at once.
    run.signal(Signal::TERM);
    let (first, second) = tokio::join!(first.report(), second.report());
    assert_eq!(first, second);
    assert_eq!((first.ended, first.ended_late), (1, 1));
    let (code, said) = ended(run).await;
    in_order(code, began, &said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_may_keep_sessions_and_says_so() {
    let (_temporary, run, address, directory) = start();
    let caller = Caller::at(&format!("http://{address}")).await;
    let session = caller.opened("a").await.session_id;
    let keep = pb::DrainServerRequest {
        sessions: pb::DrainSessions::Keep.into(),
        ..restart()
    };
    let drain = DrainStream::open(&caller, keep).await.expect("it goes");
    let told = drain.report().await;
    assert_eq!((told.sessions(), told.ended), (pb::DrainSessions::Keep, 0));
    assert_eq!(ended(run).await.0, Some(0));
    let (_run, caller) = again(&directory).await;
    let kept = caller.session(id(&session)).await;
    assert_eq!(kept.state(), pb::SessionState::Active);
    assert_eq!(report(&caller).await, Some(told));
}

/// Of the ten seconds that the configuration gives a call takes eight, and one that joins it four.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_is_sooner_than_the_budget_is_kept_whoever_gives_it() {
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let directory = temporary.path().join("data");
    let directory = directory.to_str().expect("a temporary path is UTF-8");
    let arguments = ["--listen", "127.0.0.1:0", "--data-dir", directory];
    let mut run = Run::start(command(&arguments));
    let caller = Caller::at(&format!("http://{}", run.listening())).await;
    caller.opened("held").await;
    request(&caller, "held").await;
    let within = |seconds| pb::DrainServerRequest {
        deadline: Some((SystemTime::now() + Duration::from_secs(seconds)).into()),
        ..restart()
    };
    let began = Instant::now();
    let first = DrainStream::open(&caller, within(8))
        .await
        .expect("it goes");
    let second = DrainStream::open(&caller, within(4))
        .await
        .expect("it joins");
    let told = first.report().await;
    assert_eq!(second.report().await, told);
    assert_eq!(told.ended_late, 1);
    let duration = told.duration.expect("it is over").try_into();
    let duration: Duration = duration.expect("a span");
    assert!(
        duration >= Duration::from_secs(1),
        "half of it is for requests"
    );
    assert!(duration < Duration::from_secs(4), "{duration:?}");
    let (code, said) = ended(run).await;
    assert!(
        code == Some(0) || began.elapsed() > Duration::from_secs(4),
        "{said:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(4) + TO_SPARE);
    let (_run, caller) = again(directory).await;
    assert_eq!(live(&caller).await, 0);
}

/// A drain that a KILL cut short is on record as one that the next start finished.
///
/// Proves: G2.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_next_start_finished_is_reported_as_that() {
    let (_temporary, run, address, directory) = start();
    let caller = Caller::at(&format!("http://{address}")).await;
    caller.opened("held").await;
    request(&caller, "held").await;
    let mut drain = DrainStream::open(&caller, restart())
        .await
        .expect("it goes");
    drain.progress(|progress| progress.waiting == 1).await;
    assert_eq!(
        report(&caller).await.expect("it is open").state(),
        pb::DrainState::Open
    );
    run.signal(Signal::KILL);
    ended(run).await;
    let (_run, caller) = again(&directory).await;
    let told = report(&caller).await.expect("it was drained");
    assert_eq!(told.state(), pb::DrainState::Closed);
    assert!(told.recovered && told.end_time.is_some());
    assert_eq!((told.ended, told.reason()), (1, pb::EndReason::Restart));
    assert_eq!(live(&caller).await, 0);
}
