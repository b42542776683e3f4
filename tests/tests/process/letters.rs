//! Dead letters on the command line: looked at, tried, brought back, thrown away.

use sessiond_tests::progress::Progress;
use sessiond_tests::server::Server;
use sessiond_tests::sessionctl::Sessionctl;

/// Runs a command to its end, which must be a good one.
fn run(server: &Server, arguments: &[&str]) -> Sessionctl {
    let mut command = Sessionctl::start(server, arguments, &Progress::default());
    let status = command.finish();
    assert!(status.success(), "{arguments:?}: {:?}", command.said());
    command
}

#[test]
fn dead_letters_are_looked_after_on_the_command_line() {
    let server = Server::start();
    run(&server, &["session", "open", "--key", "old"]);
    for payload in ["one", "two"] {
        let send = ["message", "send", "old", "--kind", "note", "-p", payload];
        run(&server, &send);
    }
    run(&server, &["session", "end", "old", "--mode", "immediate"]);
    let letters = run(&server, &["message", "dead", "--reason", "session-ended"]).printed();
    assert_eq!(letters.len(), 2, "{letters:?}");
    assert_eq!(letters[0]["key"], "old");
    let queue = letters[0]["message"]["queue_id"]
        .as_str()
        .expect("a number as text");
    let place = format!("{queue}/1");
    let tried = run(&server, &["message", "requeue", "--all", "--dry-run"]);
    let told = &tried.printed()[0];
    assert_eq!(told["requeued"], "0");
    assert_eq!(told["without_session"], "2");
    assert!(
        tried.said().iter().any(|line| line.contains("--into")),
        "{:?}",
        tried.said()
    );
    run(&server, &["session", "open", "--key", "new"]);
    let requeue = ["message", "requeue", "--letter", &place, "--into", "new"];
    assert_eq!(run(&server, &requeue).printed()[0]["requeued"], "1");
    let rest = run(&server, &["message", "discard", "old", "--all"]).printed();
    assert_eq!(rest[0]["discarded"], "1");
    let dry = ["message", "discard", "new", "--kind", "note", "--dry-run"];
    assert_eq!(run(&server, &dry).printed()[0]["discarded"], "1");
    assert_eq!(run(&server, &["message", "ls", "new"]).printed().len(), 1);
    assert_eq!(run(&server, &["message", "dead"]).printed().len(), 0);
}
