//! The demo's server: this very binary in a process of its own, on a temporary store.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// How long it may take to serve, recovery included.
const START_WITHIN: Duration = Duration::from_secs(30);
/// How long it may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// A server process; killed when dropped.
#[derive(Debug)]
pub(crate) struct Child {
    process: Option<tokio::process::Child>,
    address: String,
    directory: TempDir,
}

impl Child {
    /// Starts a server on a new store and a free port.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir().context("failed to make a temporary directory")?;
        let mut child = Self {
            process: None,
            address: "127.0.0.1:0".to_owned(),
            directory,
        };
        child.restart().await?;
        Ok(child)
    }

    /// Where it serves.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Starts it on its store, on the port it had.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<()> {
        let exe = std::env::current_exe().context("failed to find this binary")?;
        let mut process = Command::new(exe)
            // Its limits are the defaults, whatever this machine's own server is set to.
            .args([
                "serve",
                "--config",
                "/dev/null",
                "--log-level",
                "warn",
                "--listen",
                &self.address,
            ])
            .arg("--data-dir")
            .arg(self.directory.path().join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("failed to start the server")?;
        let stderr = process.stderr.take().context("stderr is piped")?;
        let mut lines = BufReader::new(stderr).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await? {
                if let Some(address) = line.strip_prefix("listening on ") {
                    return Ok(address.to_owned());
                }
                eprintln!("server: {line}");
            }
            bail!("the server ended before it served")
        };
        self.address = tokio::time::timeout(START_WITHIN, listening)
            .await
            .context("the server does not come up")??;
        self.process = Some(process);
        // Its warnings go on being shown; they end with it.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                eprintln!("server: {line}");
            }
        });
        Ok(())
    }

    /// Kills it with SIGKILL.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill().await.context("failed to kill the server")?;
        }
        Ok(())
    }

    /// Stops it with SIGTERM and waits for its end.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        let pid = process
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(rustix::process::Pid::from_raw)
            .context("the server has no process id")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let status = tokio::time::timeout(STOP_WITHIN, process.wait())
            .await
            .context("the server does not stop")??;
        if status.success() {
            Ok(())
        } else {
            bail!("the server stopped with {status}")
        }
    }
}
