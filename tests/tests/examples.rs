//! What is in `examples/`, run as it is: what it shows is true.
//!
//! A script checks itself and says so by its exit code; a plugin is killed, and what it remembers is compared with the log.
//! What this deliberately does not do: look into what a script prints.

#[path = "examples/memory.rs"]
mod memory;

use std::path::Path;
use std::process::{Command, Stdio};

use sessiond_tests::binaries;

fn run(script: &str) {
    let programs = binaries::sessiond();
    let beside = programs.parent().map(Path::to_path_buf).unwrap_or_default();
    let before = std::env::var_os("PATH").unwrap_or_default();
    let mut path = vec![beside];
    path.extend(std::env::split_paths(&before));
    let output = Command::new(binaries::root().join("examples").join(script))
        .env("PATH", std::env::join_paths(path).expect("no colon"))
        .env_remove("SESSIOND_ADDR")
        .stdin(Stdio::null())
        .output()
        .expect("it can be run");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{script}:\n{said}");
}

/// Proves: F76.
#[test]
fn three_projects_go_through_one_slot_and_leave_no_tmux_session() {
    run("tmux-orchestrator.sh");
}

#[test]
fn every_example_is_run() {
    let folder = binaries::root().join("examples");
    let found = std::fs::read_dir(folder).expect("there are examples");
    let names = found.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    let tested = [
        "memory-plugin",
        "memory-plugin-ts",
        "memory_plugin.py",
        "tmux-orchestrator.sh",
    ];
    assert_eq!(names, tested, "each has a test here");
}
