//! A command is on record before it is there, and nothing runs that is not.

use sessiond_client::pb::declare_resource_request::Target;
use sessiond_client::{Reason, SpawnError, pb};
use tokio::process::Command;
use tonic::Code;

use crate::fake_server::{Call, FakeServer, refusal, within};

type DeclareCall =
    crate::fake_server::Unary<pb::DeclareResourceRequest, pb::DeclareResourceResponse>;

async fn declaration(server: &mut FakeServer) -> DeclareCall {
    match server.call().await {
        Call::DeclareResource(call) => call,
        other => panic!("expected a declaration, not {other:?}"),
    }
}

fn on_record() -> pb::DeclareResourceResponse {
    pb::DeclareResourceResponse {
        resource: Some(pb::Resource {
            resource_id: "r1".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A shell that says what it was told.
fn told() -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", "echo $SESSIOND_RESOURCE $SESSIOND_SESSION_ID"])
        .stdout(std::process::Stdio::piped());
    command
}

#[tokio::test]
async fn a_command_is_declared_then_started_with_its_mark_then_registered() {
    let mut server = FakeServer::start().await;
    let handle = server.existing().await;
    let serve = async {
        let call = declaration(&mut server).await;
        assert_eq!(
            (call.request.name.as_str(), &call.request.target),
            ("sh", &None)
        );
        call.answer(on_record());
        let call = declaration(&mut server).await;
        let request = call.request.clone();
        call.answer(on_record());
        request
    };
    let both = async { tokio::join!(handle.spawn(told()), serve) };
    let (spawned, registered) = Box::pin(within(both)).await;
    let spawned = spawned.unwrap();
    assert_eq!(
        (spawned.resource_id(), registered.resource_id.as_str()),
        ("r1", "r1")
    );
    let Some(Target::Process(process)) = registered.target else {
        panic!("it is a process: {registered:?}");
    };
    assert!(process.pid > 1);
    let output = spawned.child.wait_with_output().await.unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "r1 s1\n");
}

#[tokio::test]
async fn a_command_that_is_not_taken_is_killed_and_one_that_is_not_there_is_let_go() {
    let mut server = FakeServer::start().await;
    let handle = server.existing().await;
    let mut endless = Command::new("tail");
    endless.args(["-f", "/dev/null"]);
    let serve = async {
        declaration(&mut server).await.answer(on_record());
        let call = declaration(&mut server).await;
        let refused = refusal(Code::PermissionDenied, Reason::PermissionDenied, None);
        call.refuse(refused);
        let Call::ReleaseResource(call) = server.call().await else {
            panic!("expected a release");
        };
        assert_eq!(call.request.resource_ids, ["r1"]);
        call.answer(pb::ReleaseResourceResponse::default());
    };
    let both = async { tokio::join!(handle.spawn(endless), serve) };
    let (spawned, ()) = Box::pin(within(both)).await;
    assert!(
        matches!(spawned, Err(SpawnError::Register(_))),
        "{spawned:?}"
    );
    let serve = async {
        declaration(&mut server).await.answer(on_record());
        let Call::ReleaseResource(call) = server.call().await else {
            panic!("expected a release");
        };
        call.answer(pb::ReleaseResourceResponse::default());
    };
    let nothing = Command::new("/no/such/program");
    let both = async { tokio::join!(handle.spawn(nothing), serve) };
    let (spawned, ()) = Box::pin(within(both)).await;
    assert!(matches!(spawned, Err(SpawnError::Start(_))), "{spawned:?}");
}
