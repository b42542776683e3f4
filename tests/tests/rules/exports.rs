//! An export has everything on record of one session, and an import makes a session of it again.

use std::process::{Command, Output};

use pb::export_session_response::Record;
use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::binaries;
use sessiond_tests::caller::Caller;
use sessiond_tests::refusal::Refusal;
use sessiond_tests::requests::{ack, claim, end, enqueue, id, key, message, nack, open, send};
use sessiond_tests::server::Server;
use tonic::Code;

/// All records of a session.
async fn export(caller: &Caller, session: Option<pb::SessionRef>) -> Result<Vec<Record>, Refusal> {
    let request = pb::ExportSessionRequest { r#ref: session };
    let stream = caller.sessions().export_session(request).await;
    let mut stream = stream.map_err(Refusal::from)?.into_inner();
    let mut records = Vec::new();
    while let Some(response) = stream.message().await.map_err(Refusal::from)? {
        records.push(response.record.expect("a record of a known kind"));
    }
    Ok(records)
}

/// A session with a message that is settled, one that is out, one that waits, and a dead letter.
async fn worked_on(caller: &Caller) -> pb::Session {
    let request = pb::OpenSessionRequest {
        project: "p".to_owned(),
        labels: [("team".to_owned(), "blue".to_owned())].into(),
        max_in_flight: Some(3),
        ..open("a")
    };
    let session = caller.opened_as(request).await;
    caller.enqueued(key("a"), &["settled", "dead", "out"]).await;
    let request = pb::ClaimMessagesRequest {
        max_messages: Some(3),
        ..claim(key("a"), "w")
    };
    let out = caller.claim(request).await.expect("claimed").deliveries;
    caller.settled(vec![ack(&out[0])]).await;
    caller
        .settled(vec![nack(&out[1], pb::NackKind::Permanent, None)])
        .await;
    caller.enqueued(key("a"), &["waits"]).await;
    // Another session's events lie in between.
    caller.opened("b").await;
    session
}

fn payload(message: &pb::Message) -> String {
    String::from_utf8(message.payload.to_vec()).unwrap()
}

#[tokio::test]
async fn an_export_is_the_session_what_is_unsettled_its_dead_letters_and_its_events() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = worked_on(&caller).await;
    let records = export(&caller, key("a")).await.expect("exported");
    let mut records = records.into_iter();
    let Some(Record::Header(header)) = records.next() else {
        panic!("the header comes first");
    };
    assert_eq!(
        (header.format, header.revision),
        (1, caller.revision().await)
    );
    let Some(Record::Session(shown)) = records.next() else {
        panic!("then the session");
    };
    assert_eq!(shown.session_id, session.session_id);
    let (mut messages, mut letters, mut events, mut summary) = (vec![], vec![], vec![], None);
    for record in records {
        assert_eq!(summary, None, "the summary comes last");
        match record {
            Record::Message(message) => messages.push(payload(&message)),
            Record::DeadLetter(letter) => letters.push(payload(&letter.message.unwrap())),
            Record::Event(event) => events.push(event),
            Record::Summary(sum) => summary = Some(sum),
            other => panic!("comes once: {other:?}"),
        }
    }
    assert_eq!(messages, ["out", "waits"]);
    assert_eq!(letters, ["dead"]);
    let revisions: Vec<u64> = events.iter().map(|event| event.revision).collect();
    assert!(
        revisions.is_sorted() && revisions.len() >= 3,
        "{revisions:?}"
    );
    let types: Vec<_> = events.iter().map(pb::SessionEvent::r#type).collect();
    assert_eq!(types[0], pb::EventType::SessionOpened);
    assert!(
        types.contains(&pb::EventType::MessageDeadLettered),
        "{types:?}"
    );
    let only = |event: &pb::SessionEvent| event.session.as_ref().unwrap().key == "a";
    assert!(events.iter().all(only));
    let summary = summary.expect("a summary");
    assert_eq!((summary.messages, summary.dead_letters), (2, 1));
    assert_eq!(summary.events, events.len() as u64);
    assert_eq!(summary.payload_bytes, "outwaitsdead".len() as u64);
}

#[tokio::test]
async fn an_export_goes_over_its_pages_and_leaves_a_queue_that_went_on_to_its_owner() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let first = caller.opened("a").await.session_id;
    // More than a page, by number and by bytes.
    let large = "x".repeat(1_000_000);
    for _ in 0..6 {
        caller.sent(key("a"), vec![message(&large)]).await;
    }
    let many: Vec<String> = (0..600).map(|number| number.to_string()).collect();
    for chunk in many.chunks(200) {
        let chunk: Vec<&str> = chunk.iter().map(String::as_str).collect();
        caller
            .enqueue(enqueue(key("a"), &chunk))
            .await
            .expect("taken");
    }
    let summary = |records: &[Record]| match records.last() {
        Some(Record::Summary(summary)) => *summary,
        other => panic!("the summary comes last: {other:?}"),
    };
    let records = export(&caller, key("a")).await.expect("exported");
    assert_eq!(summary(&records).messages, 606);
    let request = pb::ResetSessionRequest {
        r#ref: key("a"),
        ..pb::ResetSessionRequest::default()
    };
    caller.reset(request).await.expect("reset");
    let records = export(&caller, id(&first)).await.expect("exported");
    assert_eq!(summary(&records).messages, 0, "they are the successor's");
    let records = export(&caller, key("a")).await.expect("exported");
    assert_eq!(summary(&records).messages, 606);
}

#[tokio::test]
async fn an_export_of_nothing_is_refused() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let refused = export(&caller, key("nobody")).await.unwrap_err();
    refused.is(Code::NotFound, Reason::SessionNotFound);
    let refused = export(&caller, None).await.unwrap_err();
    refused.is(Code::InvalidArgument, Reason::FieldInvalid);
}

fn sessionctl(server: &Server, arguments: &[&str]) -> Output {
    let mut command = Command::new(binaries::sessionctl());
    command.args(["--addr", &server.url()]).args(arguments);
    command.output().expect("it can be run")
}

#[track_caller]
fn succeeds(server: &Server, arguments: &[&str]) {
    let output = sessionctl(server, arguments);
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn an_import_is_a_new_session_with_what_was_unsettled_once() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let old = worked_on(&caller).await;
    let keyed = pb::Message {
        idempotency_key: "named".to_owned(),
        ..message("keyed")
    };
    let request = send(key("a"), vec![keyed]);
    caller.enqueue(request).await.expect("taken");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.export");
    let file = file.to_str().unwrap();
    succeeds(&server, &["session", "export", "a", "--file", file]);
    let again = sessionctl(&server, &["session", "export", "a", "--file", file]);
    assert_eq!(again.status.code(), Some(2), "a file is not written over");
    // Its key lives: nothing is opened beside it.
    let taken = sessionctl(&server, &["session", "import", file]);
    assert_eq!(taken.status.code(), Some(6), "{taken:?}");
    let other = ["session", "import", file, "--key", "c", "--dead-letters"];
    succeeds(&server, &other);
    let resumed = [&other[..], &["--resume"]].concat();
    succeeds(&server, &resumed);
    let new = caller.session(key("c")).await;
    assert_ne!(new.session_id, old.session_id);
    assert_eq!((new.project.as_str(), new.max_in_flight), ("p", 3));
    assert_eq!(new.labels, old.labels);
    let request = pb::ListMessagesRequest {
        r#ref: key("c"),
        include_payload: true,
        ..pb::ListMessagesRequest::default()
    };
    let messages = caller.list_messages(request).await.unwrap().messages;
    let payloads: Vec<String> = messages.iter().map(payload).collect();
    assert_eq!(payloads, ["dead", "out", "waits", "keyed"], "each once");
    assert!(messages.iter().all(|message| message.attempt == 0));
    assert_eq!(messages[3].idempotency_key, "named");
}

#[tokio::test]
async fn a_file_that_is_not_whole_is_refused_and_opens_nothing() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    worked_on(&caller).await;
    let session = caller.session(key("a")).await.session_id;
    let over = end(
        id(&session),
        pb::EndReason::Completed,
        pb::EndMode::Immediate,
    );
    caller.end(over).await.expect("ended");
    let directory = tempfile::tempdir().unwrap();
    let whole = directory.path().join("whole");
    succeeds(
        &server,
        &["session", "export", "a", "--file", whole.to_str().unwrap()],
    );
    let bytes = std::fs::read(&whole).unwrap();
    let cut = directory.path().join("cut");
    for length in [0, 1, 10, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&cut, &bytes[..length]).unwrap();
        let import = ["session", "import", cut.to_str().unwrap()];
        let refused = sessionctl(&server, &import);
        assert_eq!(refused.status.code(), Some(2), "{length}: {refused:?}");
    }
    let none = caller.get(pb::GetSessionRequest { r#ref: key("a") }).await;
    let state = none.expect("it is on record").session.unwrap().state();
    assert_eq!(state, pb::SessionState::Ended, "nothing was opened");
    succeeds(&server, &["session", "import", whole.to_str().unwrap()]);
}
