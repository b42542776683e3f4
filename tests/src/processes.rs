//! Processes of this machine, as tests look at them.

use std::path::Path;
use std::process::{Command, Stdio};

/// Starts something in a session of its own that survives a hangup, ignores TERM, and tells its number: a script of the
/// shell, to be followed by others.
pub const ESCAPEE: &str = r#"setsid sh -c 'trap "" TERM HUP; echo $$; exec sleep 600' &"#;

/// The same, and clears its environment and leaves its parent as well.
pub const RUNAWAY: &str =
    r#"(exec setsid env -i sh -c 'trap "" TERM HUP; echo $$; exec sleep 600' &)"#;

/// Whether a process runs; one that is nobody's to wait for does not.
#[must_use]
pub fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// Signals a process by its number: for what a test knows to be its own.
///
/// # Panics
/// If the machine has no `kill`.
pub fn signal(pid: u32, signal: &str) {
    let status = Command::new("kill")
        .args(["-s", signal, &pid.to_string()])
        .stderr(Stdio::null())
        .status();
    status.expect("the machine has kill");
}
