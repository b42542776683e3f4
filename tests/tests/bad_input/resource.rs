//! DeclareResource, ListResources and ReleaseResource.

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::declare_resource_request::Target;
use sessiond_tests::requests::key;

use super::table::{World, bytes, invalid};

fn declare(change: impl Fn(&mut pb::DeclareResourceRequest)) -> pb::DeclareResourceRequest {
    let mut request = pb::DeclareResourceRequest {
        r#ref: key("a"),
        ..pb::DeclareResourceRequest::default()
    };
    change(&mut request);
    request
}

fn register(change: impl Fn(&mut pb::DeclareResourceRequest)) -> pb::DeclareResourceRequest {
    let mut request = pb::DeclareResourceRequest {
        resource_id: "rs-1-1-0000000000000001".to_owned(),
        target: process(1),
        ..pb::DeclareResourceRequest::default()
    };
    change(&mut request);
    request
}

fn process(pid: u32) -> Option<Target> {
    Some(Target::Process(pb::ProcessTarget { pid }))
}

fn tmux(socket: &str, session_name: &str) -> Option<Target> {
    Some(Target::Tmux(pb::TmuxTarget {
        socket: socket.to_owned(),
        session_name: session_name.to_owned(),
    }))
}

#[tokio::test]
async fn fields_of_a_declaration() {
    let world = World::new().await;
    let lease = i32::from(pb::ResourceScope::Lease);
    let table = vec![
        invalid(declare(|r| r.name = "\n".to_owned()), &["name"]),
        invalid(declare(|r| r.name = bytes(257)), &["name"]),
        invalid(declare(|r| r.scope = 3), &["scope"]),
        invalid(declare(|r| r.scope = lease), &["epoch"]),
        invalid(declare(|r| r.epoch = 1), &["epoch"]),
        invalid(declare(|r| r.target = process(0)), &["process.pid"]),
        invalid(declare(|r| r.target = process(1 << 31)), &["process.pid"]),
        invalid(declare(|r| r.target = tmux("s", "n")), &["tmux.socket"]),
        invalid(
            declare(|r| r.target = tmux(&bytes(108), "")),
            &["tmux.socket", "tmux.session_name"],
        ),
        invalid(declare(|r| r.request_id = bytes(257)), &["request_id"]),
        invalid(
            declare(|r| {
                r.r#ref = None;
                r.name = "\0".to_owned();
                r.scope = -1;
                r.target = process(0);
                r.request_id = "\n".to_owned();
            }),
            &["request_id", "ref", "name", "scope", "process.pid"],
        ),
    ];
    world
        .refuses(table, async |request| {
            world.caller.declare_resource(request).await
        })
        .await;
}

#[tokio::test]
async fn fields_of_a_registration() {
    let world = World::new().await;
    let table = vec![
        invalid(register(|r| r.target = None), &["target"]),
        invalid(register(|r| r.resource_id = bytes(257)), &["resource_id"]),
        invalid(register(|r| r.target = process(0)), &["process.pid"]),
        invalid(
            register(|r| {
                r.r#ref = key("a");
                r.name = "n".to_owned();
                r.scope = 1;
                r.epoch = 1;
                r.request_id = "r".to_owned();
                r.target = tmux("/\n", "");
            }),
            &[
                "ref",
                "name",
                "scope",
                "epoch",
                "request_id",
                "tmux.socket",
                "tmux.session_name",
            ],
        ),
    ];
    world
        .refuses(table, async |request| {
            world.caller.declare_resource(request).await
        })
        .await;
}

#[tokio::test]
async fn fields_of_a_list_of_resources() {
    let world = World::new().await;
    let list = |states: &[i32]| pb::ListResourcesRequest {
        states: states.to_vec(),
        ..pb::ListResourcesRequest::default()
    };
    let paged = |page_size: u32, page_token: &str| pb::ListResourcesRequest {
        page_size,
        page_token: page_token.to_owned(),
        ..pb::ListResourcesRequest::default()
    };
    let table = vec![
        invalid(list(&[0]), &["states[0]"]),
        invalid(list(&[1, 5]), &["states[1]"]),
        invalid(list(&[1, 4]), &["states[1]"]),
        invalid(list(&[1; 65]), &["states"]),
        invalid(paged(1_001, ""), &["page_size"]),
        invalid(paged(0, "token"), &["page_token"]),
    ];
    world
        .refuses(table, async |request| {
            world.caller.list_resources(request).await
        })
        .await;
}

#[tokio::test]
async fn fields_of_a_release() {
    let world = World::new().await;
    let release = |change: &dyn Fn(&mut pb::ReleaseResourceRequest)| {
        let mut request = pb::ReleaseResourceRequest::default();
        change(&mut request);
        request
    };
    let ids = |r: &mut pb::ReleaseResourceRequest| r.resource_ids = vec!["r".to_owned()];
    let table = vec![
        invalid(release(&|_| {}), &["resource_ids"]),
        invalid(release(&|r| r.force = true), &["resource_ids"]),
        invalid(
            release(&|r| r.resource_ids = vec!["r".to_owned(), String::new()]),
            &["resource_ids[1]"],
        ),
        invalid(
            release(&|r| r.resource_ids = vec!["r".to_owned(); 257]),
            &["resource_ids"],
        ),
        invalid(release(&|r| r.name = "\n".to_owned()), &["name"]),
        invalid(release(&|r| r.name_glob = bytes(257)), &["name_glob"]),
        invalid(
            release(&|r| {
                r.name = "n".to_owned();
                r.name_glob = "*".to_owned();
            }),
            &["name_glob"],
        ),
        invalid(
            release(&|r| {
                ids(r);
                r.name = "n".to_owned();
                r.name_glob = "*".to_owned();
                r.page_size = 1;
                r.page_token = "t".to_owned();
            }),
            &["name", "name_glob", "page_size", "page_token"],
        ),
        invalid(
            release(&|r| {
                r.name_glob = "*".to_owned();
                r.page_size = 1_001;
                r.page_token = "t".to_owned();
            }),
            &["page_size", "page_token"],
        ),
    ];
    world
        .refuses(table, async |request| {
            world.caller.release_resource(request).await
        })
        .await;
}
