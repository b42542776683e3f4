//! A tmux server for a test, on a socket of its own, driven by hand.
//!
//! Invariant: neither it nor its panes outlive it, stopped or not. What it deliberately does not do: use the crate under
//! test.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sessiond_agent::tmux::{Tmux, TmuxIdentity};

use super::fixture::{Guard, Seen, await_that};

/// A command for a pane that ends when it is asked to.
pub(crate) const IDLE: &str = "exec sleep 1000";

/// A command for a pane that outlives its server.
pub(crate) const STUBBORN: &str = "trap '' HUP TERM; exec sleep 1000";

#[derive(Debug)]
pub(crate) struct Server {
    /// Dropped first: what it kills holds nothing of the directory that matters.
    guard: Guard,
    pub(crate) directory: tempfile::TempDir,
    pub(crate) socket: PathBuf,
}

impl Server {
    /// None runs until there is a session.
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .expect("a directory");
        Self {
            guard: Guard::new(),
            socket: directory.path().join("tmux"),
            directory,
        }
    }

    pub(crate) fn tmux(&self) -> Tmux {
        Tmux {
            socket: self.socket.clone(),
        }
    }

    /// What the crate under test registers under a name.
    #[track_caller]
    pub(crate) fn registered(&self, name: &str) -> TmuxIdentity {
        let found = self.tmux().find_exact(name).expect("tmux answers");
        found.unwrap_or_else(|| panic!("{name:?} is not there"))
    }

    /// Runs a command of tmux that must succeed.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        self.guard.mark(&mut command);
        let output = command
            .env_remove("TMUX")
            .args(["-u", "-f", "/dev/null", "-S"])
            .arg(&self.socket)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("tmux is installed");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Makes a session with one pane, whose command ends by running `sleep`; answers the pane's process.
    #[track_caller]
    pub(crate) fn session(&self, name: &str, command: &str) -> Seen {
        let arguments = ["new-session", "-d", "-P", "-F", "#{pane_pid}", "-s", name];
        let pane = self.run(&[&arguments[..], &["sh", "-c", command]].concat());
        let pane = Seen::of(pane.trim().parse().expect("a number"));
        let comm = format!("/proc/{}/comm", pane.pid);
        let runs = || std::fs::read_to_string(&comm).is_ok_and(|name| name.trim() == "sleep");
        await_that("the command has done the rest", runs);
        pane
    }

    /// The names of the sessions, by id.
    pub(crate) fn sessions(&self) -> BTreeMap<String, String> {
        let listed = self.run(&["list-sessions", "-F", "#{session_id} #{session_name}"]);
        let lines = listed.split_terminator('\n');
        lines
            .filter_map(|line| line.split_once(' '))
            .map(|(id, name)| (id.to_owned(), name.to_owned()))
            .collect()
    }

    /// What of it and its panes runs, by pid.
    pub(crate) fn running(&self) -> Vec<i32> {
        self.guard.running()
    }

    pub(crate) fn process(&self) -> Seen {
        let pid = self.run(&["display-message", "-p", "#{pid}"]);
        Seen::of(pid.trim().parse().expect("a number"))
    }
}

/// Signals a process that a fixture has started.
pub(crate) fn signal(process: Seen, signal: Signal) {
    let pid = Pid::from_raw(process.pid).expect("a number");
    kill_process(pid, signal).expect("it runs");
}
