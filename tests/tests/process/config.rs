//! The configuration as the process takes it: what it refuses and where it says it is, which source wins, what
//! it shows, and that what is set is what is served.

use std::path::{Path, PathBuf};
use std::process::Output;

use rustix::process::Signal;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{in_millis, open};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;

use super::run::{Run, command};

/// A configuration file, with room for data beside it.
struct Place {
    _temporary: tempfile::TempDir,
    file: PathBuf,
    data: PathBuf,
}

impl Place {
    fn with(text: &str) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary directory can be made");
        let file = temporary.path().join("sessiond.toml");
        std::fs::write(&file, text).expect("a file can be written");
        Self {
            file,
            data: temporary.path().join("data"),
            _temporary: temporary,
        }
    }

    fn file(&self) -> &str {
        path(&self.file)
    }

    fn data(&self) -> &str {
        path(&self.data)
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a temporary path is UTF-8")
}

fn output(arguments: &[&str]) -> Output {
    command(arguments).output().expect("it can be run")
}

fn said(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes)
        .lines()
        .map(str::to_owned)
        .collect()
}

const BAD: &str = "[server]
listen = \"0.0.0.0:7377\"
[session]
max_idle_time = \"2h\"
max_session_age_secs = 60
max_sesions = 5

[retry]
max_attempts = 0
";

/// What is wrong with it.
fn wrong(place: &Place) -> Vec<String> {
    let lines = [
        "2:1: [server] listen: 0.0.0.0:7377 is not a loopback address, and others are let in only with TLS and a \
         certificate of their own: set [tls] certificate and key and client_ca, or listen on 127.0.0.1, [::1] or \
         unix:PATH"
            .to_owned(),
        format!(
            "4:1: [session] max_idle_time: \"2h\" is too much beside [session] max_session_age = \"1m\" ({}:5): a \
             session would reach its age before it could be idle; lower this one or raise that one",
            place.file()
        ),
        "6:1: [session] max_sesions: no such key; did you mean `max_sessions`?".to_owned(),
        "9:1: [retry] max_attempts: 0 is not taken; takes a whole number from 1 to 1000".to_owned(),
    ];
    lines
        .iter()
        .map(|line| format!("{}:{line}", place.file()))
        .collect()
}

/// Proves: F83.
#[test]
fn a_bad_file_is_refused_with_all_its_problems_and_nothing_is_made() {
    let place = Place::with(BAD);
    let (status, mut said) = Run::start(command(&[
        "--config",
        place.file(),
        "--data-dir",
        place.data(),
    ]))
    .ended();
    assert_eq!(status.code(), Some(2), "{said:?}");
    let last = said.pop().expect("it says something");
    assert_eq!(
        last,
        "error: 4 problems in the configuration; nothing was started"
    );
    assert_eq!(said, wrong(&place));
    assert!(!place.data.exists(), "nothing was made");
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let place = Place::with("");
    let missing = place.data.join("no.toml");
    for by_flag in [true, false] {
        let mut command = command(&["serve", "--data-dir", place.data()]);
        if by_flag {
            command.arg("--config").arg(&missing);
        } else {
            command.env("SESSIOND_CONFIG", &missing);
        }
        let (status, said) = Run::start(command).ended();
        assert_eq!(status.code(), Some(2), "{said:?}");
        let start = format!("{}: failed to read the configuration: ", missing.display());
        assert!(said[0].starts_with(&start), "{said:?}");
    }
}

#[test]
fn checking_a_file_finds_the_same_and_starts_nothing() {
    let place = Place::with(BAD);
    let checked = output(&["config", "check", place.file()]);
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    assert!(checked.stdout.is_empty(), "{checked:?}");
    let mut lines = said(&checked.stderr);
    assert_eq!(
        lines.pop().as_deref(),
        Some("error: 4 problems in the configuration")
    );
    assert_eq!(lines, wrong(&place));
    let good = Place::with("[session]\nmax_sessions = 5\n");
    let checked = output(&["config", "check", good.file()]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    assert_eq!(
        said(&checked.stdout),
        [format!("{}: no problems", good.file())]
    );
}

#[test]
fn checking_without_a_file_checks_what_serve_would_start_with() {
    let mut command = command(&["config", "check"]);
    command.env("SESSIOND_LISTEN", "0.0.0.0:1");
    let checked = command.output().expect("it can be run");
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    assert!(said(&checked.stderr)[0].starts_with("SESSIOND_LISTEN: [server] listen (--listen): "));
    let checked = output(&["config", "check"]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
}

/// Proves: F83.
#[test]
fn each_value_is_shown_with_where_it_is_from() {
    let place = Place::with("[session]\nmax_session_age_secs = 600\n[log]\nlevel = \"warn\"\n");
    let mut command = command(&[
        "config",
        "show",
        "--origin",
        "--config",
        place.file(),
        "--listen",
        "127.0.0.1:9",
    ]);
    command
        .env("SESSIOND_SESSION_MAX_SESSIONS", "12")
        .env("SESSIOND_LISTEN", "127.0.0.1:8");
    let shown = command.output().expect("it can be run");
    assert_eq!(shown.status.code(), Some(0), "{shown:?}");
    let lines = said(&shown.stdout);
    for line in [
        "listen = \"127.0.0.1:9\"  # --listen".to_owned(),
        "max_sessions = 12  # SESSIOND_SESSION_MAX_SESSIONS".to_owned(),
        format!("max_session_age = \"10m\"  # {}:2", place.file()),
        "max_idle_time = \"10m\"  # default, follows [session] max_session_age".to_owned(),
        format!("level = \"warn\"  # {}:4", place.file()),
        "max_attempts = 3  # default".to_owned(),
        "[namespaces.default]  # default".to_owned(),
    ] {
        assert!(lines.contains(&line), "{line} is not in {lines:#?}");
    }
}

#[test]
fn what_is_shown_is_a_file_that_shows_the_same() {
    let place = Place::with(
        "[session]\nmax_idle_time = \"never\"\n[pools.\"a b\"]\n[queue]\nmax_bytes = \"3MiB\"\n",
    );
    let first = output(&[
        "config",
        "show",
        "--config",
        place.file(),
        "--data-dir",
        place.data(),
        "--namespaces",
        "blue",
        "--log-level",
        "debug",
    ]);
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    let copy = place.data.with_extension("toml");
    std::fs::write(&copy, &first.stdout).expect("a file can be written");
    let second = output(&["config", "show", "--config", path(&copy)]);
    assert_eq!(second.status.code(), Some(0), "{second:?}");
    assert_eq!(said(&second.stdout), said(&first.stdout));
    let json = |file: &str| -> serde_json::Value {
        let shown = output(&[
            "config",
            "show",
            "-o",
            "json",
            "--data-dir",
            place.data(),
            "--config",
            file,
        ]);
        serde_json::from_slice(&shown.stdout).expect("it prints JSON")
    };
    let mut shown = json(path(&copy));
    assert_eq!(shown["session"]["max_idle_time"], "never");
    assert_eq!(shown["session"]["max_sessions"], 1_000);
    assert_eq!(shown["session"]["cleanup_on_shutdown"], true);
    assert_eq!(shown["pools"]["a b"]["max_sessions"], 1_000);
    assert_eq!(shown["pools"]["a b"]["max_attached"], "never");
    shown["namespaces"]["blue"].take();
    assert_eq!(json(place.file())["queue"], shown["queue"]);
}

#[test]
fn origins_are_told_in_json_too() {
    let shown = output(&[
        "config",
        "show",
        "--origin",
        "-o",
        "json",
        "--listen",
        "127.0.0.1:9",
    ]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("it prints JSON");
    let listen = serde_json::json!({ "value": "127.0.0.1:9", "origin": "--listen" });
    assert_eq!(shown["server"]["listen"], listen);
    let attempts = serde_json::json!({ "value": 3, "origin": "default" });
    assert_eq!(shown["retry"]["max_attempts"], attempts);
}

#[test]
fn showing_a_bad_configuration_is_usage() {
    let place = Place::with("[session]\nmax_sessions = -1\n");
    let shown = output(&["config", "show", "--config", place.file()]);
    assert_eq!(shown.status.code(), Some(2), "{shown:?}");
    assert!(shown.stdout.is_empty(), "{shown:?}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let (reader, writer) = std::io::pipe().expect("a pipe can be made");
    drop(reader);
    let mut command = command(&["config", "show"]);
    let shown = command.stdout(writer).output().expect("it can be run");
    assert_eq!(shown.status.code(), Some(0), "{shown:?}");
    assert!(shown.stderr.is_empty(), "{shown:?}");
}

const SERVED: &str = r#"
[session]
max_idle_time_secs = 77
max_session_age = "2h"
owner_timeout = "50s"
max_sessions = 1
end_grace = "4s"
end_grace_after_pending = "9m"
[queue]
max_message_bytes = 500
max_messages = 2
max_bytes = 4000
[retry]
max_attempts = 7
[workers]
lease = "30s"
claim_lease = "31s"
[namespaces.blue]
[pools.batch]
"#;

/// Proves: F83.
#[tokio::test]
async fn what_is_set_is_served_and_told() {
    let place = Place::with(SERVED);
    let mut run = Run::start(command(&[
        "--config",
        place.file(),
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        place.data(),
    ]));
    let caller = Caller::at(&format!("http://{}", run.listening())).await;
    let info = caller
        .info(pb::GetServerInfoRequest {})
        .await
        .expect("it answers");
    assert_eq!(info.namespaces, ["blue", "default"]);
    let limits = info.limits.expect("it tells its limits");
    assert_eq!(
        (
            limits.max_payload_bytes,
            limits.max_queue_messages,
            limits.max_queue_bytes,
            limits.max_sessions
        ),
        (500, 2, 4_000, 1)
    );
    let defaults = info.defaults.expect("it tells its defaults");
    let after = |limit: Option<pb::Limit>| match limit.and_then(|limit| limit.bound) {
        Some(pb::limit::Bound::After(span)) => in_millis(Some(span)),
        other => panic!("not a span: {other:?}"),
    };
    assert_eq!(after(defaults.idle_timeout), 77_000);
    assert_eq!(after(defaults.max_lifetime), 7_200_000);
    assert_eq!(after(defaults.owner_timeout), 50_000);
    assert_eq!(in_millis(defaults.end_grace), 4_000);
    assert_eq!(in_millis(defaults.end_grace_after_pending), 540_000);
    assert_eq!(in_millis(defaults.lease_duration), 30_000);
    assert_eq!(in_millis(defaults.claim_lease_duration), 31_000);
    assert_eq!(defaults.max_attempts, 7);
    let request = pb::OpenSessionRequest {
        pool: "batch".to_owned(),
        ..open("a")
    };
    let session = caller
        .open(request.clone())
        .await
        .expect("the pool exists")
        .session;
    let session = session.expect("it answers with the session");
    assert_eq!(after(session.idle_timeout), 77_000);
    let request = pb::OpenSessionRequest {
        key: "b".to_owned(),
        ..request
    };
    let refusal = caller.open(request).await.expect_err("the pool is full");
    assert_eq!(refusal.reason, "TOO_MANY_SESSIONS");
    caller.in_namespace("blue").opened("c").await;
    run.signal(Signal::TERM);
    assert_eq!(run.ended().0.code(), Some(0));
}

/// Proves: F25, F83.
#[tokio::test]
async fn a_session_ends_when_the_idle_limit_of_the_file_has_passed() {
    let place = Place::with("[session]\nmax_idle_time = \"200ms\"\n");
    let server = Server::start_with(&["--config", place.file()]);
    let caller = Caller::to(&server).await;
    let session = caller.opened("idle").await;
    let mut watch = WatchStream::from_the_start(&caller).await;
    let event = watch
        .event(pb::EventType::SessionEnd, &session.session_id)
        .await;
    assert_eq!(
        event.end.expect("it says how").reason(),
        pb::EndReason::Idle
    );
}
