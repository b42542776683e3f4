//! A command under `sessiond run`, as a test holds it.
//!
//! Invariant: what it says is read as it comes, so that it never waits for its reader; a test that fails leaves nothing of
//! it behind. What this deliberately does not do: look at the session.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sessiond_tests::binaries;
use sessiond_tests::processes::signal;
use sessiond_tests::server::Server;

/// Two seconds of grace, one of verification, and time to spare on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A command under `sessiond run`; what is left of it is killed when a test fails.
pub(crate) struct Bound {
    run: Child,
    stdin: ChildStdin,
    /// What the command says, line by line.
    pub(crate) lines: Receiver<String>,
    /// What `sessiond run` and the command complain of.
    complaints: Option<JoinHandle<String>>,
    /// What must not outlive a test that fails.
    noted: Option<u32>,
}

impl Bound {
    /// Runs a script of the shell for a session.
    pub(crate) fn script(server: &Server, of: &str, script: &str) -> Self {
        Self::script_with(server, &["--key", of], script)
    }

    pub(crate) fn script_with(server: &Server, arguments: &[&str], script: &str) -> Self {
        // Whoever runs the tests in the background of a shell ignores INT, and what ignores hands that on.
        Self::signals("--default-signal=HUP,INT,QUIT", server, arguments, script)
    }

    /// Runs a script with signals set as `env` is told.
    pub(crate) fn signals(set: &str, server: &Server, arguments: &[&str], script: &str) -> Self {
        let mut run = Command::new("env")
            .arg(set)
            .arg(binaries::sessiond())
            .arg("run")
            .args(["--addr", &server.url()])
            .args(arguments)
            // Whoever starts it handles an event just now.
            .env("SESSIOND_CAUSE", "handled")
            .args(["--", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it can be run");
        let (line, lines) = channel();
        let stdout = BufReader::new(run.stdout.take().expect("it is piped"));
        std::thread::spawn(move || {
            let read = stdout.lines().map_while(Result::ok);
            // Nobody listens once a test is over.
            read.take_while(|said| line.send(said.clone()).is_ok())
                .count()
        });
        let mut stderr = run.stderr.take().expect("it is piped");
        let complaints = std::thread::spawn(move || {
            let mut said = String::new();
            stderr.read_to_string(&mut said).expect("text");
            said
        });
        Self {
            stdin: run.stdin.take().expect("it is piped"),
            run,
            lines,
            complaints: Some(complaints),
            noted: None,
        }
    }

    /// The next line of the command.
    pub(crate) fn line(&self) -> String {
        self.lines
            .recv_timeout(PATIENCE)
            .expect("the command says something")
    }

    /// The next line, which is the number of a process.
    pub(crate) fn number(&mut self) -> u32 {
        let number = self.line().trim().parse().expect("a number");
        self.noted = Some(number);
        number
    }

    /// Lets a command go on that reads a line.
    pub(crate) fn go_on(&mut self) {
        self.stdin.write_all(b"go\n").expect("it reads");
    }

    /// Waits for its end; answers with how it ended and what it complained of. Whoever still has its outputs open then is
    /// waited for as well.
    pub(crate) fn over(&mut self) -> (ExitStatus, String) {
        let began = Instant::now();
        // The end of its output is the end of all that was started with it.
        while let Ok(said) = self
            .lines
            .recv_timeout(PATIENCE.saturating_sub(began.elapsed()))
        {
            assert!(said.len() < 1_000, "it goes on and on");
        }
        assert!(began.elapsed() < PATIENCE, "it does not end");
        let complaints = self.complaints.take().expect("it ends once");
        let said = complaints.join().expect("they are read");
        (self.run.wait().expect("it is our child"), said)
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.run.id(), name);
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if std::thread::panicking() {
            if let Some(noted) = self.noted {
                signal(noted, "KILL");
            }
            // It ends what it started; the test has failed already, so nobody is told how that goes.
            self.signal("TERM");
            let began = Instant::now();
            while began.elapsed() < PATIENCE && matches!(self.run.try_wait(), Ok(None)) {
                std::thread::yield_now();
            }
            drop(self.run.kill());
        }
    }
}
