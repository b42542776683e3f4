//! What the server does of itself is logged, a line each, with ids and without what was said.

use rustix::process::Signal;
use serde_json::Value;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{after, claim, end, key, millis, never, open};
use sessiond_tests::watch_stream::WatchStream;

use super::run::{Run, command};

/// The lines of a log in JSON that tell of cleanup.
fn cleanup(said: &[String]) -> Vec<Value> {
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

#[tokio::test]
async fn what_the_server_does_of_itself_is_logged_and_what_was_asked_for_is_not() {
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let data = temporary.path().join("data");
    let data = data.to_str().expect("a temporary path is UTF-8");
    let flags = [
        "--listen",
        "127.0.0.1:0",
        "--log-format",
        "json",
        "--data-dir",
        data,
    ];
    let mut run = Run::start(command(&flags));
    let caller = Caller::at(&format!("http://{}", run.listening())).await;
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
    let idle = caller
        .open(idle)
        .await
        .expect("it opens")
        .session
        .expect("a session");
    let lost = caller.session(key("lost")).await;
    let mut watch = WatchStream::from_the_start(&caller).await;
    watch
        .event(pb::EventType::SessionEnd, &idle.session_id)
        .await;
    watch
        .event(pb::EventType::WorkerLost, &lost.session_id)
        .await;
    drop(watch);
    run.signal(Signal::TERM);
    let (status, said) = run.ended();
    assert_eq!(status.code(), Some(0), "{said:?}");
    let lines = cleanup(&said);
    let told: Vec<(&str, &str)> = lines
        .iter()
        .map(|line| {
            (
                line["message"].as_str().unwrap_or(""),
                line["key"].as_str().unwrap_or(""),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("cleanup: session end", "idle"),
            ("cleanup: worker lost", "lost")
        ],
        "{said:#?}"
    );
    assert_eq!(lines[0]["reason"], "IDLE");
    assert_eq!(lines[0]["session_id"], idle.session_id.as_str());
    assert_eq!(lines[0]["namespace"], "default");
    assert!(!said.iter().any(|line| line.contains("secret")), "{said:?}");
}
