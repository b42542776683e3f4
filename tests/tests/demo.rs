//! The README's first command: recorded sessions through a real server that is killed in the middle.
//!
//! The demo checks itself against the recording; here it is checked that it does, that it fails when it
//! should, and that what it prints is what the recording comes to, counted without its code.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sessiond_tests::binaries;

/// The bundled recording, or the one named by the environment.
fn recording() -> PathBuf {
    std::env::var_os("SESSIOND_RECORDING").map_or_else(
        || binaries::root().join("server/demo/recording.jsonl"),
        PathBuf::from,
    )
}

fn demo(file: Option<&Path>) -> Output {
    command(file).output().expect("the demo can be run")
}

fn command(file: Option<&Path>) -> Command {
    let mut command = Command::new(binaries::sessiond());
    command
        .arg("demo")
        .args(file)
        .env_remove("SESSIOND_RECORDING");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// How many lines of the recording are one of these events.
fn count(recording: &str, events: &[&str]) -> usize {
    let of = |line: &str| -> String {
        let event: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
        event["hook_event_name"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let wanted = |line: &&str| events.contains(&of(line).as_str());
    recording.lines().filter(wanted).count()
}

/// The two figures behind a line of the summary.
fn figures(shown: &str, what: &str) -> (usize, usize) {
    let line = shown
        .lines()
        .find(|line| line.trim_start().starts_with(what))
        .unwrap_or_else(|| panic!("no line {what:?} in:\n{shown}"));
    let mut numbers = line.split_whitespace().filter_map(|word| word.parse().ok());
    let recorded = numbers.next().expect("a recorded figure");
    let seen = numbers.next().expect("a seen figure");
    (recorded, seen)
}

#[test]
fn the_demo_comes_to_what_was_recorded() {
    let file = recording();
    let recording = std::fs::read_to_string(&file).expect("the recording can be read");
    let output = demo(Some(&file));
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}\n{}", text(&output.stderr));
    let ends = count(&recording, &["SessionEnd"]);
    let prompts = count(&recording, &["UserPromptSubmit"]);
    let events = ["PostToolUse", "PostToolUseFailure", "Stop", "SubagentStop"];
    let messages = count(&recording, &events);
    assert_eq!(figures(&shown, "session_end events"), (ends, ends));
    assert_eq!(figures(&shown, "prompts counted"), (prompts, prompts));
    assert_eq!(
        figures(&shown, "messages settled once"),
        (messages, messages)
    );
    assert!(shown.contains("killed (SIGKILL)"), "{shown}");
    assert_eq!(
        shown
            .lines()
            .filter(|line| line.contains("session_end "))
            .count(),
        ends + 1,
        "one line an end, and the summary's"
    );
}

#[test]
fn the_bundled_recording_is_played_when_none_is_named() {
    let output = demo(None);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("everything agrees"));
}

#[test]
fn a_recording_that_is_none_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let refused = |name: &str, content: &str| {
        let file = directory.path().join(name);
        std::fs::write(&file, content).expect("a file can be written");
        let output = demo(Some(&file));
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr)
    };
    let broken = refused("broken", "{\"hook_event_name\":\"Stop\"}\n");
    assert!(broken.contains("line 1 is no hook event"), "{broken}");
    let empty = refused("empty", "\n");
    assert!(empty.contains("there is no event in it"), "{empty}");
    let missing = demo(Some(&directory.path().join("missing")));
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("failed to read"));
}

#[test]
fn a_server_that_refuses_the_recording_fails_the_demo_at_once() {
    let output = command(None)
        .env("SESSIOND_STORE_MIN_FREE_BYTES", "1048576GiB")
        .output();
    let output = output.expect("the demo can be run");
    assert!(!output.status.success(), "no disk has that much room");
    let told = text(&output.stderr);
    assert!(told.contains("min_free_bytes"), "{told}");
}
