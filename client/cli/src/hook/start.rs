//! Starts the server from a hook, for those who want it to be there when it is needed.
//!
//! Invariant: only a server of this machine is started, once at a time, detached: it outlives the
//! hook and the agent. What this deliberately does not do: wait for it; the event is in the spool.

use std::env;
use std::fs::{self, File};
use std::net::IpAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};

/// How long a start is given before another one is made.
const START_PAUSE: Duration = Duration::from_secs(10);

const PROGRAM: &str = "sessiond";

/// The file that says when the last start was made, and holds what the server printed.
const OUTPUT: &str = "sessiond.log";

/// Starts a server that listens on the address of a client, unless one was started just now.
pub(super) fn start(addr: &str, state: &Path) -> anyhow::Result<()> {
    let Some(listen) = listen_address(addr) else {
        bail!("{addr} is not an address of this machine");
    };
    let output = state.join(OUTPUT);
    if was_just_made(&output) {
        return Ok(());
    }
    let output = File::create(&output).context("cannot create its log")?;
    // Dropped without being waited for: it is nobody's child once the hook has ended.
    Command::new(program())
        .args(["--listen", &listen])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(output)
        .current_dir("/")
        // Away from the terminal's group, so that the agent's Ctrl-C is not the server's.
        .process_group(0)
        .spawn()
        .context("cannot run it")?;
    Ok(())
}

fn was_just_made(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    // A time to come is a clock that was set back: start.
    modified.is_ok_and(|modified| {
        SystemTime::now()
            .duration_since(modified)
            .is_ok_and(|age| age < START_PAUSE)
    })
}

/// The server beside this program, else the one in PATH.
fn program() -> PathBuf {
    let beside = env::current_exe()
        .ok()
        .map(|own| own.with_file_name(PROGRAM));
    beside
        .filter(|path| path.is_file())
        .unwrap_or_else(|| PathBuf::from(PROGRAM))
}

/// What a server must listen on so that a client of this address finds it.
fn listen_address(addr: &str) -> Option<String> {
    if addr.starts_with("unix:") {
        return Some(addr.to_owned());
    }
    let authority = addr.strip_prefix("http://").unwrap_or(addr);
    let (host, port) = authority.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_here = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    is_here.then(|| authority.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_listened_on() {
        for (addr, listen) in [
            ("http://127.0.0.1:7377", Some("127.0.0.1:7377")),
            ("http://localhost:1", Some("localhost:1")),
            ("http://[::1]:7377", Some("[::1]:7377")),
            ("unix:/run/s", Some("unix:/run/s")),
            ("http://10.0.0.1:7377", None),
            ("http://example.com:7377", None),
            ("http://127.0.0.1", None),
            ("https://127.0.0.1:7377", None),
        ] {
            assert_eq!(listen_address(addr).as_deref(), listen, "{addr}");
        }
    }

    #[test]
    fn a_start_is_not_made_twice_in_a_row() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(OUTPUT);
        assert!(!was_just_made(&path));
        let file = File::create(&path).unwrap();
        assert!(was_just_made(&path));
        file.set_modified(SystemTime::now() - START_PAUSE * 2)
            .unwrap();
        assert!(!was_just_made(&path));
        file.set_modified(SystemTime::now() + START_PAUSE).unwrap();
        assert!(!was_just_made(&path));
    }

    #[test]
    fn another_machine_is_refused_by_name() {
        let place = tempfile::tempdir().unwrap();
        let error = start("http://10.0.0.1:1", place.path()).expect_err("not here");
        assert!(error.to_string().contains("10.0.0.1"));
        assert!(!place.path().join(OUTPUT).exists());
    }
}
