//! Commands in cgroups of their own: what left everything else behind ends with the session too, and nothing of them is left.
//!
//! Where no cgroup is delegated to us a command has none: there these tests prove that it runs and ends all the same, and
//! say what is missed then.

use std::path::PathBuf;

use sessiond_client::Client;
use sessiond_tests::caller::Caller;
use sessiond_tests::cgroups;
use sessiond_tests::processes::{RUNAWAY, runs, signal};
use sessiond_tests::server::Server;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::bound::command::Bound;
use super::bound::{registered, released};

/// The cgroup of a command, which has one exactly where it can have one.
#[track_caller]
fn cgroup_of(pid: u32) -> Option<PathBuf> {
    let cgroup = cgroups::of_resource(pid);
    let delegated = cgroups::are_delegated();
    assert_eq!(cgroup.is_some(), delegated, "{cgroup:?}");
    if !delegated {
        eprintln!("no cgroup is delegated to this program");
    }
    cgroup
}

/// Nothing of a session is left, but for a runaway where there is no cgroup to find it by.
#[track_caller]
fn all_is_gone(command: u32, runaway: u32, cgroup: Option<PathBuf>) {
    let is_missed = runs(runaway);
    if is_missed {
        signal(runaway, "KILL");
    }
    assert!(!runs(command));
    assert_eq!(is_missed, cgroup.is_none(), "nothing else leads to it");
    assert!(!cgroup.is_some_and(|cgroup| cgroup.exists()));
}

/// Proves: F13, G5.
#[tokio::test]
async fn a_runaway_of_a_command_whose_supervisor_was_killed_ends_with_its_session() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let script = format!("echo $$; read go; {RUNAWAY}; exec sleep 600");
    let mut bound = Bound::script(&server, "a", &script);
    let command = bound.number();
    let cgroup = cgroup_of(command);
    registered(&caller, Some(command)).await;
    bound.go_on();
    let runaway = bound.number();
    bound.signal("KILL");
    released(&caller, "a").await;
    all_is_gone(command, runaway, cgroup);
    bound.over();
}

#[tokio::test]
async fn a_command_that_ends_leaves_no_cgroup() {
    let server = Server::start();
    let mut bound = Bound::script(&server, "a", &format!("echo $$; {RUNAWAY}; read go"));
    let command = bound.number();
    let cgroup = cgroup_of(command);
    let runaway = bound.number();
    bound.go_on();
    let (status, said) = bound.over();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(!runs(runaway), "it was below the supervisor");
    assert!(!cgroup.is_some_and(|cgroup| cgroup.exists()));
}

/// Proves: F13, G5.
#[tokio::test]
async fn a_runaway_of_a_command_that_the_sdk_spawned_ends_with_its_session() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let client = Client::builder().addr(server.url()).build();
    let session = client.expect("a client").session("a").open().await;
    let session = session.expect("opened");
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", &format!("read go; {RUNAWAY}; exec sleep 600")]);
    shell.stdin(std::process::Stdio::piped());
    shell.stdout(std::process::Stdio::piped());
    let mut spawned = session.spawn(shell).await.expect("spawned");
    let command = spawned.child.id().expect("it runs");
    let cgroup = cgroup_of(command);
    let stdin = spawned.child.stdin.as_mut().expect("it is piped");
    stdin.write_all(b"go\n").await.expect("it reads");
    let stdout = spawned.child.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(stdout).lines();
    let line = lines.next_line().await.expect("it says").expect("a line");
    let runaway = line.trim().parse().expect("a number");
    released(&caller, "a").await;
    all_is_gone(command, runaway, cgroup);
    spawned.child.wait().await.expect("it is our child");
}
