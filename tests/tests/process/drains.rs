//! The drain of a real server: what SIGTERM does to live sessions, whatever holds on to them, and what the next start makes
//! of a stop that was cut short.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, end, id, key, message, millis, open, send};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::{WatchStream, about};
use sessiond_tests::work_stream::WorkStream;
use tonic::Code;

use super::run::{Run, command};

/// What a real process may take beyond a deadline that it keeps.
pub(crate) const TO_SPARE: Duration = Duration::from_secs(5);

/// How a session ended: why, by whom, and with which warning.
pub(crate) type End = (pb::EndReason, pb::ActorKind, Option<String>);

/// Every end that is on record, by session; a second end of one fails.
pub(crate) async fn ends(caller: &Caller) -> BTreeMap<String, End> {
    let newest = caller.revision().await;
    let mut watch = WatchStream::from_the_start(caller).await;
    let mut ends = BTreeMap::new();
    for event in watch.up_to(newest).await {
        if event.r#type() != pb::EventType::SessionEnd {
            continue;
        }
        let session = about(&event).to_owned();
        let end = event.end.as_ref().expect("an end says how");
        let actor = event.actor.as_ref().expect("somebody did it").kind();
        let warning = event.attributes.get("warning").cloned();
        let before = ends.insert(session, (end.reason(), actor, warning));
        assert_eq!(before, None, "a session ended twice");
    }
    ends
}

pub(crate) async fn live(caller: &Caller) -> u64 {
    let stats = caller.stats(pb::GetStatsRequest::default()).await;
    let sessions = stats.expect("the server counts").sessions;
    let sessions = sessions.expect("sessions are counted");
    sessions.queued + sessions.active + sessions.draining
}

/// A request of a session that nobody ends.
pub(crate) async fn request(caller: &Caller, name: &str) -> String {
    let begin = pb::BeginRequestRequest {
        r#ref: key(name),
        request_lease: millis(60_000),
        ..pb::BeginRequestRequest::default()
    };
    caller
        .begin_request(begin)
        .await
        .expect("a request")
        .request_token
}

/// The mission's own numbers: of the sessions that a stop finds each ends once, and what had ended before never again.
///
/// Proves: G2, F65.
#[tokio::test(flavor = "multi_thread")]
async fn eleven_orphans_end_once_with_shutdown_and_none_lives_after_the_restart() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    let mut orphans = Vec::new();
    for number in 0..10 {
        let name = format!("orphan-{number}");
        orphans.push(caller.opened(&name).await.session_id);
        caller.enqueued(key(&name), &["kept"]).await;
    }
    let mut over = BTreeMap::new();
    for reason in [pb::EndReason::Deleted, pb::EndReason::Compacted] {
        let session = caller.opened(reason.as_str_name()).await.session_id;
        let asked = end(id(&session), reason, pb::EndMode::Immediate);
        caller.end(asked).await.expect("an end");
        over.insert(session, reason);
    }
    let before = caller.opened("reset").await.session_id;
    let reset = pb::ResetSessionRequest {
        r#ref: key("reset"),
        ..pb::ResetSessionRequest::default()
    };
    let successor = caller.reset(reset).await.expect("a reset").successor;
    over.insert(before, pb::EndReason::Reset);
    orphans.push(successor.expect("one goes on").session_id);
    assert_eq!(server.terminate().code(), Some(0));
    server.restart();
    let caller = Caller::to(&server).await;
    assert_eq!(live(&caller).await, 0);
    let ends = ends(&caller).await;
    assert_eq!(ends.len(), orphans.len() + over.len());
    for orphan in &orphans {
        let by_drain = (pb::EndReason::Shutdown, pb::ActorKind::Drain, None);
        assert_eq!(ends[orphan], by_drain);
    }
    for (session, reason) in &over {
        assert_eq!(
            ends[session].0, *reason,
            "ended once and for its own reason"
        );
    }
    // The conversation may go on: the next session of the key has what was pending.
    caller.opened("orphan-3").await;
    let claimed = caller.claimed(key("orphan-3"), "worker").await;
    assert_eq!(claimed.len(), 1);
}

/// Proves: F12.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_request_ends_in_time_ends_then_and_nothing_new_begins_meanwhile() {
    let (_temporary, run, address, directory) = start();
    let caller = Caller::at(&format!("http://{address}")).await;
    let session = caller.opened("a").await.session_id;
    let quiet = caller.opened("quiet").await.session_id;
    let token = request(&caller, "a").await;
    let mut watch = WatchStream::from_now(&caller).await;
    let mut told = WatchStream::from_now(&caller).await;
    let began = Instant::now();
    run.signal(Signal::TERM);
    let (_, mark) = told.bookmark(pb::BookmarkCause::ServerDraining).await;
    let left = mark.closes_in.expect("how long it goes on").seconds;
    assert!((0..=10).contains(&left), "{left} s of 10");
    // The other one, which has nothing to wait for, ends before.
    watch.event(pb::EventType::SessionEnd, &quiet).await;
    let refused = caller.open(open("new")).await.unwrap_err();
    refused.is(Code::Unavailable, Reason::ServerDraining);
    let missing = pb::EnqueueMessagesRequest {
        open_if_missing: Some(pb::OpenSessionRequest::default()),
        ..send(key("newer"), [message("m")])
    };
    let refused = caller.enqueue(missing).await.unwrap_err();
    refused.is(Code::Unavailable, Reason::ServerDraining);
    let info = caller.info(pb::GetServerInfoRequest {}).await;
    assert!(info.expect("it still answers").draining);
    let done = pb::EndRequestRequest {
        r#ref: id(&session),
        request_token: token,
    };
    caller.end_request(done).await.expect("it ends in time");
    let (code, said) = ended(run).await;
    assert_eq!(code, Some(0), "{said:?}");
    assert!(began.elapsed() < TO_SPARE, "it waits for nothing else");
    let (_run, caller) = again(&directory).await;
    let ends = ends(&caller).await;
    let in_time = (pb::EndReason::Shutdown, pb::ActorKind::Drain, None);
    assert_eq!(ends[&session], in_time);
}

/// Proves: F17.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_for_too_long_is_ended_within_the_budget_and_named() {
    let (_temporary, run, address, directory) = start();
    let caller = Caller::at(&format!("http://{address}")).await;
    let held = caller.opened("held").await.session_id;
    request(&caller, "held").await;
    let working = caller.opened("working").await.session_id;
    caller.enqueued(key("working"), &["m"]).await;
    let mut worker = WorkStream::worker(&caller, "w", 4).await;
    worker.attached_to(key("working")).await;
    worker.delivered(1).await;
    let began = Instant::now();
    run.signal(Signal::TERM);
    let (code, said) = ended(run).await;
    in_order(code, began, &said);
    let (_run, caller) = again(&directory).await;
    let ends = ends(&caller).await;
    for session in [held, working] {
        let late = Some("drain_timed_out".to_owned());
        let late = (pb::EndReason::Shutdown, pb::ActorKind::Drain, late);
        assert_eq!(ends[&session], late, "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_to_do_its_work_first_goes_on_at_the_next_start() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["m"]).await;
    let reason = pb::EndReason::Completed;
    let asked = end(key("a"), reason, pb::EndMode::AfterPending);
    caller.end(asked).await.expect("an end");
    assert_eq!(server.terminate().code(), Some(0));
    server.restart();
    let caller = Caller::to(&server).await;
    let left = caller.session(id(&session)).await;
    assert_eq!(left.state(), pb::SessionState::Draining);
    let claimed = caller.claimed(id(&session), "worker").await;
    caller.settled(vec![ack(&claimed[0])]).await;
    assert_eq!(ends(&caller).await[&session].0, reason);
}

/// A KILL in the middle of a drain: what it had not come to, the next start ends, for the reason on record, and nobody twice.
///
/// Proves: G2.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_is_cut_short_is_finished_by_the_next_start() {
    for signal in [Signal::KILL, Signal::TERM] {
        let (_temporary, run, address, directory) = start();
        let caller = Caller::at(&format!("http://{address}")).await;
        let mut sessions = Vec::new();
        for number in 0..6 {
            let name = format!("key-{number}");
            sessions.push(caller.opened(&name).await.session_id);
            request(&caller, &name).await;
        }
        let mut watch = WatchStream::from_now(&caller).await;
        run.signal(Signal::TERM);
        watch
            .event(pb::EventType::SessionDraining, &sessions[0])
            .await;
        // A second TERM does what a KILL does, and says so.
        run.signal(signal);
        let (code, said) = ended(run).await;
        assert_eq!(code, (signal == Signal::TERM).then_some(1), "{said:?}");
        let (_run, caller) = again(&directory).await;
        assert_eq!(live(&caller).await, 0);
        let ends = ends(&caller).await;
        assert_eq!(ends.len(), sessions.len());
        for session in &sessions {
            let (reason, actor, _) = &ends[session];
            assert_eq!(*reason, pb::EndReason::Shutdown);
            let is_known = [pb::ActorKind::Drain, pb::ActorKind::Recovery].contains(actor);
            assert!(is_known, "{actor:?}");
        }
        // It serves: the drain is closed.
        caller.opened("new").await;
    }
}

/// Where sessions are not to outlive a server that died they end CRASHED at the next start; what a stop in order kept stays,
/// and so does the reason of what was ending.
///
/// Proves: G2.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_that_died_left_live_ends_where_it_is_set_so() {
    let settings = "[recovery]\nlive_sessions = \"end\"\n[session]\ncleanup_on_shutdown = false\n";
    let mut server = Server::configured(settings);
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["kept"]).await;
    let ending = caller.opened("ending").await.session_id;
    request(&caller, "ending").await;
    let asked = end(
        key("ending"),
        pb::EndReason::Completed,
        pb::EndMode::AfterPending,
    );
    caller.end(asked).await.expect("it begins to end");
    assert_eq!(server.terminate().code(), Some(0));
    server.restart();
    let caller = Caller::to(&server).await;
    let kept = caller.session(id(&session)).await;
    assert_eq!(
        kept.state(),
        pb::SessionState::Active,
        "it was kept on purpose"
    );
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    let crashed = (pb::EndReason::Crashed, pb::ActorKind::Recovery, None);
    let ends = ends(&caller).await;
    assert_eq!((ends.len(), &ends[&session]), (1, &crashed));
    let left = caller.session(id(&ending)).await;
    assert_eq!(
        left.state(),
        pb::SessionState::Draining,
        "it has its own reason"
    );
    caller.opened("a").await;
    assert_eq!(caller.claimed(key("a"), "worker").await.len(), 1);
}

/// TERM at any moment of a start: it ends in order or before it could take signals, and what it had begun does no harm.
///
/// Proves: G2.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_during_the_start_ends_it_and_the_next_start_goes_on() {
    let (_temporary, run, address, directory) = start();
    let caller = Caller::at(&format!("http://{address}")).await;
    let mut sessions = Vec::new();
    for number in 0..50 {
        let name = format!("key-{number}");
        sessions.push(caller.opened(&name).await.session_id);
        caller.claimed(key(&name), "worker").await;
    }
    run.signal(Signal::KILL);
    ended(run).await;
    for step in 0..12 {
        let run = Run::start(serving(&directory, BUDGET));
        let born = Instant::now();
        // There is no condition to wait for: the moment is the test.
        while born.elapsed() < Duration::from_millis(step * 4) {
            tokio::task::yield_now().await;
        }
        run.signal(Signal::TERM);
        let (code, said) = ended(run).await;
        assert!([None, Some(0)].contains(&code), "{code:?}: {said:?}");
    }
    let (_run, caller) = again(&directory).await;
    let ends = ends(&caller).await;
    let shutdown = ends.values().all(|end| end.0 == pb::EndReason::Shutdown);
    assert!(shutdown, "nobody else ends anything");
    // Either none was stopped while it served, or that one ended all of them.
    let left = live(&caller).await;
    assert!(left == 0 || ends.is_empty() && left == sessions.len() as u64);
}

/// The budget of these servers: half of it is for what is under way.
pub(crate) const BUDGET: Duration = Duration::from_secs(2);

/// A server on a new directory, with little time to stop; the place that directory is in, its address, the directory.
pub(crate) fn start() -> (tempfile::TempDir, Run, String, String) {
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let directory = temporary.path().join("data");
    let directory = directory.to_str().expect("a temporary path is UTF-8");
    let (run, address) = serve(directory);
    (temporary, run, address, directory.to_owned())
}

fn serve(directory: &str) -> (Run, String) {
    let mut run = Run::start(serving(directory, BUDGET));
    let address = run.listening();
    (run, address)
}

/// The command of a server on a directory, with so much time to stop.
pub(crate) fn serving(directory: &str, budget: Duration) -> std::process::Command {
    let mut command = command(&["--listen", "127.0.0.1:0", "--data-dir", directory]);
    let budget = format!("{}ms", budget.as_millis());
    command.env("SESSIOND_SHUTDOWN_BUDGET", budget);
    command
}

/// The next start on a directory.
pub(crate) async fn again(directory: &str) -> (Run, Caller) {
    let (run, address) = serve(directory);
    let caller = Caller::at(&format!("http://{address}")).await;
    (run, caller)
}

/// That a server went in order.
#[track_caller]
pub(crate) fn in_order(code: Option<i32>, began: Instant, said: &[String]) {
    within(BUDGET, code, began, said);
}

/// That a server went within its budget; answers whether in order: on a machine that is too busy for it, it may be cut off, at
/// the end of it.
#[track_caller]
pub(crate) fn within(budget: Duration, code: Option<i32>, began: Instant, said: &[String]) -> bool {
    let took = began.elapsed();
    let cut = code == Some(1) && took >= budget;
    assert!(code == Some(0) || cut, "{code:?} after {took:?}: {said:?}");
    assert!(took < budget + TO_SPARE, "{took:?}: {said:?}");
    !cut
}

pub(crate) async fn ended(run: Run) -> (Option<i32>, Vec<String>) {
    let ended = tokio::task::spawn_blocking(|| run.ended()).await;
    let (status, said) = ended.expect("it ends");
    (status.code(), said)
}
