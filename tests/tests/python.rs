//! A client that is not ours: Python's own gRPC, with stubs which its own generator makes of `proto/`.
//!
//! What the contract means must not depend on our SDK. The script in `tests/python` does the talking and
//! the checking; this starts the server, kills it when the script asks for it, and holds its summary
//! against what it must be. What this deliberately does not do: install Python's packages.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};
use sessiond_tests::binaries;
use sessiond_tests::python::{generate, python};
use sessiond_tests::server::Server;

/// How long the script may be silent: longer than its own patience, which says more.
const SILENCE_MAX: Duration = Duration::from_secs(120);

#[test]
fn a_stock_client_gets_what_the_contract_says() {
    let stubs = tempfile::tempdir().expect("a temporary directory can be made");
    generate(stubs.path());
    let mut server = Server::start();
    let mut script = Command::new(python())
        .arg(binaries::root().join("tests/python/stock_client.py"))
        .arg(server.address())
        .env("PYTHONPATH", stubs.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Python can be started");
    let mut answers = script.stdin.take().expect("stdin is piped");
    let lines = lines(script.stdout.take().expect("stdout is piped"));
    let complaint = all(script.stderr.take().expect("stderr is piped"));
    let mut kills = 0;
    let mut summary = None;
    loop {
        match lines.recv_timeout(SILENCE_MAX) {
            Ok(line) if line == "KILL" => {
                server.kill();
                server.restart();
                kills += 1;
                writeln!(answers, "RESTARTED").expect("the script listens");
            }
            Ok(line) => summary = line.strip_prefix("SUMMARY ").map(str::to_owned),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                script.kill().expect("a child can be killed");
                break;
            }
        }
    }
    let status = script.wait().expect("a child can be waited for");
    let complaint = complaint.join().expect("what it said can be read");
    assert!(status.success(), "{status}:\n{complaint}");
    assert_eq!(kills, 1);
    let summary = summary.expect("the script sums up");
    let summary: Value = serde_json::from_str(&summary).expect("the summary is JSON");
    assert_eq!(summary["domain"], "sessiond");
    assert_eq!(summary["processed"], json!(9));
    assert_eq!(summary["ended"], json!(2));
    assert_eq!(summary["events"], summary["revision"]);
    assert_eq!(
        summary["watch_connections"],
        json!(2),
        "one before the kill and one after"
    );
}

/// Lines as they come.
fn lines(pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// All of it, once it ends.
fn all(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text)
            .expect("what Python says is text");
        text
    })
}
