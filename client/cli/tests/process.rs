//! The program as its callers see it: exit codes, stdout and stderr.
//!
//! Invariant: every run has a state directory of its own and no server. What it deliberately does
//! not do: measure time; that a process ends at all is the assertion where it must not wait.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Exit codes as the help documents them.
const USAGE: i32 = 2;
const CANNOT_CONNECT: i32 = 3;

struct Place {
    directory: tempfile::TempDir,
    addr: String,
}

impl Place {
    fn new() -> Self {
        // A port that nobody listens on: bound once and given back.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self {
            directory: tempfile::tempdir().expect("a directory"),
            addr: listener.local_addr().expect("an address").to_string(),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sessionctl"));
        command
            .env_clear()
            .env("HOME", self.path())
            .env("XDG_STATE_HOME", self.path())
            .env("SESSIOND_ADDR", &self.addr)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = self.command(arguments).spawn().expect("the program starts");
        // It may end without reading everything.
        let _ = child.stdin.take().expect("it is piped").write_all(input);
        child.wait_with_output().expect("the program ends")
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn journal(&self) -> String {
        std::fs::read_to_string(self.path().join("sessiond/hook.log")).unwrap_or_default()
    }
}

#[track_caller]
fn check_unnoticed(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        output.stdout.is_empty() && output.stderr.is_empty(),
        "{output:?}"
    );
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn a_hook_is_never_noticed_whatever_it_gets() {
    let place = Place::new();
    let hook = ["hook", "claude-code"];
    for input in [
        &b""[..],
        b"{",
        b"null",
        b"\xff\x00",
        br#"{"hook_event_name":"Later"}"#,
        br#"{"hook_event_name":"Stop"}"#,
        br#"{"hook_event_name":"Stop","session_id":"s"}"#,
    ] {
        check_unnoticed(&place.run(&hook, input));
    }
    assert!(place.journal().contains("not a hook event"));
    assert!(place.journal().contains("kept for later"));
    let waiting = place.run(&["spool", "ls", "--no-headers"], b"");
    assert!(text(&waiting.stdout).starts_with("s  "), "{waiting:?}");
}

#[test]
fn a_hook_with_wrong_arguments_is_not_noticed_either() {
    let place = Place::new();
    for arguments in [
        &["hook", "claude-code", "--no-such-flag"][..],
        &["hook", "claude-code", "more"],
        &["--addr", "hook", "claude-code"],
        &["--addr", "ftp://x", "hook", "claude-code"],
    ] {
        let output = place.run(arguments, br#"{"hook_event_name":"Stop","session_id":"s"}"#);
        check_unnoticed(&output);
    }
    assert!(place.journal().contains("--no-such-flag"));
    assert!(place.journal().contains("ftp://x"));
}

#[test]
fn a_hook_does_not_wait_for_an_input_that_never_ends() {
    let place = Place::new();
    let mut child = place.command(&["hook", "claude-code"]).spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    let output = child.wait_with_output().unwrap();
    check_unnoticed(&output);
    assert!(place.journal().contains("gave up"), "{}", place.journal());
    drop(stdin);
}

#[test]
fn a_hook_without_a_state_directory_is_not_noticed() {
    let place = Place::new();
    let mut command = place.command(&["hook", "claude-code"]);
    command.env_remove("HOME").env_remove("XDG_STATE_HOME");
    let child = command.stdin(Stdio::null()).spawn().unwrap();
    check_unnoticed(&child.wait_with_output().unwrap());
}

#[test]
fn failures_have_three_lines_and_their_exit_code() {
    let place = Place::new();
    let output = place.run(&["session", "ls"], b"");
    assert_eq!(output.status.code(), Some(CANNOT_CONNECT), "{output:?}");
    assert!(output.stdout.is_empty());
    let lines: Vec<&str> = text(&output.stderr).lines().collect();
    let [what, reason, hint] = lines[..] else {
        panic!("{lines:?}");
    };
    assert!(what.starts_with("error: unavailable"), "{what}");
    assert_eq!(reason, "  reason: UNAVAILABLE");
    let expected = format!(
        "  hint: {} (from SESSIOND_ADDR): is sessiond running? start one with: sessiond",
        place.addr
    );
    assert_eq!(hint, expected);
}

#[test]
fn mistakes_in_arguments_are_usage_and_help_is_none() {
    let place = Place::new();
    for arguments in [
        &[][..],
        &["nonsense"],
        &["session", "get"],
        &["session", "end", "--reason", "failed"],
        &["session", "open", "--idle-timeout", "soon"],
        &["--addr", "ftp://x", "stats"],
        &["hook", "install", "another-agent"],
        &["server"],
        &["server", "drain", "--keep", "--end"],
        &["server", "drain", "--within", "0s"],
    ] {
        let output = place.run(arguments, b"");
        assert_eq!(
            output.status.code(),
            Some(USAGE),
            "{arguments:?} {output:?}"
        );
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
    let help = place.run(&["--help"], b"");
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help.stdout).contains("Exit codes:") && help.stderr.is_empty());
}

#[test]
fn a_server_that_is_not_there_is_not_drained() {
    let place = Place::new();
    for arguments in [
        &["server", "drain", "--wait"][..],
        &["server", "drain"],
        &["server", "drain-report"],
    ] {
        let output = place.run(arguments, b"");
        assert_eq!(output.status.code(), Some(CANNOT_CONNECT), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        assert!(text(&output.stderr).starts_with("error: unavailable"));
    }
}

#[test]
fn hooks_are_installed_once_for_the_user() {
    let place = Place::new();
    let install = ["hook", "install", "claude-code"];
    let path = place.path().join(".claude/settings.json");
    let output = place.run(&install, b"");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&output.stdout), format!("{}\n", path.display()));
    let first = std::fs::read_to_string(&path).unwrap();
    assert!(first.contains(" hook claude-code\""));
    place.run(&install, b"");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), first);
    std::fs::write(&path, "{ broken").unwrap();
    let refused = place.run(&install, b"");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{ broken");
}
