//! A pid that was used again, in a pid namespace where the next one can be chosen.

use std::fs;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use sessiond_agent::identity::{Identity, Verdict, identify, verify};
use sessiond_agent::release::release;
use sessiond_agent::terms::{Released, WeakIdentities};

use super::fixture::{Guard, Seen, terms};

/// Set in the program that runs in the namespace.
const INSIDE: &str = "SESSIOND_AGENT_NAMESPACE";
const TEST: &str =
    "pid_reuse::another_process_with_the_pid_and_the_tick_of_the_registered_one_lives";

/// How long two processes are started in one tick of 10 ms for: it succeeds at once on an idle machine.
const TRIES: Duration = Duration::from_secs(8);

/// Pid and start time agree, which is what is commonly taken for an identity: only the inode tells the two apart.
///
/// Needs user and pid namespaces, for root or for everybody, and `unshare` of util-linux. Where they are switched off
/// this fails.
#[test]
fn another_process_with_the_pid_and_the_tick_of_the_registered_one_lives() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let guard = Guard::new();
    let mut command = Command::new("unshare");
    guard.mark(&mut command);
    let output = command
        .args([
            "--user",
            "--map-root-user",
            "--pid",
            "--fork",
            "--mount-proc",
        ])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", TEST, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare of util-linux is installed");
    assert!(
        output.status.success(),
        "user and pid namespaces must be allowed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

fn inside() {
    let until = Instant::now() + TRIES;
    let (registered, mut second) = loop {
        assert!(Instant::now() < until, "no two processes in one tick");
        let mut first = start();
        let registered = identify(first.id().cast_signed()).expect("it runs");
        first.kill().expect("it is a child");
        first.wait().expect("it is a child");
        let before = registered.pid - 1;
        fs::write("/proc/sys/kernel/ns_last_pid", before.to_string()).expect("our namespace");
        let mut second = start();
        let now = identify(second.id().cast_signed()).expect("it runs");
        if (now.pid, now.start_ticks) == (registered.pid, registered.start_ticks) {
            assert_ne!(now.inode, registered.inode);
            break (registered, second);
        }
        second.kill().expect("it is a child");
        second.wait().expect("it is a child");
    };
    let seen = Seen::of(registered.pid);
    let verdict = verify(&registered, WeakIdentities::Refused);
    assert_eq!(verdict, Ok(Verdict::Mismatch));
    assert_eq!(release(&registered, &terms()), Released::Mismatch);
    assert!(seen.runs());
    let weak = Identity {
        inode: None,
        ..registered
    };
    // Why weak identities are refused: this is another process, and nothing shows it.
    assert_eq!(verify(&weak, WeakIdentities::Allowed), Ok(Verdict::Alive));
    second.kill().expect("it is a child");
    second.wait().expect("it is a child");
}

fn start() -> Child {
    let mut command = Command::new("sleep");
    command.arg("1000").spawn().expect("it runs")
}
