//! Where exports come before purges, nothing is deleted that is not in a file, whole and as it was.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pb::export_session_response::Record;
use sessiond::env::Machine;
use sessiond_core::time::{Limit, Span};
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::export_file::{self, files, records};
use sessiond_tests::requests::{ack, claim, dead_letters, end, id, key, message, nack, open};
use sessiond_tests::scripted_files::{Answer, ScriptedFiles};
use sessiond_tests::simulated::Simulated;
use sessiond_tests::watch_stream::WatchStream;

const DAY: Duration = Duration::from_secs(86_400);

pub(crate) async fn server(files: &ScriptedFiles) -> (Simulated, Caller) {
    let server = Simulated::start_exporting(files, Machine::env().disk, |_| {}).await;
    let caller = server.caller();
    (server, caller)
}

/// A session that has ended with a message that was given up, one that is out, and one that waits. Answers with its id and
/// the delivery that is out.
pub(crate) async fn ended(caller: &Caller, of: &str) -> (String, pb::Delivery) {
    let session = caller.opened_as(pb::OpenSessionRequest {
        max_in_flight: Some(2),
        ..open(of)
    });
    let session = session.await.session_id;
    caller
        .enqueued(key(of), &["given up", "out", "waits"])
        .await;
    let request = pb::ClaimMessagesRequest {
        max_messages: Some(2),
        ..claim(key(of), "w")
    };
    let mut out = caller.claim(request).await.expect("claimed").deliveries;
    caller
        .settled(vec![nack(&out[0], pb::NackKind::Permanent, None)])
        .await;
    let over = end(
        id(&session),
        pb::EndReason::Completed,
        pb::EndMode::Immediate,
    );
    caller.end(over).await.expect("ended");
    (session, out.remove(1))
}

fn named(session: &str) -> pb::PurgeSessionsRequest {
    pb::PurgeSessionsRequest {
        session_ids: vec![session.to_owned()],
        ..pb::PurgeSessionsRequest::default()
    }
}

/// What became of a session that was to be purged.
pub(crate) async fn purged(caller: &Caller, session: &str) -> pb::PurgeResult {
    let answer = caller.purge(named(session)).await.expect("answered");
    answer.results.into_iter().next().expect("a result")
}

pub(crate) async fn is_there(caller: &Caller, session: &str) -> bool {
    let get = pb::GetSessionRequest { r#ref: id(session) };
    caller.get(get).await.is_ok()
}

pub(crate) async fn explained(caller: &Caller, session: &str) -> pb::ExplainSessionResponse {
    let request = pb::ExplainSessionRequest { r#ref: id(session) };
    caller.explain(request).await.expect("explained")
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

pub(crate) fn only(directory: &Path) -> PathBuf {
    let mut files = files(directory);
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

fn sorted(mut payloads: Vec<String>) -> Vec<String> {
    payloads.sort();
    payloads
}

/// Proves: F37.
#[tokio::test]
async fn a_purge_writes_the_session_into_a_file_of_its_own_and_then_deletes_it() {
    let (server, caller) = server(&ScriptedFiles::default()).await;
    let (session, _) = ended(&caller, "a/../b").await;
    let before = caller.session(id(&session)).await;
    assert_eq!(files(server.exports()), [] as [PathBuf; 0]);
    let result = purged(&caller, &session).await;
    assert_eq!(
        (result.outcome(), result.messages),
        (pb::PurgeOutcome::Purged, 3)
    );
    assert!(!is_there(&caller, &session).await);
    let file = only(server.exports());
    let folder = file.parent().unwrap();
    assert_eq!(folder, server.exports().join("default"));
    assert_eq!(
        (mode(&file), mode(folder), mode(server.exports())),
        (0o600, 0o700, 0o700)
    );
    let records = records(&file);
    let exported = export_file::session(&records);
    assert_eq!(*exported, before);
    let payloads = sorted(export_file::payloads(&records));
    assert_eq!(payloads, ["given up", "out", "waits"]);
    let events = records.iter().filter_map(|record| match record {
        Record::Event(event) => Some(event.r#type()),
        _ => None,
    });
    let events: Vec<_> = events.collect();
    assert_eq!(events.first(), Some(&pb::EventType::SessionOpened));
    assert!(events.contains(&pb::EventType::SessionEnd), "{events:?}");
}

/// Proves: F37.
#[tokio::test]
async fn what_only_would_be_purged_or_would_be_refused_is_not_exported() {
    let script = ScriptedFiles::default();
    let (server, caller) = server(&script).await;
    let (session, _) = ended(&caller, "a").await;
    let live = caller.opened("b").await.session_id;
    let request = pb::PurgeSessionsRequest {
        session_ids: vec![session.clone(), live, "nobody".to_owned()],
        ..pb::PurgeSessionsRequest::default()
    };
    let foreseen = pb::PurgeSessionsRequest {
        validate_only: true,
        ..request.clone()
    };
    let outcomes = |answer: &pb::PurgeSessionsResponse| -> Vec<pb::PurgeOutcome> {
        answer
            .results
            .iter()
            .map(pb::PurgeResult::outcome)
            .collect()
    };
    let failed = pb::PurgeOutcome::Failed;
    let answer = caller.purge(foreseen).await.expect("answered");
    assert_eq!(
        outcomes(&answer),
        [pb::PurgeOutcome::WouldPurge, failed, failed]
    );
    assert_eq!(script.count(), 0);
    let answer = caller.purge(request).await.expect("answered");
    assert_eq!(
        outcomes(&answer),
        [pb::PurgeOutcome::Purged, failed, failed]
    );
    let reasons = answer
        .results
        .iter()
        .filter_map(|result| result.error.as_ref());
    let reasons: Vec<&str> = reasons.map(|error| error.reason.as_str()).collect();
    assert_eq!(reasons, ["SESSION_ACTIVE", "SESSION_NOT_FOUND"]);
    assert_eq!(script.count(), 1);
    only(server.exports());
}

/// Proves: F37.
#[tokio::test]
async fn what_changes_while_it_is_exported_is_exported_anew() {
    let script = ScriptedFiles::default();
    let (server, caller) = server(&script).await;
    let (session, out) = ended(&caller, "a").await;
    script.answer(Answer::Waits);
    let purge = async { purged(&caller, &session).await };
    let change = async {
        script.held(1).await;
        // A late ack is no event, and takes a dead letter away.
        assert_eq!(caller.code(ack(&out)).await, pb::SettleCode::Ok);
        script.answer(Answer::Works);
    };
    let (result, ()) = tokio::join!(purge, change);
    assert_eq!(
        (result.outcome(), result.messages),
        (pb::PurgeOutcome::Purged, 2)
    );
    assert_eq!(script.count(), 2);
    let records = records(&only(server.exports()));
    assert_eq!(
        sorted(export_file::payloads(&records)),
        ["given up", "waits"]
    );
}

/// Proves: F37.
#[tokio::test]
async fn a_session_under_the_id_of_a_purged_one_leaves_its_file_alone() {
    let (server, caller) = server(&ScriptedFiles::default()).await;
    for _ in 0..2 {
        let request = pb::OpenSessionRequest {
            session_id: "../same".to_owned(),
            ..open("a")
        };
        let opened = caller.opened_as(request).await.session_id;
        let over = end(
            id(&opened),
            pb::EndReason::Completed,
            pb::EndMode::Immediate,
        );
        caller.end(over).await.expect("ended");
        assert_eq!(
            purged(&caller, &opened).await.outcome(),
            pb::PurgeOutcome::Purged
        );
    }
    let files = files(server.exports());
    assert_eq!(files.len(), 2, "{files:?}");
    for file in files {
        assert_eq!(export_file::session(&records(&file)).session_id, "../same");
    }
}

/// Proves: F37, F49.
#[tokio::test]
async fn dead_letters_of_an_ended_session_go_with_it_and_are_in_its_file() {
    let script = ScriptedFiles::default();
    let server = Simulated::start_exporting(&script, Machine::env().disk, |policy| {
        policy.session_retention = Limit::After(Span::seconds(2 * 86_400));
        policy.dead_letter_retention = Limit::After(Span::seconds(3 * 86_400));
    })
    .await;
    let caller = server.caller();
    let (session, _) = ended(&caller, "a").await;
    let told = explained(&caller, &session).await;
    let deadlines: Vec<_> = told
        .deadlines
        .iter()
        .map(|one| (one.kind(), one.spared_by.clone()))
        .collect();
    let by_export = vec![pb::HoldKind::Export.into()];
    assert_eq!(deadlines, [(pb::DeadlineKind::Retention, by_export)]);
    let ended_at = told.session.unwrap().end.unwrap().end_time.unwrap();
    assert_eq!(
        told.deadlines[0].time.unwrap().seconds,
        ended_at.seconds + 3 * 86_400
    );
    server.advance(2 * DAY + Duration::from_secs(1)).await;
    assert_eq!(
        caller.dead_letters_of(id(&session)).await.len(),
        3,
        "both are kept"
    );
    assert_eq!(script.count(), 0);
    let mut watch = WatchStream::from_now(&caller).await;
    server.advance(DAY).await;
    let event = watch.event(pb::EventType::SessionPurged, &session).await;
    assert_eq!(event.actor.unwrap().kind(), pb::ActorKind::Reaper);
    assert_eq!(event.attributes["messages"], "3");
    let records = records(&only(server.exports()));
    let payloads = sorted(export_file::payloads(&records));
    assert_eq!(payloads, ["given up", "out", "waits"]);
}

/// Proves: F37.
#[tokio::test]
async fn a_large_session_is_in_its_file_whole() {
    let (server, caller) = server(&ScriptedFiles::default()).await;
    let session = caller.opened("a").await.session_id;
    let large = "x".repeat(1_000_000);
    for _ in 0..20 {
        caller.sent(key("a"), vec![message(&large)]).await;
    }
    let many: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    caller.enqueued(key("a"), &many).await;
    let over = end(
        id(&session),
        pb::EndReason::Completed,
        pb::EndMode::Immediate,
    );
    caller.end(over).await.expect("ended");
    let letters = caller
        .list_dead_letters(dead_letters(id(&session)))
        .await
        .expect("a list");
    assert!(!letters.dead_letters.is_empty());
    assert_eq!(purged(&caller, &session).await.messages, 220);
    let records = records(&only(server.exports()));
    assert_eq!(export_file::payloads(&records).len(), 220);
}
