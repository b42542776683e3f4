//! Registrations: which process or tmux session a caller means, and who may say so.

use std::process::{Child, Command, Stdio};

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::declare_resource_request::Target;
use sessiond_tests::caller::Caller;
use sessiond_tests::refusal::Refusal;
use sessiond_tests::requests::key;
use sessiond_tests::server::Server;
use tonic::Code;

use super::resources::{declare, declared, forced, listed};

/// A process that does nothing, and is ended with the test.
struct Sleeper(Child);

impl Sleeper {
    fn start(marker: Option<&str>) -> Self {
        let mut command = Command::new("sleep");
        if let Some(marker) = marker {
            command.env("SESSIOND_RESOURCE", marker);
        }
        let child = command.arg("600").stdin(Stdio::null()).spawn();
        Self(child.expect("the machine has sleep"))
    }

    fn target(&self) -> Option<Target> {
        process(self.0.id())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A tmux server with one session, on a socket of its own.
struct TmuxServer {
    place: tempfile::TempDir,
}

impl TmuxServer {
    fn start(session: &str, marker: Option<&str>) -> Self {
        let server = Self {
            place: tempfile::tempdir().expect("a directory"),
        };
        let mut command = server.command(&["new-session", "-d", "-s", session, "sleep 600"]);
        if let Some(marker) = marker {
            command.env("SESSIOND_RESOURCE", marker);
        }
        assert!(command.status().expect("the machine has tmux").success());
        server
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        // Whatever the test itself runs in.
        command.env_remove("TMUX").env_remove("SESSIOND_RESOURCE");
        command
            .args(["-f", "/dev/null", "-S", &self.socket()])
            .args(arguments);
        command
    }

    fn socket(&self) -> String {
        self.place.path().join("tmux").display().to_string()
    }

    fn target(&self, session: &str) -> Option<Target> {
        Some(Target::Tmux(pb::TmuxTarget {
            socket: self.socket(),
            session_name: session.to_owned(),
        }))
    }
}

impl Drop for TmuxServer {
    fn drop(&mut self) {
        drop(
            self.command(&["kill-server"])
                .stderr(Stdio::null())
                .status(),
        );
    }
}

fn process(pid: u32) -> Option<Target> {
    Some(Target::Process(pb::ProcessTarget { pid }))
}

fn register(resource: &pb::Resource, target: Option<Target>) -> pb::DeclareResourceRequest {
    pb::DeclareResourceRequest {
        resource_id: resource.resource_id.clone(),
        target,
        ..pb::DeclareResourceRequest::default()
    }
}

fn adopt(target: Option<Target>) -> pb::DeclareResourceRequest {
    pb::DeclareResourceRequest {
        target,
        ..declare(key("a"), "adopted")
    }
}

async fn refused(caller: &Caller, request: pb::DeclareResourceRequest) -> Refusal {
    let answer = caller.declare_resource(request).await;
    answer.expect_err("it is refused")
}

#[tokio::test]
async fn what_carries_the_mark_is_registered_by_anybody_and_once() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let resource = declared(&caller, declare(key("a"), "shell")).await;
    let marked = Sleeper::start(Some(&resource.resource_id));
    let request = register(&resource, marked.target());
    let registered = declared(&caller, request.clone()).await;
    assert_eq!(registered.resource_id, resource.resource_id);
    let Some(pb::resource::Target::Process(process)) = &registered.target else {
        panic!("it is a process: {registered:?}");
    };
    assert_eq!(process.pid, marked.0.id());
    assert!(process.start_ticks > 0);
    assert_eq!(
        declared(&caller, request).await,
        registered,
        "a repeat is harmless"
    );
    let another = Sleeper::start(Some(&resource.resource_id));
    refused(&caller, register(&resource, another.target()))
        .await
        .is(Code::FailedPrecondition, Reason::ResourceRegistered)
        .with("resource_id", &resource.resource_id);
    assert_eq!(listed(&caller, key("a")).await, [registered]);
}

/// A pid is no proof: whoever could name any would have any process of the server's user ended.
#[tokio::test]
async fn what_carries_no_mark_is_not_registered_over_the_network() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let resource = declared(&caller, declare(key("a"), "")).await;
    let other = Sleeper::start(Some("somebody-elses"));
    for target in [other.target(), Sleeper::start(None).target()] {
        let adopted = refused(&caller, adopt(target.clone())).await;
        let adopted = adopted.is(Code::PermissionDenied, Reason::PermissionDenied);
        assert!(adopted.message.contains("SESSIOND_RESOURCE"), "{adopted:?}");
        assert!(adopted.message.contains("UNIX socket"), "{adopted:?}");
    }
    let marked = refused(&caller, register(&resource, other.target())).await;
    let marked = marked.is(Code::PermissionDenied, Reason::PermissionDenied);
    assert!(marked.message.contains(&resource.resource_id), "{marked:?}");
    let tmux = TmuxServer::start("agent", None);
    refused(&caller, register(&resource, tmux.target("agent")))
        .await
        .is(Code::PermissionDenied, Reason::PermissionDenied);
    assert_eq!(
        listed(&caller, None).await,
        [resource],
        "nothing was changed"
    );
}

#[tokio::test]
async fn what_is_not_there_or_must_not_be_ended_is_named() {
    let server = Server::start_with(&["--namespaces", "default,blue"]);
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let resource = declared(&caller, declare(key("a"), "")).await;
    let mut gone = Sleeper::start(Some(&resource.resource_id));
    let of_gone = gone.target();
    gone.0.kill().unwrap();
    gone.0.wait().unwrap();
    for target in [of_gone, process(1), process(std::process::id())] {
        let told = refused(&caller, register(&resource, target)).await;
        let told = told.is(Code::InvalidArgument, Reason::FieldInvalid);
        assert_eq!(told.fields, ["process.pid"], "{told:?}");
    }
    let tmux = TmuxServer::start("agent", Some(&resource.resource_id));
    let told = refused(&caller, register(&resource, tmux.target("agen"))).await;
    let told = told.is(Code::InvalidArgument, Reason::FieldInvalid);
    assert_eq!(told.fields, ["tmux.session_name"], "no prefix: {told:?}");
    let marked = Sleeper::start(Some(&resource.resource_id));
    let request = register(&resource, marked.target());
    refused(&caller.in_namespace("blue"), request.clone())
        .await
        .is(Code::NotFound, Reason::ResourceNotFound);
    let unknown = pb::Resource {
        resource_id: "what".to_owned(),
        ..pb::Resource::default()
    };
    refused(&caller, register(&unknown, marked.target()))
        .await
        .is(Code::NotFound, Reason::ResourceNotFound);
    forced(&caller, &resource).await;
    refused(&caller, request)
        .await
        .is(Code::FailedPrecondition, Reason::ResourceReleased)
        .with("outcome", "FORCED");
}

#[tokio::test]
async fn the_user_of_the_server_adopts_over_its_socket_what_runs_already() {
    let server = Server::on_socket();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let sleeper = Sleeper::start(None);
    let request = pb::DeclareResourceRequest {
        request_id: "r".to_owned(),
        ..adopt(sleeper.target())
    };
    let adopted = declared(&caller, request.clone()).await;
    let target = adopted.target.clone();
    assert!(
        matches!(target, Some(pb::resource::Target::Process(_))),
        "{adopted:?}"
    );
    let tmux = TmuxServer::start("agent", None);
    let of_tmux = declared(&caller, adopt(tmux.target("agent"))).await;
    let Some(pb::resource::Target::Tmux(found)) = &of_tmux.target else {
        panic!("it is a tmux session: {of_tmux:?}");
    };
    assert_eq!(
        (found.session_name.as_str(), found.socket.as_str()),
        ("agent", tmux.socket().as_str())
    );
    assert!(!found.private, "its server may have other sessions");
    assert!(found.tmux_id.starts_with('$') && found.server_pid > 0);
    let own = refused(&caller, adopt(process(1))).await;
    assert_eq!(
        own.fields,
        ["process.pid"],
        "the list holds for everybody: {own:?}"
    );
    drop(sleeper);
    let again = caller.declare_resource(request).await.expect("harmless");
    assert!(
        again.duplicate,
        "it has ended since, and the record has the answer"
    );
    for resource in listed(&caller, None).await {
        forced(&caller, &resource).await;
    }
}

#[tokio::test]
async fn a_tmux_server_that_carries_the_mark_is_the_resources_own() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let resource = declared(&caller, declare(key("a"), "")).await;
    let tmux = TmuxServer::start("agent", Some(&resource.resource_id));
    let registered = declared(&caller, register(&resource, tmux.target("agent"))).await;
    let Some(pb::resource::Target::Tmux(found)) = &registered.target else {
        panic!("it is a tmux session: {registered:?}");
    };
    assert!(found.private);
    forced(&caller, &registered).await;
}
