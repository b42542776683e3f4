//! `sessiond run`: a command and its session end together, whoever is first, and nothing of the command is left.
//!
//! What this deliberately does not do: look into how processes are ended; the tests of `sessiond-agent` do.

#[path = "bound/command.rs"]
pub(crate) mod command;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use command::{Bound, PATIENCE};
use sessiond_proto::v1 as pb;
use sessiond_tests::binaries;
use sessiond_tests::caller::Caller;
use sessiond_tests::processes::{ESCAPEE, runs, signal};
use sessiond_tests::requests::{end, id, key, millis, open};
use sessiond_tests::server::Server;

async fn until_opened(caller: &Caller, of: &str) {
    let began = Instant::now();
    while caller
        .get(pb::GetSessionRequest { r#ref: key(of) })
        .await
        .is_err()
    {
        assert!(began.elapsed() < PATIENCE, "{of} is not opened");
        caller.a_moment().await;
    }
}

/// The number of a process that a program prints first.
fn first_number(program: &mut Child) -> u32 {
    let stdout = program.stdout.take().expect("it is piped");
    let mut line = String::new();
    let mut stdout = BufReader::new(stdout);
    stdout.read_line(&mut line).expect("a line");
    line.trim().parse().expect("a number")
}

async fn ended(caller: &Caller, of: &str) -> pb::SessionEnd {
    let sessions = caller
        .list(pb::ListSessionsRequest::default())
        .await
        .expect("a list")
        .sessions;
    let session = sessions.into_iter().find(|session| session.key == of);
    let session = session.expect("the session is on record");
    assert_eq!(session.state(), pb::SessionState::Ended, "{session:?}");
    session.end.expect("an end")
}

#[tokio::test]
async fn a_command_is_told_its_session_and_ends_it_with_its_own_outcome() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let script =
        r#"echo "$SESSIOND_SESSION_KEY $SESSIOND_ADDR $SESSIOND_CAUSE$SESSIOND_SESSION_ID""#;
    let mut well = Bound::script(&server, "well", script);
    let told = well.line();
    let (status, said) = well.over();
    assert_eq!(status.code(), Some(0), "{said}");
    let session = told.strip_prefix(&format!("well {} ", server.url()));
    let session = caller.session(id(session.expect("it is told"))).await;
    assert_eq!(session.key, "well");
    let end = ended(&caller, "well").await;
    assert_eq!(end.reason(), pb::EndReason::Completed);
    let (status, said) = Bound::script(&server, "badly", "exit 7").over();
    assert_eq!(status.code(), Some(7), "{said}");
    let end = ended(&caller, "badly").await;
    assert_eq!(end.reason(), pb::EndReason::Failed);
    assert!(end.detail.contains("exit status: 7"), "{}", end.detail);
    let (status, said) = Bound::script(&server, "killed", "kill -9 $$").over();
    assert_eq!(status.code(), Some(128 + 9), "{said}");
    assert_eq!(
        ended(&caller, "killed").await.reason(),
        pb::EndReason::Failed
    );
}

#[tokio::test]
async fn an_end_from_elsewhere_ends_the_command_and_all_it_started_before_the_grace_is_over() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let script = format!("{ESCAPEE} sleep 600");
    let mut bound = Bound::script(&server, "a", &script);
    let escapee = bound.number();
    let request = pb::EndSessionRequest {
        wait: millis(20_000),
        wait_for: pb::WaitFor::Ended.into(),
        ..end(key("a"), pb::EndReason::Deleted, pb::EndMode::Graceful)
    };
    caller.end(request).await.expect("it ends");
    assert!(!runs(escapee), "the end waited for it");
    let (status, said) = bound.over();
    assert_eq!(status.code(), Some(128 + 15), "{said}");
    assert!(said.contains("the session is being ended"), "{said}");
    let end = ended(&caller, "a").await;
    assert_eq!(
        end.reason(),
        pb::EndReason::Deleted,
        "the first reason stands"
    );
}

#[tokio::test]
async fn what_a_command_leaves_behind_is_ended_before_its_session_is() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let script = format!("{ESCAPEE} read go");
    let mut bound = Bound::script_with(&server, &["--key", "a", "--grace", "0"], &script);
    let escapee = bound.number();
    bound.go_on();
    let (status, said) = bound.over();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(!runs(escapee));
    let end = ended(&caller, "a").await;
    assert_eq!(end.reason(), pb::EndReason::Completed);
    assert!(end.detail.contains("was ended"), "{}", end.detail);
}

#[tokio::test]
async fn a_session_that_lived_before_outlives_the_command() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await;
    let arguments = ["--key", "a", "--project", "other"];
    let (status, said) = Bound::script_with(&server, &arguments, "exit 3").over();
    assert_eq!(status.code(), Some(3), "{said}");
    let now = caller.session(key("a")).await;
    assert_eq!(now.session_id, session.session_id);
    assert_eq!(now.state(), pb::SessionState::Active);
    assert_eq!(now.active_requests, 0, "the command uses it no more");
    let said = |session: &pb::Session| {
        let (source, project) = (session.source.clone(), session.project.clone());
        (source, project, session.owner_timeout)
    };
    assert_eq!(said(&now), said(&session), "nothing of it is changed");
}

#[tokio::test]
async fn a_command_keeps_its_session_in_use_and_goes_on_while_the_server_is_away() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    let mut bound = Bound::script(&server, "a", "echo $$; read go");
    let command = bound.number();
    assert_eq!(caller.session(key("a")).await.active_requests, 1);
    server.kill();
    server.restart();
    assert!(runs(command), "a server that is away ends nothing");
    let caller = Caller::to(&server).await;
    assert_eq!(caller.session(key("a")).await.active_requests, 1);
    bound.go_on();
    let (status, said) = bound.over();
    assert_eq!(status.code(), Some(0), "{said}");
    assert_eq!(ended(&caller, "a").await.reason(), pb::EndReason::Completed);
}

#[tokio::test]
async fn a_stop_ends_the_command_and_its_session() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    for signal in ["TERM", "INT", "HUP"] {
        let script = format!("{ESCAPEE} sleep 600");
        let arguments = ["--key", signal, "--grace", "0"];
        let mut bound = Bound::script_with(&server, &arguments, &script);
        let escapee = bound.number();
        bound.signal(signal);
        let (status, said) = bound.over();
        assert_eq!(status.code(), Some(128 + 9), "{signal}: {said}");
        assert!(!runs(escapee), "{signal}");
        assert_eq!(ended(&caller, signal).await.reason(), pb::EndReason::Failed);
    }
}

/// As with `nohup`, and for what a shell starts in the background.
#[tokio::test]
async fn a_signal_ignored_at_its_start_stays_ignored() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let script = "echo $$; read go";
    let ignored = "--ignore-signal=HUP,INT";
    let mut bound = Bound::signals(ignored, &server, &["--key", "a"], script);
    let command = bound.number();
    for signal in ["HUP", "INT"] {
        bound.signal(signal);
    }
    caller.a_moment().await;
    assert!(runs(command));
    bound.go_on();
    let (status, said) = bound.over();
    assert_eq!(status.code(), Some(0), "{said}");
    let end = ended(&caller, "a").await;
    assert_eq!(end.reason(), pb::EndReason::Completed);
}

#[tokio::test]
async fn a_command_that_cannot_start_leaves_no_session_and_says_why() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let run = |arguments: &[&str]| {
        let output = Command::new(binaries::sessiond())
            .arg("run")
            .args(arguments)
            .output();
        let output = output.expect("it can be run");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let (code, said) = run(&[
        "--addr",
        &server.url(),
        "--key",
        "a",
        "--",
        "/no/such/command",
    ]);
    assert_eq!(code, Some(127), "{said}");
    assert!(said.contains("there is no such command"), "{said}");
    assert_eq!(ended(&caller, "a").await.reason(), pb::EndReason::Failed);
    let (code, said) = run(&["--addr", &server.url(), "--key", "b", "--", "/etc/passwd"]);
    assert_eq!(code, Some(126), "{said}");
    assert_eq!(ended(&caller, "b").await.reason(), pb::EndReason::Failed);
    let (code, said) = run(&["--addr", &server.url(), "--key", "c"]);
    assert_eq!(code, Some(2), "{said}");
    let (code, said) = run(&["--addr", &server.url(), "--key", "", "--", "true"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--key"), "{said}");
    let (code, said) = run(&["--addr", "127.0.0.1:1", "--key", "d", "--", "true"]);
    assert_eq!(code, Some(125), "{said}");
    assert!(said.contains("127.0.0.1:1"), "{said}");
}

#[tokio::test]
async fn a_command_waits_for_a_slot_of_a_full_pool_if_it_is_to() {
    let server = Server::configured("[session]\nmax_sessions = 1\n");
    let caller = Caller::to(&server).await;
    caller.opened("first").await;
    let (status, said) = Bound::script(&server, "refused", "true").over();
    assert_eq!(status.code(), Some(125), "{said}");
    let arguments = ["--key", "second", "--wait-for-slot", "600"];
    let mut bound = Bound::script_with(&server, &arguments, "echo $$; exec sleep 600");
    until_opened(&caller, "second").await;
    assert!(bound.lines.try_recv().is_err(), "it has no slot");
    caller
        .end(end(
            key("first"),
            pb::EndReason::Completed,
            pb::EndMode::Immediate,
        ))
        .await
        .expect("it ends");
    let command = bound.number();
    bound.signal("TERM");
    let (status, said) = bound.over();
    assert_eq!(status.code(), Some(128 + 15), "{said}");
    assert!(!runs(command));
    caller.open(open("third")).await.expect("its slot is free");
}

#[tokio::test]
async fn the_outcome_of_a_command_waits_for_a_server_that_is_away() {
    let mut server = Server::start();
    let mut bound = Bound::script(&server, "a", "echo $$; read go");
    let command = bound.number();
    server.kill();
    bound.go_on();
    while runs(command) {
        std::thread::yield_now();
    }
    server.restart();
    let (status, said) = bound.over();
    assert_eq!(status.code(), Some(0), "{said}");
    let caller = Caller::to(&server).await;
    let end = ended(&caller, "a").await;
    assert_eq!(end.reason(), pb::EndReason::Completed);
}

#[tokio::test]
async fn a_stop_before_the_command_leaves_no_session_that_waits() {
    let server = Server::configured("[session]\nmax_sessions = 1\n");
    let caller = Caller::to(&server).await;
    caller.opened("first").await;
    let arguments = ["--key", "second", "--wait-for-slot", "600"];
    let mut bound = Bound::script_with(&server, &arguments, "echo started");
    until_opened(&caller, "second").await;
    bound.signal("INT");
    let (status, said) = bound.over();
    assert_eq!(status.code(), Some(125), "{said}");
    let end = ended(&caller, "second").await;
    assert_eq!(end.reason(), pb::EndReason::Failed);
}

/// A process that becomes `sessiond run` keeps the children that it had.
#[tokio::test]
async fn what_was_there_before_is_not_the_commands() {
    let server = Server::start();
    let script = format!(
        "sleep 600 & echo $!; exec {} run --addr {} --key a -- true",
        binaries::sessiond().display(),
        server.url(),
    );
    let output = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let mut run = output.expect("the machine has a shell");
    let other = first_number(&mut run);
    let status = run.wait().expect("it is our child");
    let survived = runs(other);
    signal(other, "KILL");
    assert_eq!(status.code(), Some(0));
    assert!(survived, "it was there before");
}

#[tokio::test]
async fn a_command_is_ended_although_nobody_hears_of_it() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut run = Command::new(binaries::sessiond())
        .args(["run", "--addr", &server.url(), "--key", "a", "--"])
        .args(["sh", "-c", "echo $$; exec sleep 600"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it can be run");
    drop(run.stderr.take());
    let command = first_number(&mut run);
    caller
        .end(end(
            key("a"),
            pb::EndReason::Deleted,
            pb::EndMode::Immediate,
        ))
        .await
        .expect("it ends");
    let status = run.wait().expect("it is our child");
    let survived = runs(command);
    signal(command, "KILL");
    assert!(!survived);
    assert_eq!(status.code(), Some(128 + 15));
}

/// Proves: F13, G5.
#[tokio::test]
async fn a_command_whose_supervisor_was_killed_ends_with_its_session_all_the_same() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut run = Command::new(binaries::sessiond())
        .args(["run", "--addr", &server.url(), "--key", "a", "--"])
        .args(["sh", "-c", "echo $$; exec sleep 600"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it can be run");
    let command = first_number(&mut run);
    registered(&caller, Some(command)).await;
    run.kill().expect("it is our child");
    run.wait().expect("it is our child");
    assert!(runs(command), "nobody is left to end it but the server");
    released(&caller, "a").await;
    assert!(!runs(command));
}

/// Ends a session, and waits until nothing that it had outside is left.
pub(crate) async fn released(caller: &Caller, of: &str) {
    let request = pb::EndSessionRequest {
        wait: millis(20_000),
        wait_for: pb::WaitFor::Released.into(),
        ..end(key(of), pb::EndReason::Deleted, pb::EndMode::Immediate)
    };
    let ended = caller.end(request).await.expect("it ends").session;
    assert_eq!(ended.expect("a session").unreleased_resources, 0);
}

/// Waits until the server knows which process a command is; without a number, any.
pub(crate) async fn registered(caller: &Caller, pid: Option<u32>) {
    let began = Instant::now();
    let is_known = |resource: &pb::Resource| match &resource.target {
        Some(pb::resource::Target::Process(process)) => pid.is_none_or(|pid| process.pid == pid),
        Some(pb::resource::Target::Tmux(_)) | None => false,
    };
    loop {
        let request = pb::ListResourcesRequest::default();
        let listed = caller.list_resources(request).await.expect("a list");
        if listed.resources.iter().any(is_known) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{pid:?} is not registered");
        caller.a_moment().await;
    }
}
