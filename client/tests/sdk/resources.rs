//! Resources: what is asked for, which calls have an id, pages, and the wait for a release.

use futures_util::TryStreamExt as _;
use sessiond_client::pb::declare_resource_request::Target;
use sessiond_client::pb::watch_session_events_response::Frame;
use sessiond_client::{Reason, ReleaseSelection, pb, session_id};
use tonic::Code;

use crate::fake_server::{Call, FakeServer, Unary, refusal, within};

type ReleaseCall = Unary<pb::ReleaseResourceRequest, pb::ReleaseResourceResponse>;

fn resource(id: &str) -> pb::Resource {
    pb::Resource {
        resource_id: id.to_owned(),
        ..Default::default()
    }
}

fn on_record(id: &str) -> pb::DeclareResourceResponse {
    pb::DeclareResourceResponse {
        resource: Some(resource(id)),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_resource_is_declared_under_one_id_and_registered_under_its_own() {
    let mut server = FakeServer::start().await;
    let handle = server.existing().await;
    let declare = handle.declare_resource().name("shell").lease_scope(7);
    let serve = async {
        let mut asked = Vec::new();
        for last in [false, true] {
            let Call::DeclareResource(call) = server.call().await else {
                panic!("expected a declaration");
            };
            asked.push(call.request.clone());
            if last {
                call.answer(on_record("r1"));
            } else {
                call.refuse(refusal(Code::Unavailable, Reason::ServerDraining, None));
            }
        }
        asked
    };
    let (declared, asked) = within(async { tokio::join!(declare.send(), serve) }).await;
    assert_eq!(declared.unwrap().resource_id, "r1");
    assert_eq!(asked[0], asked[1]);
    assert!(!asked[0].request_id.is_empty());
    assert_eq!(asked[0].r#ref, Some(session_id("s1")));
    assert_eq!((asked[0].name.as_str(), asked[0].epoch), ("shell", 7));
    assert_eq!(asked[0].scope(), pb::ResourceScope::Lease);
    let serve = async {
        let Call::DeclareResource(call) = server.call().await else {
            panic!("expected a registration");
        };
        let expected = pb::DeclareResourceRequest {
            resource_id: "r1".to_owned(),
            target: Some(Target::Process(pb::ProcessTarget { pid: 41 })),
            ..Default::default()
        };
        assert_eq!(call.request, expected);
        call.answer(on_record("r1"));
    };
    let resources = handle.client().resources();
    let register = resources.register_process("r1", 41);
    let (registered, ()) = within(async { tokio::join!(register, serve) }).await;
    registered.unwrap();
}

#[tokio::test]
async fn lists_go_over_their_pages() {
    let mut server = FakeServer::start().await;
    let resources = server.client().resources();
    let list = resources.list_of(session_id("s1"));
    let serve = async {
        for (token, ids, next) in [("", ["a", "b"], "t"), ("t", ["c", "d"], "")] {
            let Call::ListResources(call) = server.call().await else {
                panic!("expected a list");
            };
            assert_eq!(call.request.r#ref, Some(session_id("s1")));
            assert_eq!(call.request.page_token, token);
            call.answer(pb::ListResourcesResponse {
                resources: ids.map(resource).into(),
                next_page_token: next.to_owned(),
            });
        }
    };
    let listed = list.map_ok(|one| one.resource_id).try_collect::<Vec<_>>();
    let (listed, ()) = within(async { tokio::join!(listed, serve) }).await;
    assert_eq!(listed.unwrap(), ["a", "b", "c", "d"]);
}

async fn asked(server: &mut FakeServer) -> ReleaseCall {
    match server.call().await {
        Call::ReleaseResource(call) => call,
        other => panic!("expected `ReleaseResource`, got {other:?}"),
    }
}

fn released(ids: &[String], next: &str) -> pb::ReleaseResourceResponse {
    let results = ids.iter().map(|id| pb::ReleaseResult {
        resource_id: id.clone(),
        ..Default::default()
    });
    pb::ReleaseResourceResponse {
        results: results.collect(),
        next_page_token: next.to_owned(),
        revision: 5,
    }
}

#[tokio::test]
async fn resources_are_released_page_by_page_or_some_ids_at_a_time() {
    let mut server = FakeServer::start().await;
    let resources = server.client().resources();
    let ids: Vec<String> = (0..300).map(|number| format!("r{number}")).collect();
    let by_ids = resources.release(ReleaseSelection::Ids(ids.clone()));
    let serve = async {
        for expected in ids.chunks(256) {
            let call = asked(&mut server).await;
            assert_eq!(call.request.resource_ids, expected);
            call.answer(released(expected, ""));
        }
    };
    let (whole, ()) = within(async { tokio::join!(by_ids.send_all(), serve) }).await;
    assert_eq!(whole.unwrap().results.len(), 300);
    let by_glob = resources
        .release(ReleaseSelection::NameGlob("shell*".to_owned()))
        .force()
        .validate_only()
        .page_size(2);
    let serve = async {
        for (token, next) in [("", "t"), ("t", "")] {
            let call = asked(&mut server).await;
            let expected = pb::ReleaseResourceRequest {
                name_glob: "shell*".to_owned(),
                force: true,
                validate_only: true,
                page_size: 2,
                page_token: token.to_owned(),
                ..Default::default()
            };
            assert_eq!(call.request, expected);
            call.answer(released(&ids[..2], next));
        }
    };
    let (whole, ()) = within(async { tokio::join!(by_glob.send_all(), serve) }).await;
    assert_eq!(whole.unwrap().results.len(), 4);
}

fn session(revision: u64, state: pb::SessionState, unreleased: u32) -> pb::Session {
    pb::Session {
        session_id: "s1".to_owned(),
        state: state.into(),
        revision,
        unreleased_resources: unreleased,
        ..Default::default()
    }
}

fn event(revision: u64, unreleased: u32) -> pb::SessionEvent {
    pb::SessionEvent {
        revision,
        session: Some(pb::SessionSnapshot {
            session_id: "s1".to_owned(),
            state: pb::SessionState::Ended.into(),
            revision,
            unreleased_resources: unreleased,
            ..Default::default()
        }),
        ..Default::default()
    }
}

async fn answer_get(server: &mut FakeServer, session: pb::Session) {
    let Call::Get(call) = server.call().await else {
        panic!("expected a get");
    };
    call.answer(pb::GetSessionResponse {
        session: Some(session),
    });
}

#[tokio::test]
async fn a_release_is_waited_for_behind_the_end() {
    let mut server = FakeServer::start().await;
    let handle = server.existing().await;
    let serve = async {
        answer_get(&mut server, session(3, pb::SessionState::Active, 0)).await;
        let watch = server.watch().await;
        let started = pb::WatchStarted {
            current_revision: 3,
            ..Default::default()
        };
        watch.send(Frame::Started(started)).await;
        for (revision, unreleased) in [(4, 2), (5, 1), (6, 0)] {
            let events = vec![event(revision, unreleased)];
            let batch = pb::EventBatch {
                events,
                resume_token: format!("t{revision}"),
            };
            watch.send(Frame::Batch(batch)).await;
        }
        answer_get(&mut server, session(6, pb::SessionState::Ended, 0)).await;
        watch
    };
    let released = Box::pin(handle.released());
    let (released, _watch) = Box::pin(within(async { tokio::join!(released, serve) })).await;
    assert_eq!(released.unwrap().revision, 6);
    let serve = async {
        for _ in ["to look", "to answer"] {
            answer_get(&mut server, session(6, pb::SessionState::Ended, 0)).await;
        }
    };
    let (released, ()) = within(async { tokio::join!(handle.released(), serve) }).await;
    assert_eq!(released.unwrap().revision, 6);
}
