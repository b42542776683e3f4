//! What the server does of itself is logged, a line each, with ids and without what was said.

use rustix::process::Signal;
use serde_json::Value;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{after, claim, end, key, millis, never, open};
use sessiond_tests::watch_stream::WatchStream;

use super::run::{KEEPS, Run, command};

/// The lines of a log in JSON that tell of cleanup.
pub(crate) fn cleanup(said: &[String]) -> Vec<Value> {
    let lines = said
        .iter()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| {
            line["message"]
                .as_str()
                .is_some_and(|words| words.starts_with("cleanup: "))
        })
        .collect()
}

/// A session with an open delivery whose lease lapses in a second, one that is soon idle, and one that its caller ended.
/// Answers with the first two.
async fn three_fates(caller: &Caller) -> (pb::Session, pb::Session) {
    caller.opened("asked").await;
    let asked = end(
        key("asked"),
        pb::EndReason::Completed,
        pb::EndMode::Immediate,
    );
    caller.end(asked).await.expect("it ends");
    let lost = pb::OpenSessionRequest {
        idle_timeout: never(),
        ..open("lost")
    };
    caller.open(lost).await.expect("it opens");
    caller.enqueued(key("lost"), &["secret work"]).await;
    let short = pb::ClaimMessagesRequest {
        lease_duration: millis(1_000),
        ..claim(key("lost"), "sleeper")
    };
    caller.claim(short).await.expect("there is work");
    let idle = pb::OpenSessionRequest {
        idle_timeout: after(200),
        prompt: "secret prompt".to_owned(),
        ..open("idle")
    };
    let idle = caller.open(idle).await.expect("it opens").session;
    let idle = idle.expect("it answers with the session");
    (caller.session(key("lost")).await, idle)
}

/// Proves: F75.
#[tokio::test]
async fn what_the_server_does_of_itself_is_logged_and_what_was_asked_for_is_not() {
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let data = temporary.path().join("data");
    let data = data.to_str().expect("a temporary path is UTF-8");
    let flags = ["--log-format", "json", "--listen", "127.0.0.1:0"];
    let mut command = command(&[&flags[..], &["--data-dir", data]].concat());
    command.env(KEEPS, "false");
    let mut run = Run::start(command);
    let caller = Caller::at(&format!("http://{}", run.listening())).await;
    let (lost, idle) = three_fates(&caller).await;
    let mut watch = WatchStream::from_the_start(&caller).await;
    for (of, session) in [
        (pb::EventType::SessionEnd, &idle),
        (pb::EventType::WorkerLost, &lost),
    ] {
        watch.event(of, &session.session_id).await;
    }
    drop(watch);
    run.signal(Signal::TERM);
    let (status, said) = run.ended();
    assert_eq!(status.code(), Some(0), "{said:?}");
    let lines = cleanup(&said);
    let word = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let told: Vec<(String, String)> = lines
        .iter()
        .map(|line| (word(line, "message"), word(line, "key")))
        .collect();
    let expected = [
        ("cleanup: session end", "idle"),
        ("cleanup: worker lost", "lost"),
    ];
    let expected = expected.map(|(what, key)| (what.to_owned(), key.to_owned()));
    assert_eq!(told, expected, "{said:#?}");
    assert_eq!(lines[0]["reason"], "IDLE");
    assert_eq!(lines[0]["session_id"], idle.session_id.as_str());
    assert_eq!(lines[0]["namespace"], "default");
    assert!(!said.iter().any(|line| line.contains("secret")), "{said:?}");
}
