//! A node's agent as a process, as a test holds it.
//!
//! Invariant: what it says is read as it comes, so that it never waits for its reader; it is killed with the test. What this
//! deliberately does not do: look at what it ends.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use sessiond_tests::binaries;
use sessiond_tests::processes::signal;
use sessiond_tests::server::Server;

/// A node's lease of 15 s, the pauses of 5 s of one that waits for it, and time to spare.
pub(super) const PATIENCE: Duration = Duration::from_secs(40);

/// `sessiond agent`, which may be run by another program.
pub(super) struct Agent {
    child: Child,
    said: Receiver<String>,
}

impl Agent {
    /// The agent of node `far`, once it has it.
    pub(super) fn start(server: &Server) -> Self {
        let agent = Self::begin(server, &["--node", "far"]);
        agent.linked();
        agent
    }

    /// An agent that may have to wait.
    pub(super) fn begin(server: &Server, arguments: &[&str]) -> Self {
        Self::spawn(Command::new(binaries::sessiond()), server, arguments)
    }

    /// The agent of node `far` that callers may have any process of its user registered by.
    pub(super) fn adopting(server: &Server) -> Self {
        let agent = Self::begin(server, &["--node", "far", "--adopt"]);
        agent.linked();
        agent
    }

    /// The same on a machine that was booted since: the kernel's number of the boot is another one.
    pub(super) fn after_a_boot(server: &Server) -> Self {
        let script = r#"file=$(mktemp) && echo 00000000-0000-4000-8000-000000000000 >"$file" &&
            mount --bind "$file" /proc/sys/kernel/random/boot_id && rm -f "$file"; exec "$@""#;
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
            .arg("sh")
            .arg(binaries::sessiond());
        let agent = Self::spawn(command, server, &["--node", "far", "--adopt"]);
        agent.linked();
        agent
    }

    fn spawn(mut command: Command, server: &Server, arguments: &[&str]) -> Self {
        let mut child = command
            .arg("agent")
            .args(["--addr", &server.url()])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it can be run");
        let (line, said) = channel();
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        std::thread::spawn(move || {
            let read = stderr.lines().map_while(Result::ok);
            // Nobody listens once a test is over.
            read.inspect(|said| eprintln!("agent: {said}"))
                .take_while(|said| line.send(said.clone()).is_ok())
                .count()
        });
        Self { child, said }
    }

    /// Waits until the node is its own.
    pub(super) fn linked(&self) {
        self.says("linked as far");
    }

    /// Waits until it says something.
    pub(super) fn says(&self, what: &str) {
        let began = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(began.elapsed());
            let said = self.said.recv_timeout(left);
            let said = said.unwrap_or_else(|_| panic!("it never says {what:?}"));
            if said.contains(what) {
                return;
            }
        }
    }

    /// Whether it has said so by now.
    pub(super) fn has_said(&self, what: &str) -> bool {
        self.said.try_iter().any(|said| said.contains(what))
    }

    pub(super) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// It is gone from one moment to the next.
    pub(super) fn kill(mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// Waits for its end; answers with how it ended and what it said.
    pub(super) fn over(mut self) -> (ExitStatus, String) {
        let began = Instant::now();
        let mut all = String::new();
        loop {
            let left = PATIENCE.saturating_sub(began.elapsed());
            match self.said.recv_timeout(left) {
                Ok(said) => all = all + &said + "\n",
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {all}"),
            }
        }
        (self.child.wait().expect("it is our child"), all)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
