//! A disk that hangs while the server is to go: the process is gone at the end of its budget all the same, and what it could
//! not write down the next ones do.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::flushes::Flushes;
use sessiond_tests::requests::{end, id};
use sessiond_tests::watch_stream::WatchStream;

use super::drains::{TO_SPARE, again, ended, ends, live, request, serving};
use super::run::Run;

/// Half of it is for what is under way, which a busy machine has to notice by then.
const BUDGET: Duration = Duration::from_secs(3);

fn serve(directory: &str, flushes: &Flushes) -> (Run, String) {
    let mut command = serving(directory, BUDGET);
    flushes.under(&mut command);
    let mut run = Run::start(command);
    let address = run.listening();
    (run, address)
}

/// Has the disk hang, or hang in the middle of the drain, and the server go; answers with the sessions that it had.
async fn hang_and_stop(directory: &Path, in_between: bool) -> Vec<String> {
    let flushes = Flushes::new(directory);
    let data = directory.join("data");
    let data = data.to_str().expect("a temporary path is UTF-8");
    let (run, address) = serve(data, &flushes);
    let caller = Caller::at(&format!("http://{address}")).await;
    let mut sessions = Vec::new();
    for number in 0..20 {
        sessions.push(caller.opened(&format!("key-{number}")).await.session_id);
    }
    request(&caller, "key-0").await;
    let mut watch = WatchStream::from_now(&caller).await;
    let mut answer = None;
    if !in_between {
        flushes.hang();
        // Whoever waits for the disk has no answer, and nobody else is held up by that.
        let over = end(
            id(&sessions[1]),
            pb::EndReason::Completed,
            pb::EndMode::Immediate,
        );
        let asked = caller.clone();
        answer = Some(tokio::spawn(async move { asked.end(over).await }));
        let info = caller.info(pb::GetServerInfoRequest {}).await;
        info.expect("who only reads is answered");
    }
    let began = Instant::now();
    run.signal(Signal::TERM);
    if in_between {
        // Ends are on record, and one session waits for its request.
        watch
            .event(pb::EventType::SessionDraining, &sessions[0])
            .await;
        flushes.hang();
    }
    let (code, said) = ended(run).await;
    if let Some(answer) = answer {
        let answered = answer.await.expect("it has an end");
        answered.expect_err("nothing is acknowledged before it is durable");
    }
    assert_eq!(code, Some(1), "not everything was written down: {said:?}");
    let took = began.elapsed();
    assert!(
        took >= BUDGET && took < BUDGET + TO_SPARE,
        "{took:?}: {said:?}"
    );
    flushes.go_on();
    sessions
}

/// Proves: F17, G2.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_holds_no_drain_up_and_each_session_ends_once() {
    for in_between in [false, true] {
        let temporary = tempfile::tempdir().expect("a temporary directory can be made");
        let sessions = hang_and_stop(temporary.path(), in_between).await;
        let data = temporary.path().join("data");
        let data = data.to_str().expect("a temporary path is UTF-8");
        let (run, caller) = again(data).await;
        // The drain is on record or it is not; then they live, and end with this one.
        if in_between {
            assert_eq!(live(&caller).await, 0);
        }
        run.signal(Signal::TERM);
        let (code, said) = ended(run).await;
        assert_eq!(code, Some(0), "{said:?}");
        let (_run, caller) = again(data).await;
        assert_eq!(live(&caller).await, 0);
        let ends = ends(&caller).await;
        assert_eq!(ends.len(), sessions.len());
        for session in &sessions {
            let why = ends[session].0;
            let completed = !in_between && *session == sessions[1];
            let own = completed && why == pb::EndReason::Completed;
            assert!(own || why == pb::EndReason::Shutdown, "{why:?}");
        }
    }
}
