//! A command that a session has outside, as a test holds it.
//!
//! Invariant: a test that fails leaves nothing of it behind that it knows of. What this deliberately does not do: look at
//! the session.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::processes::{runs, signal};
use sessiond_tests::requests::key;

/// A command of the shell.
pub(crate) struct Outside {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// The resource it is, if it is one.
    resource: Option<String>,
    /// What must not outlive a test that fails.
    noted: Vec<u32>,
}

impl Outside {
    /// A command that is no resource of anybody.
    pub(crate) fn unmarked(script: &str) -> Self {
        Self::start(script, None)
    }

    /// A command that is declared before it is started, and carries its mark.
    pub(crate) async fn of(caller: &Caller, session: &str, script: &str) -> Self {
        Self::on(caller, session, "", script).await
    }

    /// The same on node `far`.
    pub(crate) async fn on_node(caller: &Caller, session: &str, script: &str) -> Self {
        Self::on(caller, session, "far", script).await
    }

    async fn on(caller: &Caller, session: &str, node: &str, script: &str) -> Self {
        let request = pb::DeclareResourceRequest {
            r#ref: key(session),
            name: "shell".to_owned(),
            node: node.to_owned(),
            ..pb::DeclareResourceRequest::default()
        };
        let declared = caller.declare_resource(request).await.expect("declared");
        let resource = declared.resource.expect("a resource").resource_id;
        Self::start(script, Some(resource))
    }

    fn start(script: &str, resource: Option<String>) -> Self {
        let mut command = Command::new("sh");
        if let Some(mark) = &resource {
            command.env("SESSIOND_RESOURCE", mark);
        }
        let mut child = command
            .args(["-c", script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let stdout = child.stdout.take().expect("it is piped");
        Self {
            noted: Vec::new(),
            child,
            lines: BufReader::new(stdout).lines(),
            resource,
        }
    }

    /// Says which process the resource is.
    pub(crate) async fn register(&self, caller: &Caller) {
        let pid = self.pid();
        let request = pb::DeclareResourceRequest {
            resource_id: self.resource.clone().expect("it was declared"),
            target: Some(pb::declare_resource_request::Target::Process(
                pb::ProcessTarget { pid },
            )),
            ..pb::DeclareResourceRequest::default()
        };
        let answer = caller.declare_resource(request).await.expect("registered");
        let resource = answer.resource.expect("a resource");
        let Some(pb::resource::Target::Process(process)) = resource.target else {
            panic!("it is a process: {resource:?}");
        };
        assert_eq!(process.pid, pid);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line, which is the number of a process.
    pub(crate) fn number(&mut self) -> u32 {
        let line = self.lines.next().expect("a line").expect("text");
        let number = line.trim().parse().expect("a number");
        self.noted.push(number);
        number
    }

    /// Ends it, as somebody would who has nothing to do with sessions.
    pub(crate) fn end(&mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // A number that is gone may be another's by now.
        if std::thread::panicking() {
            for pid in self.noted.iter().filter(|pid| runs(**pid)) {
                signal(*pid, "KILL");
            }
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
