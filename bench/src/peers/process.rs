//! A peer's server process: started in a directory of its own, watched until it serves, gone on drop.
//!
//! Invariant: a process started here is killed and reaped when its [`Daemon`] is dropped, and an error
//! that it causes carries the end of its log. What it deliberately does not do: find programs, or know
//! any peer's protocol.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a peer may take until it answers: on a busy machine etcd elects itself in seconds.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How long between two attempts to reach a peer that starts.
const PROBE_EVERY: Duration = Duration::from_millis(20);

/// How long a peer that is asked to stop may take before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// How long between two looks whether a stopping peer is gone.
const GONE_EVERY: Duration = Duration::from_millis(5);

/// How many ports are tried when others take them first.
const PORT_ATTEMPTS: usize = 5;

/// How much of a log goes into an error, in bytes: enough for the reason, little enough to read.
const LOG_TAIL_BYTES: u64 = 2_048;

/// What every peer says when its port is taken, in lower case.
const PORT_TAKEN: &str = "already in use";

/// How a process is ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending {
    /// At once: it has nothing to clean up.
    Kill,
    /// By SIGQUIT first: it has children and shared memory of its own to end.
    Quit,
}

/// A running server process.
#[derive(Debug)]
pub(crate) struct Daemon {
    name: &'static str,
    child: Child,
    log: PathBuf,
    ending: Ending,
}

impl Daemon {
    /// Starts `command`, with all it says written to the file `log`.
    ///
    /// # Errors
    /// When the program is not there or the log cannot be made.
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        log: PathBuf,
        ending: Ending,
    ) -> Result<Self> {
        let output =
            File::create(&log).with_context(|| format!("cannot make {}", log.display()))?;
        let errors = output.try_clone().context("cannot share a log")?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = command.spawn();
        let child = child.with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name,
            child,
            log,
            ending,
        })
    }

    /// Waits until `probe` succeeds, and returns what it found.
    ///
    /// # Errors
    /// When the process ends, or does not serve in time; with the end of its log.
    pub(crate) async fn ready<T, Fut>(&mut self, mut probe: impl FnMut() -> Fut) -> Result<T>
    where
        Fut: Future<Output = Result<T>>,
    {
        let deadline = tokio::time::Instant::now() + READY_WITHIN;
        loop {
            let answer = tokio::time::timeout_at(deadline, probe()).await;
            // Looked at after the probe: what answered may be somebody else on a port we lost.
            if let Some(status) = self.ended()? {
                return Err(self.blame(anyhow!("{} ended with {status}", self.name)));
            }
            match answer {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(error)) if tokio::time::Instant::now() >= deadline => {
                    return Err(self.blame(error));
                }
                Ok(Err(_)) => tokio::time::sleep(PROBE_EVERY).await,
                Err(_) => {
                    return Err(self.blame(anyhow!("{} does not answer", self.name)));
                }
            }
        }
    }

    /// The error with what the process wrote last.
    pub(crate) fn blame(&self, error: Error) -> Error {
        error.context(format!("{} says: {}", self.name, log_tail(&self.log)))
    }

    /// Ends it and waits until it is gone.
    ///
    /// # Errors
    /// When the wait itself dies.
    pub(crate) async fn stop(self) -> Result<()> {
        let gone = tokio::task::spawn_blocking(move || drop(self));
        gone.await.context("cannot wait for the end of a peer")
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let status = self.child.try_wait();
        status.with_context(|| format!("cannot look at {}", self.name))
    }

    /// Asks it to stop and waits; a process that does not obey is left to the kill that follows.
    fn quit(&mut self) {
        // A process that is gone already cannot be signalled, and need not be.
        let _ = kill_process(Pid::from_child(&self.child), Signal::QUIT);
        let deadline = Instant::now() + STOP_WITHIN;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(GONE_EVERY);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        match self.ending {
            Ending::Kill => {}
            Ending::Quit => self.quit(),
        }
        // Both fail only for a process that is gone and reaped.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs `attempt` on a free port, again on another when somebody took that one meanwhile.
///
/// # Errors
/// What the attempt failed with, unless that was its port.
pub(crate) async fn on_free_port<T, Fut>(mut attempt: impl FnMut(u16) -> Fut) -> Result<T>
where
    Fut: Future<Output = Result<T>>,
{
    let mut left = PORT_ATTEMPTS;
    loop {
        left -= 1;
        match attempt(free_port()?).await {
            Err(error) if left > 0 && is_clash(&error) => {}
            outcome => return outcome,
        }
    }
}

/// A port that nobody had a moment ago.
///
/// # Errors
/// When the machine has none.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    Ok(listener
        .local_addr()
        .context("a port has no number")?
        .port())
}

/// A new empty directory in `parent`.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn directory_in(parent: &Path, name: &str) -> Result<PathBuf> {
    let path = parent.join(name);
    fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path)
}

fn is_clash(error: &Error) -> bool {
    let mut causes = error.chain();
    causes.any(|cause| cause.to_string().to_lowercase().contains(PORT_TAKEN))
}

fn log_tail(log: &Path) -> String {
    read_tail(log).unwrap_or_else(|error| format!("(its log cannot be read: {error})"))
}

fn read_tail(log: &Path) -> Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
    let mut tail = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut tail)?;
    if tail.is_empty() {
        bail!("it is empty");
    }
    Ok(String::from_utf8_lossy(&tail).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn start(script: &str, ending: Ending) -> (tempfile::TempDir, Daemon) {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let daemon = Daemon::start("peer", shell(script), log, ending).unwrap();
        (directory, daemon)
    }

    fn is_alive(pid: Pid) -> bool {
        rustix::process::test_kill_process(pid).is_ok()
    }

    #[tokio::test]
    async fn an_end_before_it_serves_is_told_with_the_end_of_the_log() {
        let (_directory, mut daemon) =
            start("echo port 1 Already In Use >&2; exit 3", Ending::Kill);
        let error = daemon
            .ready(|| async { bail!("nobody there") as Result<()> })
            .await
            .unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("exit status: 3"), "{text}");
        assert!(text.contains("Already In Use"), "{text}");
        assert!(is_clash(&error));
    }

    #[tokio::test]
    async fn a_dropped_process_is_gone_and_reaped() {
        for ending in [Ending::Kill, Ending::Quit] {
            let (_directory, mut daemon) = start("exec cat /dev/zero >/dev/null", ending);
            daemon.ready(|| async { Ok(()) }).await.unwrap();
            let pid = Pid::from_child(&daemon.child);
            assert!(is_alive(pid));
            drop(daemon);
            assert!(!is_alive(pid), "{ending:?}");
        }
    }

    #[tokio::test]
    async fn another_port_is_tried_for_a_clash_only_and_not_for_ever() {
        let mut ports = Vec::new();
        let clash: Result<()> = on_free_port(|port| {
            ports.push(port);
            async { Err(anyhow!("bind: Address already in use").context("says")) }
        })
        .await;
        assert!(clash.is_err());
        assert_eq!(ports.len(), PORT_ATTEMPTS);

        let mut attempts = 0;
        let other: Result<()> = on_free_port(|_| {
            attempts += 1;
            async { Err(anyhow!("no such program")) }
        })
        .await;
        assert!(other.is_err());
        assert_eq!(attempts, 1);
    }
}
