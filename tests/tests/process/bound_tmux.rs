//! `sessiond run --tmux`: the command has a tmux session of its own, and all of it ends with the session.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::processes::{runs, signal};
use sessiond_tests::requests::{end, key, millis};
use sessiond_tests::server::Server;

use super::bound::command::{Bound, PATIENCE};

/// Runs a script in tmux; what it says is in a file.
fn in_tmux(server: &Server, of: &str, script: &str) -> Bound {
    Bound::script_with(server, &["--key", of, "--tmux"], script)
}

/// The number of a process that a script writes into a file.
async fn number_in(file: &Path, caller: &Caller) -> u32 {
    let began = Instant::now();
    loop {
        let read = std::fs::read_to_string(file).unwrap_or_default();
        if let Ok(number) = read.trim().parse() {
            return number;
        }
        assert!(began.elapsed() < PATIENCE, "it is not written");
        caller.a_moment().await;
    }
}

#[tokio::test]
async fn the_code_and_the_arguments_of_a_command_pass_through_tmux() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut bound = in_tmux(&server, "a:b.c", "exit 7");
    let (status, said) = bound.over();
    assert_eq!(status.code(), Some(7), "{said}");
    assert!(said.contains("attach with: tmux -S "), "{said}");
    let ended = caller.session(key("a:b.c")).await.end.expect("an end");
    assert_eq!(ended.reason(), pb::EndReason::Failed);
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("said");
    let script = r#"printf '<%s>' "$SESSIOND_SESSION_KEY" ';' 'a;' '' >"$0""#;
    let output = Command::new(sessiond_tests::binaries::sessiond())
        .args(["run", "--addr", &server.url(), "--key", "k", "--tmux", "--"])
        .args(["sh", "-c", script])
        .arg(&file)
        .output()
        .expect("it can be run");
    assert!(output.status.success(), "{output:?}");
    let said = std::fs::read_to_string(&file).expect("it is written");
    assert_eq!(said, "<k><;><a;><>");
}

/// Proves: F13, G5.
#[tokio::test]
async fn a_session_that_ends_takes_its_tmux_server_along_whoever_supervises_it() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let directory = tempfile::tempdir().expect("a directory");
    for supervised in [true, false] {
        let name = format!("supervised-{supervised}");
        let file = directory.path().join(&name);
        // It ignores what tmux and a polite supervisor say.
        let script = format!(
            r#"trap "" HUP TERM; echo $$ >'{}'; while :; do sleep 1; done"#,
            file.display()
        );
        let mut bound = in_tmux(&server, &name, &script);
        let deaf = number_in(&file, &caller).await;
        if !supervised {
            super::bound::registered(&caller, None).await;
            bound.signal("KILL");
        }
        let request = pb::EndSessionRequest {
            wait: millis(20_000),
            wait_for: pb::WaitFor::Released.into(),
            ..end(key(&name), pb::EndReason::Deleted, pb::EndMode::Immediate)
        };
        let ended = caller.end(request).await.expect("it ends").session;
        let left = ended.expect("a session").unreleased_resources;
        let survived = runs(deaf);
        if survived {
            signal(deaf, "KILL");
        }
        assert!(!survived && left == 0, "{name}");
        bound.over();
    }
}
