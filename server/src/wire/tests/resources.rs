//! DeclareResource, ListResources and ReleaseResource: what they may say.

use std::path::PathBuf;

use sessiond_core::command::Effect;
use sessiond_core::command::resource::{Release, ReleaseManner};
use sessiond_core::ids::{Epoch, ResourceName, ResourceNo, SessionKey, SessionNo, SessionRef};
use sessiond_core::resource::{ResourceToken, Scope};
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::declare_resource_request::Target;

use super::{by_key, caller, check_spoiled, namespace};
use crate::env::Sought;
use crate::wire::faults::Invalid;
use crate::wire::parse::declare_resource::{Declaration, DeclareCall, declare_resource};
use crate::wire::parse::list_resources::{ListResourcesCall, list_resources};
use crate::wire::parse::release_resource::{ReleaseCall, Selection, release_resource};

const TOKEN: &str = "rs-12-3-00000000000000ab";

fn token() -> ResourceToken {
    ResourceToken {
        session: SessionNo(12),
        number: ResourceNo(3),
        salt: 0xab,
    }
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

fn declaration() -> pb::DeclareResourceRequest {
    pb::DeclareResourceRequest {
        r#ref: by_key("k"),
        name: "shell".to_owned(),
        scope: pb::ResourceScope::Lease.into(),
        epoch: 7,
        resource_id: String::new(),
        target: process(41),
        request_id: "r".to_owned(),
        node: "far".to_owned(),
    }
}

fn registration() -> pb::DeclareResourceRequest {
    pb::DeclareResourceRequest {
        resource_id: TOKEN.to_owned(),
        target: tmux("/tmp/socket", "agent 1"),
        ..pb::DeclareResourceRequest::default()
    }
}

fn declared(request: pb::DeclareResourceRequest) -> Declaration {
    match declare_resource(request).unwrap() {
        DeclareCall::Declare(declaration) => declaration,
        other @ DeclareCall::Register { .. } => panic!("{other:?}"),
    }
}

#[test]
fn every_field_of_a_declaration_is_read() {
    let read = declared(declaration());
    let key = SessionKey::parse("k").unwrap();
    assert_eq!(read.session, SessionRef::Key(key));
    assert_eq!(read.name, Some(ResourceName::parse("shell").unwrap()));
    assert_eq!(read.scope, Scope::Lease(Epoch(7)));
    assert_eq!(read.sought, Some(Sought::Process(41)));
    assert_eq!(read.request.unwrap().id.as_str(), "r");
    let least = pb::DeclareResourceRequest {
        r#ref: by_key("k"),
        ..pb::DeclareResourceRequest::default()
    };
    let read = declared(least);
    assert_eq!((read.name, read.scope), (None, Scope::Session));
    assert_eq!((read.sought, read.request), (None, None));
}

#[test]
fn every_fault_of_a_declaration_is_told() {
    check_spoiled(
        &declaration(),
        declare_resource,
        &[
            ("ref", "must name a session", |r| r.r#ref = None),
            ("name", "control", |r| r.name = "\n".to_owned()),
            ("name", "got 257", |r| r.name = "x".repeat(257)),
            ("scope", "9 is no value", |r| r.scope = 9),
            ("process.pid", "got 0", |r| r.target = process(0)),
            ("process.pid", "got 2147483648", |r| {
                r.target = process(1 << 31);
            }),
            ("request_id", "control", |r| r.request_id = "\t".to_owned()),
        ],
    );
    check_spoiled(
        &declaration(),
        declare_resource,
        &[("epoch", "set with LEASE", |r| r.epoch = 0)],
    );
    check_spoiled(
        &declaration(),
        declare_resource,
        &[("epoch", "unless `scope` is LEASE", |r| {
            r.scope = pb::ResourceScope::Session.into();
        })],
    );
}

#[test]
fn a_registration_says_what_a_resource_is_and_nothing_else() {
    let expected = DeclareCall::Register {
        resource: token(),
        sought: Sought::Tmux {
            socket: Some(PathBuf::from("/tmp/socket")),
            name: "agent 1".to_owned(),
        },
    };
    assert_eq!(declare_resource(registration()), Ok(expected));
    let by_default = pb::DeclareResourceRequest {
        target: tmux("", "a"),
        ..registration()
    };
    let DeclareCall::Register { sought, .. } = declare_resource(by_default).unwrap() else {
        panic!("a registration");
    };
    let name = "a".to_owned();
    assert_eq!(sought, Sought::Tmux { socket: None, name });
    check_spoiled(
        &registration(),
        declare_resource,
        &[
            ("ref", "with `resource_id`", |r| r.r#ref = by_key("k")),
            ("name", "with `resource_id`", |r| r.name = "n".to_owned()),
            ("scope", "with `resource_id`", |r| r.scope = 1),
            ("epoch", "with `resource_id`", |r| r.epoch = 1),
            ("request_id", "with `resource_id`", |r| {
                r.request_id = "r".to_owned();
            }),
            ("resource_id", "control", |r| {
                r.resource_id = "\n".to_owned()
            }),
            ("target", "must be set", |r| r.target = None),
        ],
    );
    check_spoiled(
        &registration(),
        declare_resource,
        &[
            ("tmux.socket", "absolute", |r| r.target = tmux("s", "a")),
            ("tmux.socket", "control", |r| r.target = tmux("/\n", "a")),
            ("tmux.socket", "at most 107", |r| {
                r.target = tmux(&"/".repeat(108), "a");
            }),
        ],
    );
    check_spoiled(
        &registration(),
        declare_resource,
        &[("tmux.session_name", "empty", |r| r.target = tmux("", ""))],
    );
}

#[test]
fn a_text_that_names_no_resource_is_no_fault_of_the_field() {
    let request = pb::DeclareResourceRequest {
        resource_id: "what".to_owned(),
        ..registration()
    };
    let DeclareCall::Register { resource, .. } = declare_resource(request).unwrap() else {
        panic!("a registration");
    };
    assert_eq!(resource, ResourceToken::default());
}

fn list(request: pb::ListResourcesRequest) -> Result<ListResourcesCall, Invalid> {
    list_resources(&namespace(), request, "log")
}

#[test]
fn released_resources_are_listed_of_one_session_only() {
    let released = i32::from(pb::ResourceState::Released);
    let held = i32::from(pb::ResourceState::Held);
    let of_all = pb::ListResourcesRequest {
        states: vec![held],
        ..pb::ListResourcesRequest::default()
    };
    let call = list(of_all.clone()).unwrap();
    assert_eq!((call.session, call.page.size), (None, 100));
    assert_eq!(call.states, [pb::ResourceState::Held]);
    check_spoiled(
        &of_all,
        list,
        &[
            ("states[0]", "RELEASED unless `ref`", |r| r.states = vec![4]),
            ("page_size", "at most 1000", |r| r.page_size = 1_001),
            ("page_token", "must be a token", |r| {
                r.page_token = "x".to_owned();
            }),
        ],
    );
    let of_one = pb::ListResourcesRequest {
        r#ref: by_key("k"),
        states: vec![released, held],
        ..pb::ListResourcesRequest::default()
    };
    assert_eq!(list(of_one.clone()).unwrap().states.len(), 2);
    check_spoiled(
        &of_one,
        list,
        &[
            ("ref.key", "empty", |r| r.r#ref = by_key("")),
            ("states[1]", "must name a value", |r| r.states[1] = 0),
        ],
    );
}

fn release(request: pb::ReleaseResourceRequest) -> Result<ReleaseCall, Invalid> {
    release_resource(&namespace(), request, caller(), "log")
}

#[test]
fn resources_are_named_or_called() {
    let request = pb::ReleaseResourceRequest {
        resource_ids: vec![TOKEN.to_owned(), "what".to_owned()],
        force: true,
        validate_only: true,
        ..pb::ReleaseResourceRequest::default()
    };
    let call = release(request.clone()).unwrap();
    assert_eq!(call.effect, Effect::LeftOut);
    let named = vec![TOKEN.to_owned(), "what".to_owned()];
    assert_eq!(call.selection, Selection::Ids(named));
    let expected = Release {
        namespace: namespace(),
        resource: token(),
        manner: ReleaseManner::Forced,
        actor: caller(),
    };
    assert_eq!(call.release(token()), expected);
    check_spoiled(
        &request,
        release,
        &[
            ("resource_ids[1]", "empty", |r| r.resource_ids[1].clear()),
            ("name", "with `resource_ids`", |r| r.name = "n".to_owned()),
            ("name_glob", "with `resource_ids`", |r| {
                r.name_glob = "*".to_owned();
            }),
            ("page_size", "with `resource_ids`", |r| r.page_size = 1),
            ("page_token", "with `resource_ids`", |r| {
                r.page_token = "t".to_owned();
            }),
        ],
    );
    check_spoiled(
        &request,
        release,
        &[
            ("resource_ids", "at most 256", |r| {
                r.resource_ids = vec!["a".to_owned(); 257];
            }),
            ("resource_ids", "or else `name`", |r| r.resource_ids.clear()),
        ],
    );
    let called = pb::ReleaseResourceRequest {
        name_glob: "shell*".to_owned(),
        ..pb::ReleaseResourceRequest::default()
    };
    check_spoiled(
        &called,
        release,
        &[
            ("name_glob", "at most 256", |r| {
                r.name_glob = "*".repeat(257)
            }),
            ("page_size", "at most 1000", |r| r.page_size = 1_001),
        ],
    );
}
