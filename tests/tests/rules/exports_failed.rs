//! A session that must be exported before it is purged and cannot be stays, and whoever asks is told why.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sessiond::env::Machine;
use sessiond_core::time::{Limit, Span};
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::export_file::{files, records};
use sessiond_tests::requests::{end, id};
use sessiond_tests::scripted_files::{Answer, ScriptedFiles, Step};
use sessiond_tests::simulated::Simulated;
use sessiond_tests::small_disk::SmallDisk;
use sessiond_tests::watch_stream::WatchStream;

use super::exports_purge::{ended, explained, is_there, only, purged, server};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
/// How soon calls are answered that wait for nobody.
const SOON: Duration = Duration::from_secs(20);
/// How soon what could not be exported is tried again, when nothing is said.
const AGAIN: Duration = Duration::from_secs(60);

/// The words of a refusal for want of an export.
#[track_caller]
fn refused(result: &pb::PurgeResult) -> String {
    assert_eq!(result.outcome(), pb::PurgeOutcome::Failed);
    let error = result.error.as_ref().expect("why");
    assert_eq!(error.reason, "EXPORT_FAILED", "{error:?}");
    assert_eq!(error.metadata["session_id"], result.session_id);
    assert!(
        error.message.contains(&error.metadata["cause"]),
        "{error:?}"
    );
    error.message.clone()
}

/// What keeps a session, once something does.
async fn kept_by(caller: &Caller, session: &str) -> String {
    loop {
        let told = explained(caller, session).await;
        let mut holds = told.holds.into_iter();
        let hold = holds.find(|hold| hold.kind() == pb::HoldKind::Export);
        let detail = hold.expect("it waits for its export").detail;
        if !detail.is_empty() {
            return detail;
        }
    }
}

/// Proves: F37.
#[tokio::test]
async fn a_session_that_cannot_be_exported_stays_and_its_purge_says_why() {
    let script = ScriptedFiles::default();
    let (server, caller) = server(&script).await;
    let (session, _) = ended(&caller, "a").await;
    for (step, error, words) in [
        (Step::Begin, ENOSPC, "No space left on device"),
        (Step::Write, ENOSPC, "No space left on device"),
        (Step::Finish, EIO, "Input/output error"),
    ] {
        script.answer(Answer::Fails(step, error));
        let said = refused(&purged(&caller, &session).await);
        let path = server.exports().join("default");
        assert!(
            said.contains(path.to_str().unwrap()) && said.contains(words),
            "{said}"
        );
        assert!(is_there(&caller, &session).await);
        assert_eq!(
            files(server.exports()),
            [] as [PathBuf; 0],
            "{step:?} leaves nothing behind"
        );
        let kept_by = kept_by(&caller, &session).await;
        assert!(said.ends_with(&kept_by), "{said}, {kept_by}");
    }
    assert_eq!(caller.dead_letters_of(id(&session)).await.len(), 3);
    // The store goes on.
    caller.opened("b").await;
    script.answer(Answer::Works);
    assert_eq!(
        purged(&caller, &session).await.outcome(),
        pb::PurgeOutcome::Purged
    );
    records(&only(server.exports()));
}

/// Proves: F37.
#[tokio::test]
async fn retention_waits_for_the_export_says_so_and_tries_again() {
    let script = ScriptedFiles::default();
    let server = Simulated::start_exporting(&script, Machine::env().disk, |policy| {
        policy.session_retention = Limit::After(Span::seconds(3_600));
    })
    .await;
    let caller = server.caller();
    let session = caller.opened("a").await.session_id;
    let over = end(
        id(&session),
        pb::EndReason::Completed,
        pb::EndMode::Immediate,
    );
    caller.end(over).await.expect("ended");
    script.answer(Answer::Fails(Step::Write, ENOSPC));
    server.advance(Duration::from_secs(3_601)).await;
    let why = kept_by(&caller, &session).await;
    assert!(why.contains("No space left on device"), "{why}");
    assert_eq!(script.count(), 1);
    server.advance(AGAIN).await;
    script.begun(2).await;
    assert!(is_there(&caller, &session).await);
    // A restart asks again by itself.
    let mut server = server;
    server.restart().await;
    let caller = server.caller();
    script.answer(Answer::Works);
    let mut watch = WatchStream::from_now(&caller).await;
    server.advance(AGAIN + Duration::from_secs(1)).await;
    watch.event(pb::EventType::SessionPurged, &session).await;
    records(&only(server.exports()));
}

/// Proves: F37.
#[tokio::test]
async fn an_export_takes_no_room_that_the_store_needs() {
    let disk = Arc::new(SmallDisk::with(4 << 30));
    let server = Simulated::start_exporting(
        &ScriptedFiles::default(),
        Arc::clone(&disk) as Arc<_>,
        |_| {},
    )
    .await;
    let caller = server.caller();
    let (session, _) = ended(&caller, "a").await;
    disk.leave(512 << 20).await;
    let said = refused(&purged(&caller, &session).await);
    assert!(
        said.contains("512 MiB free, and 1024 must stay free"),
        "{said}"
    );
    disk.leave(4 << 30).await;
    assert_eq!(
        purged(&caller, &session).await.outcome(),
        pb::PurgeOutcome::Purged
    );
    only(server.exports());
}

/// Proves: F37.
#[tokio::test]
async fn a_directory_that_is_gone_or_not_what_it_was_is_no_place_for_exports() {
    let (server, caller) = server(&ScriptedFiles::default()).await;
    let (session, _) = ended(&caller, "a").await;
    let directory = server.exports();
    std::fs::remove_dir(directory).unwrap();
    let said = refused(&purged(&caller, &session).await);
    assert!(said.contains("No such file or directory"), "{said}");
    assert!(
        !directory.exists(),
        "what may be a file system that is missing is not made"
    );
    std::fs::write(directory, "").unwrap();
    let said = refused(&purged(&caller, &session).await);
    assert!(said.contains("Not a directory"), "{said}");
    std::fs::remove_file(directory).unwrap();
    std::fs::create_dir(directory).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), directory.join("default")).unwrap();
    refused(&purged(&caller, &session).await);
    assert_eq!(
        std::fs::read_dir(elsewhere.path()).unwrap().count(),
        0,
        "no link is followed"
    );
    std::fs::remove_file(directory.join("default")).unwrap();
    assert!(is_there(&caller, &session).await);
    assert_eq!(
        purged(&caller, &session).await.outcome(),
        pb::PurgeOutcome::Purged
    );
}

/// Proves: F37.
#[tokio::test]
async fn what_an_interrupted_export_left_is_removed_by_the_next_one() {
    let script = ScriptedFiles::default();
    let (server, caller) = server(&script).await;
    let (session, _) = ended(&caller, "a").await;
    script.answer(Answer::Waits);
    let purge = async { purged(&caller, &session).await };
    let look = async {
        script.held(1).await;
        let left = only(server.exports());
        let bytes = std::fs::read(&left).unwrap();
        script.answer(Answer::Fails(Step::Finish, EIO));
        (left, bytes)
    };
    let (result, (left, bytes)) = tokio::join!(purge, look);
    refused(&result);
    // As a server leaves it that is killed at that moment.
    std::fs::write(&left, &bytes[..bytes.len() / 2]).unwrap();
    script.answer(Answer::Works);
    assert_eq!(
        purged(&caller, &session).await.outcome(),
        pb::PurgeOutcome::Purged
    );
    let file = only(server.exports());
    assert_ne!(file, left);
    records(&file);
}

/// More calls than run at once wait for it, and none of these calls is one of them.
#[tokio::test]
async fn a_disk_that_hangs_holds_up_nobody_who_exports_nothing() {
    let script = ScriptedFiles::default();
    let (_server, caller) = server(&script).await;
    script.answer(Answer::Waits);
    let mut purges = Vec::new();
    for number in 0..24 {
        let (session, _) = ended(&caller, &format!("s{number}")).await;
        let caller = caller.clone();
        purges.push(tokio::spawn(async move { purged(&caller, &session).await }));
    }
    script.held(1).await;
    let others = async {
        // The calls before may still be on their way.
        for _ in 0..20 {
            let live = caller.opened("live").await.session_id;
            let sweep = pb::SweepRequest {
                validate_only: true,
                ..pb::SweepRequest::default()
            };
            caller.sweep(sweep).await.expect("a sweep");
            let foreseen = pb::PurgeSessionsRequest {
                session_ids: vec![live.clone()],
                validate_only: true,
                ..pb::PurgeSessionsRequest::default()
            };
            caller.purge(foreseen).await.expect("answered");
            let end = pb::EndSessionsRequest {
                session_ids: vec![live],
                reason: pb::EndReason::Completed.into(),
                mode: pb::EndMode::Immediate.into(),
                ..pb::EndSessionsRequest::default()
            };
            let ended = caller.end_many(end).await.expect("answered");
            assert_eq!(ended.results.len(), 1);
            caller.a_moment().await;
        }
    };
    tokio::time::timeout(SOON, others)
        .await
        .expect("they wait for no export");
    assert!(purges.iter().all(|purge| !purge.is_finished()));
    script.answer(Answer::Works);
    for purge in purges {
        assert_eq!(purge.await.unwrap().outcome(), pb::PurgeOutcome::Purged);
    }
}
