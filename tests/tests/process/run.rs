//! A server process as a test of the process wants it: any arguments, and every line it says.
//!
//! It is killed when dropped. Waiting is bounded: a server that does not say or do what is awaited
//! fails the test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sessiond_tests::binaries;

/// The variable that says with `false` that sessions stay as they are when a server stops.
pub(crate) const KEEPS: &str = "SESSIOND_SESSION_CLEANUP_ON_SHUTDOWN";

/// How long a line or an exit may take that must come: the bound of a stop, and 5 s to spare.
const WITHIN: Duration = Duration::from_secs(14);

/// A server process.
pub(crate) struct Run {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

/// The command of a server with some arguments, none of the caller's variables, and no file.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binaries::sessiond());
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SESSIOND_") {
            command.env_remove(name);
        }
    }
    // Whatever this machine's own server is set to.
    command.env("SESSIOND_CONFIG", "/dev/null");
    command
}

impl Run {
    /// Starts a command and reads what it says.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command can be started");
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            lines,
            said: Vec::new(),
        }
    }

    /// Waits until it serves; answers with the address it tells.
    pub(crate) fn listening(&mut self) -> String {
        let deadline = Instant::now() + WITHIN;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("it does not serve: {:?}", self.said));
            self.said.push(line.clone());
            if let Some(address) = line.strip_prefix("listening on ") {
                return address.to_owned();
            }
        }
    }

    /// Waits until it says a line with these words.
    pub(crate) fn says(&mut self, words: &str) {
        let deadline = Instant::now() + WITHIN;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("it does not say it: {:?}", self.said));
            let is_it = line.contains(words);
            self.said.push(line);
            if is_it {
                return;
            }
        }
    }

    /// Waits until it serves or has ended before that; answers whether it serves.
    pub(crate) fn serves(&mut self) -> bool {
        let deadline = Instant::now() + WITHIN;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => panic!("it does neither: {:?}", self.said),
            }
            let last = self.said.last().expect("it was pushed");
            if last.starts_with("listening on ") {
                return true;
            }
        }
    }

    /// Bytes of memory that the process has in use now.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: u64 = kib
            .and_then(|kib| kib.parse().ok())
            .expect("a number of KiB");
        kib * 1_024
    }

    /// How many descriptors it has open.
    pub(crate) fn open_files(&self) -> u64 {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        files.expect("the process runs").count() as u64
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a child can be signalled");
    }

    /// Waits until it has ended; answers with how, and with every line it said.
    pub(crate) fn ended(mut self) -> (ExitStatus, Vec<String>) {
        let deadline = Instant::now() + WITHIN;
        // Standard error is closed by its end, and nothing else.
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said.push(line),
                Err(_) if Instant::now() < deadline => break,
                Err(_) => panic!("it does not end: {:?}", self.said),
            }
        }
        let status = self.child.wait().expect("a child can be waited for");
        (status, std::mem::take(&mut self.said))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
