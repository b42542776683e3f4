//! sessiond or the no-op server as a process of its own, with a directory of its own.
//!
//! Invariant: the process is killed and reaped when its handle is dropped, and what it said last is in
//! the error when it dies or does not come up. What it deliberately does not do: stop it politely;
//! whatever a measurement needs is on disk before.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// How long a server may take to serve, a replay of everything it has included.
const START_WITHIN: Duration = Duration::from_secs(180);
/// Lines of a server's log that are kept for an error.
const LOG_LINES_KEPT: usize = 20;
/// How it says where it listens.
const LISTENING: &str = "listening on ";

/// Where programs are and where data goes.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The sessiond program.
    pub(crate) sessiond: PathBuf,
    /// The directory in which every system gets its own.
    pub(crate) data: PathBuf,
}

impl Places {
    /// A new directory for one system, removed when dropped.
    pub(crate) fn directory(&self) -> Result<TempDir> {
        tempfile::Builder::new()
            .prefix("sessiond-bench-")
            .tempdir_in(&self.data)
            .with_context(|| format!("failed to make a directory in {}", self.data.display()))
    }
}

/// A server process.
#[derive(Debug)]
pub(crate) struct Server {
    program: PathBuf,
    arguments: Vec<String>,
    /// `None` between a kill and the next start.
    child: Option<Child>,
    address: String,
    /// Removed when the server is dropped.
    directory: TempDir,
}

impl Server {
    /// A sessiond on an empty directory and a free port, with these namespaces beside `default`.
    ///
    /// # Errors
    /// When it does not come up; the end of its log is in it.
    pub(crate) async fn sessiond(places: &Places, namespaces: &[String]) -> Result<Self> {
        let directory = places.directory()?;
        let data = directory.path().join("data");
        let mut arguments = vec![
            "serve".to_owned(),
            "--listen=127.0.0.1:0".to_owned(),
            "--log-level=warn".to_owned(),
            format!("--data-dir={}", data.display()),
        ];
        if !namespaces.is_empty() {
            arguments.push(format!("--namespaces={}", namespaces.join(",")));
        }
        Self::start(places.sessiond.clone(), arguments, directory).await
    }

    /// A no-op server: this very program.
    ///
    /// # Errors
    /// When it does not come up.
    pub(crate) async fn noop(places: &Places) -> Result<Self> {
        let program = std::env::current_exe().context("failed to find this program")?;
        let arguments = vec!["noop".to_owned(), "--listen=127.0.0.1:0".to_owned()];
        Self::start(program, arguments, places.directory()?).await
    }

    async fn start(program: PathBuf, arguments: Vec<String>, directory: TempDir) -> Result<Self> {
        let mut server = Self {
            program,
            arguments,
            child: None,
            address: String::new(),
            directory,
        };
        server.restart().await?;
        Ok(server)
    }

    /// Starts it on its directory, on a free port.
    ///
    /// # Errors
    /// When it does not come up; the end of its log is in it.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        self.kill();
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            // Whatever this machine's own server is set to.
            .env("SESSIOND_CONFIG", "/dev/null")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to start {}", self.program.display()))?;
        let stderr = child.stderr.take().expect("stderr is piped");
        self.child = Some(child);
        let log = Arc::default();
        let mut address = follow(stderr, Arc::clone(&log));
        match tokio::time::timeout(START_WITHIN, address.recv()).await {
            Ok(Some(address)) => self.address = address,
            Ok(None) => bail!("the server ended at its start: {}", tail(&log)),
            Err(_) => bail!("the server did not come up in time: {}", tail(&log)),
        }
        Ok(())
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // An error means that it is gone already.
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Bytes of its files.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub(crate) fn file_bytes(&self) -> Result<u64> {
        bytes_under(self.directory.path())
    }

    /// Bytes of memory it has resident.
    ///
    /// # Errors
    /// When it does not run.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        let status = self.read_proc("status")?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS in /proc")?;
        let kib = line.trim().trim_end_matches("kB").trim();
        Ok(kib.parse::<u64>().context("no number in VmRSS")? * 1_024)
    }

    /// Processor time it has used.
    ///
    /// # Errors
    /// When it does not run.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let stat = self.read_proc("stat")?;
        // The name in parentheses may hold anything; fields are counted after it.
        let (_, fields) = stat.rsplit_once(')').context("no name in /proc stat")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |index: usize| -> Result<u64> {
            let field = fields.get(index).context("/proc stat is short")?;
            field.parse().context("no number in /proc stat")
        };
        // User and system time are the 14th and 15th field of all, 2 before the parenthesis.
        let ticks = ticks(11)? + ticks(12)?;
        let each = 1_000 / rustix::param::clock_ticks_per_second().max(1);
        Ok(Duration::from_millis(ticks * each))
    }

    fn read_proc(&self, file: &str) -> Result<String> {
        let child = self.child.as_ref().context("the server does not run")?;
        let path = format!("/proc/{}/{file}", child.id());
        std::fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Keeps the end of its log and sends the address when it says it. Its own thread, so that a server
/// that says much is never held up.
fn follow(
    stderr: impl Read + Send + 'static,
    log: Arc<Mutex<VecDeque<String>>>,
) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some(address) = line.strip_prefix(LISTENING) {
                drop(sender.try_send(address.to_owned()));
            }
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_back(line);
            while log.len() > LOG_LINES_KEPT {
                log.pop_front();
            }
        }
    });
    receiver
}

fn tail(log: &Mutex<VecDeque<String>>) -> String {
    let log = log.lock().unwrap_or_else(PoisonError::into_inner);
    let lines: Vec<&str> = log.iter().map(String::as_str).collect();
    lines.join(" | ")
}

/// Bytes of all files under a directory, as long as they say they are.
fn bytes_under(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory).context("failed to list the data directory")? {
        let entry = entry?;
        // A file removed since it was listed takes no room.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        bytes += if metadata.is_dir() {
            bytes_under(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}
