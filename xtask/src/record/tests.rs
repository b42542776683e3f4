//! Records a small repository made for the purpose, and reads the recording back.
//!
//! Invariant under test: shapes, order, bounds, and nobody's name. What it deliberately does not
//! do: read this checkout's own history, which changes with every commit.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::*;

const PERSON: &str = "Someone Real";
const ADDRESS: &str = "someone@real.example";

struct Scratch {
    folder: TempDir,
}

impl Scratch {
    fn new() -> Self {
        let scratch = Self {
            folder: TempDir::new().unwrap(),
        };
        scratch.git(&["init", "--quiet", "--initial-branch=main"]);
        scratch
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn git(&self, arguments: &[&str]) {
        let mut command = Command::new("git");
        command.current_dir(self.root()).args(arguments);
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), PERSON);
            command.env(format!("GIT_{who}_EMAIL"), ADDRESS);
            command.env(format!("GIT_{who}_DATE"), "2026-01-02T03:04:05+00:00");
        }
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(name);
        }
        crate::process::output(&mut command).unwrap();
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
    }

    fn record(&self, bytes_max: usize) -> Fitted {
        record(&Repository::at(self.root()), bytes_max).unwrap()
    }
}

fn events(fitted: &Fitted) -> Vec<Value> {
    fitted
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn history() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("src/a.rs", "one\ntwo\nthree\nfour\n");
    scratch.write("Cargo.lock", "locked");
    scratch.write("proto/src/generated/x.rs", "made by a tool");
    scratch.write(RECORDING, "{}\n");
    scratch.write("image.bin", b"\x00\xff\x00");
    scratch.write("gone.txt", "soon\n");
    scratch.commit(&format!(
        "Lay it out\n\nWhy: it was empty.\n\nSigned-off-by: {PERSON} <{ADDRESS}>"
    ));
    scratch.write("src/a.rs", "one\ntwo\nTHREE\nfour\n");
    scratch.write("image.bin", b"\x00\xfe\x00");
    std::fs::remove_file(scratch.root().join("gone.txt")).unwrap();
    scratch.commit("Shout");
    scratch
}

fn texts<'a>(events: &'a [Value], pointer: &str) -> Vec<&'a str> {
    events
        .iter()
        .filter_map(|event| event.pointer(pointer)?.as_str())
        .collect()
}

#[test]
fn a_commit_is_a_session_with_its_edits_and_commands() {
    let fitted = history().record(RECORDING_BYTES_MAX);
    let events = events(&fitted);
    assert_eq!((fitted.sessions, fitted.edits_left_out), (2, 0));
    let names = texts(&events, "/hook_event_name");
    let one = [
        "SessionStart",
        "UserPromptSubmit",
        "PostToolUse",
        "PostToolUse",
        "PostToolUse",
        "PostToolUse",
        "Stop",
        "SessionEnd",
    ];
    // The first commit wrote two text files, the second one.
    let first = [&one[..3], &["PostToolUse"], &one[3..]].concat();
    assert_eq!(names, [&first[..], &one[..]].concat());
    assert_eq!(texts(&events, "/prompt"), ["Lay it out", "Shout"]);
    assert_eq!(
        texts(&events, "/last_assistant_message"),
        ["Why: it was empty.", "Shout"]
    );
    let tools = [
        "Write", "Write", "Bash", "Bash", "Bash", "Edit", "Bash", "Bash", "Bash",
    ];
    assert_eq!(texts(&events, "/tool_name"), tools);
    let paths = ["/repo/gone.txt", "/repo/src/a.rs", "/repo/src/a.rs"];
    assert_eq!(texts(&events, "/tool_input/file_path"), paths);
    assert_eq!(texts(&events, "/tool_response/filePath"), paths);
    assert_eq!(
        texts(&events, "/tool_input/old_string"),
        ["two\nthree\nfour\n"]
    );
    assert_eq!(
        texts(&events, "/tool_input/new_string"),
        ["two\nTHREE\nfour\n"]
    );
    assert_eq!(
        texts(&events, "/tool_response/originalFile"),
        ["one\ntwo\nthree\nfour\n"]
    );
    assert_eq!(texts(&events, "/reason"), ["other", "other"]);
}

#[test]
fn commands_show_what_git_really_printed() {
    let fitted = history().record(RECORDING_BYTES_MAX);
    let events = events(&fitted);
    let ran = texts(&events, "/tool_input/command");
    let printed = texts(&events, "/tool_response/stdout");
    assert!(
        ran[0].starts_with("git show --stat --format=%s "),
        "{}",
        ran[0]
    );
    assert!(
        printed[0].starts_with("Lay it out\n") && printed[0].contains("src/a.rs"),
        "{}",
        printed[0]
    );
    assert!(ran[1].starts_with("git show --shortstat"), "{}", ran[1]);
    assert!(printed[1].contains("6 files changed"), "{}", printed[1]);
    assert!(ran[4].starts_with("git diff --shortstat"), "{}", ran[4]);
    assert_eq!(printed[5], "D\tgone.txt\nM\timage.bin\nM\tsrc/a.rs\n");
}

#[test]
fn ids_are_unique_and_stable_and_nobody_is_named() {
    let scratch = history();
    let fitted = scratch.record(RECORDING_BYTES_MAX);
    assert_eq!(fitted, scratch.record(RECORDING_BYTES_MAX));
    let events = events(&fitted);
    let mut ids = texts(&events, "/tool_use_id");
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((ids.len(), all), (9, 9));
    let mut sessions = texts(&events, "/session_id");
    sessions.dedup();
    assert_eq!(sessions.len(), 2);
    assert!(!fitted.text.contains(PERSON) && !fitted.text.contains(ADDRESS));
    assert!(!fitted.text.contains(scratch.root().to_str().unwrap()));
}

#[test]
fn large_files_are_cut_and_the_largest_edits_left_out() {
    let scratch = history();
    scratch.write("long.txt", "0123456789\n".repeat(10_000));
    scratch.commit("Add a long file");
    let whole = scratch.record(RECORDING_BYTES_MAX);
    assert!(whole.text.contains("bytes left out]"));
    assert!(whole.text.len() < 50_000, "{}", whole.text.len());
    let fitted = scratch.record(whole.text.len() - 1);
    assert_eq!(fitted.edits_left_out, 1);
    assert!(!texts(&events(&fitted), "/tool_input/file_path").contains(&"/repo/long.txt"));
    let tight = scratch.record(5_000);
    assert!(tight.text.len() <= 5_000 && tight.sessions_left_out > 0);
}

#[test]
fn only_the_newest_commits_are_read_and_merges_are_not() {
    let scratch = history();
    scratch.git(&["checkout", "--quiet", "-b", "side", "HEAD^"]);
    scratch.commit("Beside");
    scratch.git(&["checkout", "--quiet", "main"]);
    scratch.git(&["merge", "--quiet", "--no-ff", "--message", "Merge", "side"]);
    let repository = Repository::at(scratch.root());
    let subjects = |max| -> Vec<String> {
        let commits = repository.commits(max).unwrap();
        commits
            .iter()
            .map(|commit| repository.message(commit).unwrap().subject)
            .collect()
    };
    let all = subjects(10);
    assert_eq!(all.len(), 3);
    assert_eq!(all[0], "Lay it out");
    assert_eq!(subjects(1), all[2..]);
}

#[test]
fn without_a_commit_there_is_nothing_to_record() {
    let scratch = Scratch::new();
    assert!(record(&Repository::at(scratch.root()), RECORDING_BYTES_MAX).is_err());
}

#[test]
fn the_file_is_replaced_whole() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(RECORDING);
    write(&path, "long text\n").unwrap();
    write(&path, "new\n").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "new\n");
    assert_eq!(
        std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
        1
    );
}
