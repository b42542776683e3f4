//! Notices: what an operator should act on is one warning each, with ids and without what was said, and no line of
//! cleanup says it again.

use rustix::process::Signal;
use serde_json::Value;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{claim, end, key, message, millis, nack};
use sessiond_tests::watch_stream::WatchStream;
use sessiond_tests::work_stream::WorkStream;

use super::cleanup_log::cleanup;
use super::run::{Run, command};

/// A worker is stuck soon, and the second failure suspends a session.
const IMPATIENT: &str =
    "[workers]\nstuck_after = \"1s\"\nrestart_limit = 1\n[session]\ncleanup_on_shutdown = false\n";
/// What no line may say.
const SECRET: &str = "secret work";

/// The fields of a notice that are the same in every run.
const FIELDS: [&str; 11] = [
    "namespace",
    "key",
    "warning",
    "reason",
    "active_requests",
    "in_flight",
    "pending",
    "instance_id",
    "failures",
    "limit",
    "kind",
];

/// A session that ends with a request, a delivery and nothing pending open.
async fn overdue(caller: &Caller, watch: &mut WatchStream) -> String {
    let session = caller.opened("overdue").await.session_id;
    caller.enqueued(key("overdue"), &[SECRET]).await;
    caller.claimed(key("overdue"), "slow").await;
    let request = pb::BeginRequestRequest {
        r#ref: key("overdue"),
        ..pb::BeginRequestRequest::default()
    };
    caller.begin_request(request).await.expect("begun");
    let asked = pb::EndSessionRequest {
        end_grace: millis(100),
        ..end(
            key("overdue"),
            pb::EndReason::Completed,
            pb::EndMode::Graceful,
        )
    };
    caller.end(asked).await.expect("it begins to end");
    watch.event(pb::EventType::SessionEnd, &session).await;
    session
}

/// A session whose worker makes no progress; the worker stays connected.
async fn stuck(caller: &Caller, watch: &mut WatchStream) -> (String, WorkStream) {
    let session = caller.opened("stuck").await.session_id;
    caller.enqueued(key("stuck"), &[SECRET]).await;
    let mut worker = WorkStream::worker(caller, "hangs", 4).await;
    worker.attached_to(key("stuck")).await;
    worker.delivered(1).await;
    watch.event(pb::EventType::WorkerStuck, &session).await;
    (session, worker)
}

/// A session whose workers are lost twice.
async fn suspended(caller: &Caller, watch: &mut WatchStream) -> String {
    let session = caller.opened("suspended").await.session_id;
    caller.enqueued(key("suspended"), &[SECRET]).await;
    for _ in 0..2 {
        let brief = pb::ClaimMessagesRequest {
            lease_duration: millis(1_000),
            ..claim(key("suspended"), "dies")
        };
        let out = caller.claim(brief).await.expect("a claim").deliveries;
        assert_eq!(out.len(), 1);
        watch.event(pb::EventType::WorkerLost, &session).await;
    }
    watch.event(pb::EventType::RestartLimited, &session).await;
    session
}

/// A session whose summaries fail three times in a row.
async fn skipped(caller: &Caller, watch: &mut WatchStream) -> String {
    let session = caller.opened("skipped").await.session_id;
    for _ in 0..3 {
        let summary = pb::Message {
            kind: "summarize".to_owned(),
            ..message(SECRET)
        };
        let request = pb::EnqueueMessagesRequest {
            r#ref: key("skipped"),
            messages: vec![summary],
            ..pb::EnqueueMessagesRequest::default()
        };
        caller.enqueue(request).await.expect("taken");
        let out = caller.claimed(key("skipped"), "fails").await;
        let failed = nack(&out[0], pb::NackKind::Permanent, None);
        assert_eq!(caller.code(failed).await, pb::SettleCode::Ok);
    }
    watch.event(pb::EventType::CircuitOpened, &session).await;
    session
}

/// The warnings about sessions: of which, and their fields in words.
fn notices(said: &[String]) -> Vec<(String, String)> {
    let lines = said
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let word = |line: &Value, name: &str| line[name].as_str().map(str::to_owned);
    let mut notices = Vec::new();
    for line in lines.filter(|line| line["level"] == "WARN") {
        let Some(session) = word(&line, "session_id") else {
            continue;
        };
        assert!(line["revision"].is_u64(), "it says which event: {line}");
        let fields = FIELDS.iter().filter_map(|name| {
            let value = word(&line, name)?;
            Some(format!(" {name}={value}"))
        });
        let message = word(&line, "message").expect("a line says something");
        notices.push((session, fields.fold(message, |told, field| told + &field)));
    }
    notices
}

/// Proves: F75.
#[tokio::test]
async fn what_an_operator_should_act_on_is_one_warning_and_no_line_says_it_again() {
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let (data, file) = (
        temporary.path().join("data"),
        temporary.path().join("sessiond.toml"),
    );
    std::fs::write(&file, IMPATIENT).expect("a file can be written");
    let path = |path: &std::path::Path| path.to_str().expect("temporary paths are text").to_owned();
    let (data, file) = (path(&data), path(&file));
    let flags = ["--log-format", "json", "--listen", "127.0.0.1:0"];
    let places = ["--config", &file, "--data-dir", &data];
    let mut run = Run::start(command(&[&flags[..], &places[..]].concat()));
    let caller = Caller::at(&format!("http://{}", run.listening())).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let overdue = overdue(&caller, &mut watch).await;
    let (stuck, worker) = stuck(&caller, &mut watch).await;
    let suspended = suspended(&caller, &mut watch).await;
    let skipped = skipped(&caller, &mut watch).await;
    drop((watch, worker));
    run.signal(Signal::TERM);
    let (status, said) = run.ended();
    assert_eq!(status.code(), Some(0), "{said:?}");
    let expected = [
        (
            overdue,
            "session ended with work open: its grace was over namespace=default key=overdue \
             warning=drain_timed_out reason=COMPLETED active_requests=1 in_flight=1 pending=0",
        ),
        (
            stuck,
            "worker stuck: it holds deliveries and makes no progress, and has lost the session \
             namespace=default key=stuck instance_id=hangs",
        ),
        (
            suspended,
            "session suspended: its workers failed too often namespace=default key=suspended \
             failures=2 limit=1",
        ),
        (
            skipped,
            "messages of a kind are skipped: it failed too often namespace=default key=skipped \
             failures=3 kind=summarize",
        ),
    ];
    let expected = expected.map(|(session, told)| (session, told.to_owned()));
    assert_eq!(notices(&said), expected, "{said:#?}");
    let lines = cleanup(&said);
    let told: Vec<_> = lines
        .iter()
        .map(|line| (&line["message"], &line["key"]))
        .collect();
    let lost = (&"cleanup: worker lost".into(), &"suspended".into());
    assert_eq!(told, [lost, lost], "each loss, and nothing again");
    assert!(!said.iter().any(|line| line.contains(SECRET)), "{said:?}");
}
