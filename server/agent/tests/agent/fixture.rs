//! Processes for tests: started with a mark of their own, and killed by it whatever becomes of the test.
//!
//! Invariant: nothing that a fixture started outlives it. What it deliberately does not do: use the crate under test,
//! whose mistakes it would share.

use std::fs;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use sessiond_agent::identity::{Identity, identify};
use sessiond_agent::marker::{Marker, VARIABLE};
use sessiond_agent::terms::Terms;

/// How long anything is waited for before the test fails: far longer than it takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// A script that is replaced by itself over and over: a look often meets it in the middle of an exec.
pub(crate) const EXECS: &str =
    r#"echo $$; export AGAIN='exec sh -c "$AGAIN"'; exec sh -c "$AGAIN""#;

/// The variable that marks what a fixture started.
const MARK: &str = "SESSIOND_AGENT_FIXTURE";

/// A grace that fixtures which end when asked never use up, and those that do not end quickly.
pub(crate) fn terms() -> Terms {
    Terms {
        grace: Duration::from_millis(300),
        verify: PATIENCE,
        ..Terms::default()
    }
}

/// What is unique in all test processes on the machine.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{}-{next}", std::process::id())
}

/// The marker of a resource that nothing else on the machine belongs to.
pub(crate) fn marker() -> Marker {
    Marker::new(unique()).expect("a marker")
}

/// Kills what carries its mark when it goes.
#[derive(Debug)]
pub(crate) struct Guard {
    entry: String,
    mark: String,
}

/// A shell script in a process group of its own.
#[derive(Debug)]
pub(crate) struct Fixture {
    guard: Guard,
    child: Child,
}

/// One process, told from a later one with its number by its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) pid: i32,
    start: u64,
}

impl Guard {
    pub(crate) fn new() -> Self {
        Self::of(MARK, &unique())
    }

    /// Of what carries this variable, whoever set it.
    pub(crate) fn of(variable: &str, value: &str) -> Self {
        let entry = format!("{variable}={value}");
        let mark = value.to_owned();
        Self { entry, mark }
    }

    /// What is under this guard and runs, by pid.
    pub(crate) fn running(&self) -> Vec<i32> {
        let pids = self.marked().into_iter();
        pids.filter(|&pid| look(pid).is_some_and(|(state, _)| state != "Z"))
            .collect()
    }

    /// Puts what the command starts under this guard.
    pub(crate) fn mark<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env(MARK, &self.mark)
    }

    fn marked(&self) -> Vec<i32> {
        let is_marked = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let mut entries = environment.split(|&byte| byte == 0);
            entries.any(|entry| entry == self.entry.as_bytes())
        };
        pids().into_iter().filter(is_marked).collect()
    }

    fn kill_all(&self) -> usize {
        let pids = self.marked().into_iter().filter_map(Pid::from_raw);
        pids.filter(|&pid| kill_process(pid, Signal::KILL).is_ok())
            .count()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let until = Instant::now() + PATIENCE;
        let mut empty_looks = 0;
        // In the middle of an exec a process shows no mark, so one look that finds nothing is none.
        while empty_looks < 2 && Instant::now() < until {
            empty_looks = if self.kill_all() == 0 {
                empty_looks + 1
            } else {
                0
            };
        }
    }
}

impl Fixture {
    /// Starts a script for `sh`, which leads a group and prints what the test reads.
    pub(crate) fn sh(script: &str) -> Self {
        Self::with(script, &[])
    }

    /// The same with variables in its environment.
    pub(crate) fn with(script: &str, variables: &[(&str, &str)]) -> Self {
        let guard = Guard::new();
        let mut command = Command::new("sh");
        guard.mark(&mut command);
        command
            .args(["-c", script])
            .envs(variables.iter().copied())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let child = command.spawn().expect("sh runs");
        Self { guard, child }
    }

    /// The same for a resource.
    pub(crate) fn marked(marker: &Marker, script: &str) -> Self {
        Self::with(script, &[(VARIABLE, marker.value())])
    }

    /// A process that does nothing and must not be signalled.
    pub(crate) fn bystander() -> Self {
        Self::sh("exec sleep 1000")
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    pub(crate) fn seen(&self) -> Seen {
        Seen::of(self.pid())
    }

    pub(crate) fn identity(&self) -> Identity {
        identify(self.pid()).expect("the fixture runs")
    }

    /// What of it runs, by pid.
    pub(crate) fn running(&self) -> Vec<i32> {
        self.guard.running()
    }

    /// The next word that the script prints.
    pub(crate) fn word(&mut self) -> String {
        let out = self.child.stdout.as_mut().expect("it is piped");
        let mut word = String::new();
        loop {
            let mut fds = [PollFd::new(out, PollFlags::IN)];
            let ready = poll(&mut fds, Some(&timespec(PATIENCE))).expect("a poll");
            assert!(ready > 0, "the script prints nothing after {word:?}");
            let mut byte = [0];
            let read = out.read(&mut byte).expect("a read");
            assert!(read > 0, "the script ended after {word:?}");
            match byte[0] {
                b'\n' | b' ' => return word,
                byte => word.push(char::from(byte)),
            }
        }
    }

    /// The process whose number the script prints next.
    pub(crate) fn next(&mut self) -> Seen {
        Seen::of(self.word().parse().expect("a number"))
    }

    /// What the script prints until nothing has its output any more.
    pub(crate) fn rest(&mut self) -> String {
        let out = self.child.stdout.as_mut().expect("it is piped");
        let mut rest = String::new();
        out.read_to_string(&mut rest).expect("text");
        rest
    }

    /// Ends what the script reads.
    pub(crate) fn let_go(&mut self) {
        self.child.stdin = None;
    }

    /// Waits for the script to end and takes note of it.
    pub(crate) fn reap(&mut self) {
        self.child.wait().expect("it is a child");
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        self.guard.kill_all();
        // Only a failed kill leaves it running, and then the test failed too.
        let _ = self.child.wait();
    }
}

impl Seen {
    /// The process that has the number, which must be there.
    pub(crate) fn of(pid: i32) -> Self {
        let (_, start) = look(pid).unwrap_or_else(|| panic!("process {pid} is not there"));
        Self { pid, start }
    }

    /// Whether it is there and no zombie.
    pub(crate) fn runs(self) -> bool {
        look(self.pid).is_some_and(|(state, start)| start == self.start && state != "Z")
    }

    /// Waits until the letter of its state is this one.
    pub(crate) fn await_state(self, awaited: &str) {
        let is_there = || look(self.pid).is_some_and(|(state, _)| state == awaited);
        await_that(&format!("{self:?} is {awaited}"), is_there);
    }
}

/// Waits until something holds; fails with its name if it does not come to hold.
#[track_caller]
pub(crate) fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "in vain: {what}");
        // Nothing to be woken by: the others may have the processor.
        let _ = poll(&mut [], Some(&timespec(Duration::from_millis(2))));
    }
}

/// State and start of a process, read here and not in the crate under test.
fn look(pid: i32) -> Option<(String, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = after.split(' ').collect();
    Some((fields[0].to_owned(), fields[19].parse().ok()?))
}

fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

fn timespec(duration: Duration) -> Timespec {
    Timespec::try_from(duration).expect("a short time")
}
