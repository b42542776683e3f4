//! The command line in a process of its own, with what it prints read as it comes.
//!
//! Invariant: standard output is lines of JSON, kept in order; standard error is kept beside it and shown
//! by whoever finds fault. It is killed when dropped. What it deliberately does not do: judge what is
//! printed.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::progress::Progress;
use crate::server::Server;

/// How long it may take to end once it has no more to do, on a busy machine.
const END_WITHIN: Duration = Duration::from_secs(60);

/// A sessionctl process.
#[derive(Debug)]
pub struct Sessionctl {
    name: String,
    child: Option<Child>,
    printed: Printed<Value>,
    said: Printed<String>,
    readers: Vec<JoinHandle<()>>,
}

/// Lines as they come, and how many there are.
#[derive(Clone, Debug)]
struct Printed<T> {
    lines: Arc<Mutex<Vec<T>>>,
    count: Progress,
}

// === impl Sessionctl ===

impl Sessionctl {
    /// Runs it to its end; answers with how it ended and what it printed.
    ///
    /// # Panics
    ///
    /// When it cannot be started, or does not end.
    #[must_use]
    pub fn finished(server: &Server, arguments: &[&str]) -> (Option<i32>, Vec<Value>) {
        let mut command = Self::start(server, arguments, &Progress::default());
        let code = command.finish().code();
        (code, command.printed())
    }

    /// The same of a command that must succeed.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[track_caller]
    pub fn succeeded(server: &Server, arguments: &[&str]) -> Vec<Value> {
        let (code, printed) = Self::finished(server, arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {printed:?}");
        printed
    }

    /// Starts it for `server`, printing lines of JSON. `also` counts its lines besides.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start(server: &Server, arguments: &[&str], also: &Progress) -> Self {
        let mut child = Command::new(crate::binaries::sessionctl())
            .args(["--addr", &server.url(), "--output", "jsonl"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sessionctl can be started");
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let (printed, said) = (Printed::default(), Printed::default());
        let json = |line: String| {
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
        };
        let readers = vec![
            printed.clone().fill(stdout, also.clone(), json),
            said.clone().fill(stderr, Progress::default(), |line| line),
        ];
        Self {
            name: arguments.join(" "),
            child: Some(child),
            printed,
            said,
            readers,
        }
    }

    /// What it printed so far.
    #[must_use]
    pub fn printed(&self) -> Vec<Value> {
        self.printed.lock().clone()
    }

    /// What it said so far on standard error.
    #[must_use]
    pub fn said(&self) -> Vec<String> {
        self.said.lock().clone()
    }

    /// Waits until what it printed is `enough`.
    ///
    /// # Panics
    ///
    /// With what it said, when that takes longer than `within` from one line to the next.
    pub fn until(&self, within: Duration, enough: impl Fn(&[Value]) -> bool) {
        while let Some(seen) = self.printed.unless(|lines| enough(lines)) {
            assert!(
                self.printed.count.reach(seen + 1, within) > seen,
                "{} printed {seen} lines and no more; it said:\n{}",
                self.name,
                self.said().join("\n")
            );
        }
    }

    /// Waits until it said something with `words` in it.
    ///
    /// # Panics
    ///
    /// When it does not, in the time a process may take to start.
    pub fn until_said(&self, words: &str) {
        let is_said = |lines: &[String]| lines.iter().any(|line| line.contains(words));
        while let Some(seen) = self.said.unless(is_said) {
            assert!(
                self.said.count.reach(seen + 1, END_WITHIN) > seen,
                "{} never said {words:?}; it said:\n{}",
                self.name,
                self.said().join("\n")
            );
        }
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn terminate(&mut self) -> ExitStatus {
        let child = self.child.as_ref().expect("sessionctl runs");
        let pid = rustix::process::Pid::from_child(child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .expect("a child can be signalled");
        self.finish()
    }

    /// Waits until it has ended by itself and all it printed is read.
    ///
    /// # Panics
    ///
    /// When it does not end.
    pub fn finish(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("sessionctl runs");
        let pid = rustix::process::Pid::from_child(&child);
        let (sender, status) = mpsc::channel();
        let waiter = std::thread::spawn(move || {
            drop(sender.send(child.wait()));
        });
        let status = status.recv_timeout(END_WITHIN).unwrap_or_else(|_| {
            let killed = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            killed.expect("a child can be signalled");
            panic!(
                "{} does not end; it said:\n{}",
                self.name,
                self.said().join("\n")
            )
        });
        drop(waiter.join());
        for reader in self.readers.drain(..) {
            reader.join().expect("what it printed was read");
        }
        status.expect("a child can be waited for")
    }
}

impl Drop for Sessionctl {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

// === impl Printed ===

impl<T> Default for Printed<T> {
    fn default() -> Self {
        Self {
            lines: Arc::default(),
            count: Progress::default(),
        }
    }
}

impl<T: Send + 'static> Printed<T> {
    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.lines.lock().expect("no reader panics with the lines")
    }

    /// How many lines there are, unless they are enough.
    fn unless(&self, enough: impl Fn(&[T]) -> bool) -> Option<u64> {
        let lines = self.lock();
        (!enough(&lines)).then_some(lines.len() as u64)
    }

    fn fill(
        self,
        pipe: impl Read + Send + 'static,
        also: Progress,
        read: impl Fn(String) -> T + Send + 'static,
    ) -> JoinHandle<()> {
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let line = read(line);
                self.lock().push(line);
                self.count.step();
                also.step();
            }
        })
    }
}
