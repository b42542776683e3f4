//! A PostgreSQL server of our own: found, initialised and started.
//!
//! Invariant: commits are synced, and nothing else is set but what a careful owner of this workload
//! would set for speed. What it deliberately does not do: connect to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::account::Account;
use super::session::Session;
use crate::peers::process::{Daemon, Ending, on_free_port};

/// Where Debian keeps the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// How long `initdb` may take: it syncs some 40 MB.
const INITDB_WITHIN: Duration = Duration::from_secs(120);

/// The superuser of the new server, who needs no password on this machine's own network.
pub(crate) const USER: &str = "bench";

/// Settings. Those of the planner only keep it from a table scan while it has no statistics; those of
/// the log keep checkpoints apart, as an owner of this load would.
const SETTINGS: [(&str, &str); 20] = [
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("listen_addresses", "127.0.0.1"),
    ("unix_socket_directories", ""),
    ("max_connections", "320"),
    ("shared_buffers", "1GB"),
    ("wal_buffers", "64MB"),
    ("min_wal_size", "1GB"),
    ("max_wal_size", "8GB"),
    ("checkpoint_timeout", "15min"),
    ("autovacuum_naptime", "1s"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("jit", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("log_min_messages", "warning"),
    ("log_checkpoints", "off"),
];

/// A running server; its directory goes with it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) port: u16,
    // Before the directory, so that the process is gone when that is removed.
    pub(crate) daemon: Daemon,
    _directory: TempDir,
}

impl Server {
    /// Initialises and starts one near `directory`.
    pub(crate) async fn start(directory: &Path) -> Result<Self> {
        let account = Account::choose()?;
        let directory = account.directory_near(directory)?;
        let programs = programs()?;
        initialise(account, &programs, directory.path()).await?;
        let (port, daemon) =
            on_free_port(|port| start_on(account, &programs, directory.path(), port)).await?;
        Ok(Self {
            port,
            daemon,
            _directory: directory,
        })
    }

    /// Ends it and removes its directory.
    pub(crate) async fn stop(self) -> Result<()> {
        self.daemon.stop().await
    }
}

async fn start_on(
    account: Account,
    programs: &Path,
    directory: &Path,
    port: u16,
) -> Result<(u16, Daemon)> {
    let mut command = program(account, programs, "postgres", directory);
    command.args(["-p", &port.to_string()]);
    for (name, value) in SETTINGS {
        command.args(["-c", &format!("{name}={value}")]);
    }
    let log = directory.join("postgres.log");
    let mut daemon = Daemon::start("postgres", command, log, Ending::Quit)?;
    daemon.ready(|| Session::probe(port)).await?;
    Ok((port, daemon))
}

async fn initialise(account: Account, programs: &Path, directory: &Path) -> Result<()> {
    let mut command = program(account, programs, "initdb", directory);
    command.args(["--auth=trust", "--no-locale", "--encoding=UTF8"]);
    command.args(["--username", USER]);
    let mut command = tokio::process::Command::from(command);
    let output = command.kill_on_drop(true).output();
    let output = tokio::time::timeout(INITDB_WITHIN, output).await;
    let output = output
        .context("initdb does not end")?
        .context("cannot start initdb")?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("initdb failed: {}", errors.trim());
    }
    Ok(())
}

/// A program of PostgreSQL on the data in `directory`, without anything from our environment.
fn program(account: Account, programs: &Path, name: &str, directory: &Path) -> Command {
    let mut command = Command::new(programs.join(name));
    command.arg("-D").arg(directory.join("data"));
    command
        .env_clear()
        .env("LC_ALL", "C")
        .current_dir(directory);
    account.apply(&mut command);
    command
}

/// Where the programs of the newest version are.
fn programs() -> Result<PathBuf> {
    let versions = fs::read_dir(VERSIONS);
    let versions = versions.with_context(|| format!("PostgreSQL is not in {VERSIONS}"))?;
    let paths = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    let servers = paths.filter(|path| path.join("postgres").exists());
    let newest = servers.max_by_key(|path| version(path));
    newest.with_context(|| format!("no version in {VERSIONS} has a server"))
}

/// The number in a path that ends in `15/bin`; versions before 10 had two, and sort first.
fn version(programs: &Path) -> Option<u32> {
    programs.parent()?.file_name()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let version = |name: &str| version(&Path::new(VERSIONS).join(name).join("bin"));
        assert!(version("15") > version("9"));
        assert!(version("15") > version("9.6"));
        assert_eq!(version("9.6"), None);
    }
}
