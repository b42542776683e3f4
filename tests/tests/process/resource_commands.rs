//! Resources on the command line: declared, registered, adopted, listed, and released with a wait until they are gone.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use sessiond_tests::processes::runs;
use sessiond_tests::server::Server;
use sessiond_tests::sessionctl::Sessionctl;

/// The exit code for a resource that there is not.
const NOT_FOUND: i32 = 5;
/// And for one that is released, so that nothing can be it any more.
const CONFLICT: i32 = 6;

/// A process of the shell's, which the test takes note of when it ends.
struct Sleeper(Child);

impl Sleeper {
    fn start(marker: Option<&str>) -> Self {
        let mut command = Command::new("sleep");
        if let Some(marker) = marker {
            command.env("SESSIOND_RESOURCE", marker);
        }
        command.arg("600").stdin(Stdio::null()).process_group(0);
        Self(command.spawn().expect("the machine has sleep"))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[test]
fn resources_are_looked_after_on_the_command_line() {
    let server = Server::on_socket();
    Sessionctl::succeeded(&server, &["session", "open", "--key", "a"]);
    let declare = ["resource", "declare", "--key", "a", "--name", "shell"];
    let declared = text(&Sessionctl::succeeded(&server, &declare)[0]["resource_id"]);
    let shell = Sleeper::start(Some(&declared));
    let pid = shell.pid().to_string();
    let register = ["resource", "register", &declared, "--pid", &pid];
    let registered = Sessionctl::succeeded(&server, &register);
    assert_eq!(registered[0]["process"]["pid"], shell.pid());
    let other = Sleeper::start(None);
    let adopted_pid = other.pid().to_string();
    let adopt = ["resource", "adopt", "--key", "a", "--pid", &adopted_pid];
    let adopted = text(&Sessionctl::succeeded(&server, &adopt)[0]["resource_id"]);
    assert_eq!(Sessionctl::succeeded(&server, &["resource", "ls"]).len(), 2);
    let dry = ["resource", "release", "--name-glob", "sh*", "--dry-run"];
    let would = Sessionctl::succeeded(&server, &dry);
    assert_eq!(would[0]["outcome"], "RELEASE_OUTCOME_WOULD_RELEASE");
    assert!(runs(shell.pid()));
    let release = ["resource", "release", "--name", "shell", "--wait", "30s"];
    assert_eq!(Sessionctl::succeeded(&server, &release).len(), 1);
    assert!(!runs(shell.pid()), "it is gone when the command is done");
    assert!(runs(other.pid()));
    let (code, _) = Sessionctl::finished(&server, &register);
    assert_eq!(code, Some(CONFLICT), "it is released");
    let (code, results) = Sessionctl::finished(&server, &["resource", "release", &adopted, "what"]);
    assert_eq!(code, Some(NOT_FOUND));
    assert_eq!(results.len(), 2, "the other one went all the same");
    let end = ["session", "end", "a", "--mode", "immediate"];
    let wait = ["--wait", "30s", "--wait-for", "released"];
    let ended = Sessionctl::succeeded(&server, &[&end[..], &wait[..]].concat());
    assert_eq!(ended[0]["unreleased_resources"], 0);
    assert!(!runs(other.pid()));
    Sessionctl::succeeded(&server, &["session", "wait", "a", "--for", "released"]);
    assert!(Sessionctl::succeeded(&server, &["resource", "ls"]).is_empty());
    let all = ["resource", "ls", "--key", "a", "--all"];
    assert_eq!(Sessionctl::succeeded(&server, &all).len(), 2);
}
