//! The programs a test run or a benchmark takes from the system, and how to get them.
//!
//! Invariant: a missing program is installed or is an error that says what to type. What it
//! deliberately does not do: replace a program that works, whatever its origin.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process::{output, run, works};

const POSTGRESQL_VERSIONS: &str = "/usr/lib/postgresql";

/// Something that is needed and the system provides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Python 3 that can make virtual environments.
    Python,
    /// The npm client, which fetches buf.
    Npm,
    /// tmux, whose sessions the agent's tests end.
    Tmux,
    /// Redis, a peer in the benchmark.
    Redis,
    /// PostgreSQL, a peer in the benchmark.
    PostgreSql,
    /// etcd, a peer in the benchmark.
    Etcd,
    /// beanstalkd, a peer in the benchmark.
    Beanstalkd,
}

impl Need {
    fn is_met(self) -> bool {
        match self {
            Self::Python => works(Command::new("python3").args(["-c", "import venv, ensurepip"])),
            Self::Npm => works(Command::new("npm").arg("--version")),
            Self::Tmux => works(Command::new("tmux").arg("-V")),
            Self::Redis => works(Command::new("redis-server").arg("--version")),
            Self::PostgreSql => has_postgresql(),
            Self::Etcd => works(Command::new("etcd").arg("--version")),
            Self::Beanstalkd => works(Command::new("beanstalkd").arg("-v")),
        }
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Python => &["python3", "python3-venv", "python3-pip"],
            Self::Npm => &["npm"],
            Self::Tmux => &["tmux"],
            Self::Redis => &["redis-server"],
            Self::PostgreSql => &["postgresql"],
            Self::Etcd => &["etcd-server"],
            Self::Beanstalkd => &["beanstalkd"],
        }
    }
}

/// Debian keeps each version's programs in a directory of its own, outside the search path.
fn has_postgresql() -> bool {
    let versions = std::fs::read_dir(POSTGRESQL_VERSIONS).into_iter().flatten();
    versions
        .filter_map(Result::ok)
        .any(|version| version.path().join("bin/postgres").is_file())
}

/// Who may install packages here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Installer {
    Root,
    /// Without a password: a prompt in the middle of a test run would look like a hang.
    Sudo,
}

/// Makes sure every need is met, installing Debian packages where the caller may.
///
/// # Errors
/// When something is missing and can't be installed; the message is the line to type.
pub(crate) fn require(needs: &[Need]) -> Result<()> {
    let missing: Vec<Need> = needs
        .iter()
        .copied()
        .filter(|need| !need.is_met())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing
        .iter()
        .flat_map(|need| need.packages())
        .copied()
        .collect();
    let advice = advice(&packages);
    let Some(installer) = installer() else {
        bail!("programs are missing and only root can install them; type: {advice}");
    };
    run(&mut apt_get(installer, &["update"]))?;
    run(apt_get(installer, &["install", "-y", "--no-install-recommends"]).args(&packages))?;
    match missing.iter().find(|need| !need.is_met()) {
        None => Ok(()),
        Some(need) => bail!("{need:?} still does not work after: {advice}"),
    }
}

fn advice(packages: &[&str]) -> String {
    format!("sudo apt-get install -y {}", packages.join(" "))
}

fn installer() -> Option<Installer> {
    if !works(Command::new("apt-get").arg("--version")) {
        return None;
    }
    let user = output(Command::new("id").arg("-u")).unwrap_or_default();
    if user.trim_ascii() == b"0" {
        return Some(Installer::Root);
    }
    works(Command::new("sudo").args(["-n", "true"])).then_some(Installer::Sudo)
}

fn apt_get(installer: Installer, arguments: &[&str]) -> Command {
    let mut command = match installer {
        Installer::Root => Command::new("env"),
        Installer::Sudo => {
            let mut command = Command::new("sudo");
            command.args(["-n", "env"]);
            command
        }
    };
    // sudo drops the environment, so the variable travels as an argument.
    command
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
        .args(arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_can_be_typed_as_it_stands() {
        let packages = Need::Python.packages();
        assert_eq!(
            advice(packages),
            "sudo apt-get install -y python3 python3-venv python3-pip"
        );
    }
}
