//! Resources on record: declared, listed, bounded, and what a lease takes along.

use std::time::Duration;

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{end, id, key, open};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;
use tonic::Code;

/// Resources of one session that may be on record.
const MOST: usize = 64;

/// A declaration of something that is about to be there.
pub(super) fn declare(session: Option<pb::SessionRef>, name: &str) -> pb::DeclareResourceRequest {
    pb::DeclareResourceRequest {
        r#ref: session,
        name: name.to_owned(),
        ..pb::DeclareResourceRequest::default()
    }
}

/// The resource that a declaration puts on record.
pub(super) async fn declared(caller: &Caller, request: pb::DeclareResourceRequest) -> pb::Resource {
    let answer = caller.declare_resource(request).await;
    answer.expect("declared").resource.expect("a resource")
}

/// What a list shows on its only page.
pub(super) async fn listed(caller: &Caller, session: Option<pb::SessionRef>) -> Vec<pb::Resource> {
    let request = pb::ListResourcesRequest {
        r#ref: session,
        ..pb::ListResourcesRequest::default()
    };
    let page = caller.list_resources(request).await.expect("a list");
    assert_eq!(page.next_page_token, "");
    page.resources
}

/// Has a resource count as gone.
pub(super) async fn forced(caller: &Caller, resource: &pb::Resource) -> pb::ReleaseResult {
    let request = pb::ReleaseResourceRequest {
        resource_ids: vec![resource.resource_id.clone()],
        force: true,
        ..pb::ReleaseResourceRequest::default()
    };
    let mut answer = caller.release_resource(request).await.expect("released");
    answer.results.pop().expect("a result")
}

#[tokio::test]
async fn a_declared_resource_is_on_record_through_a_crash_and_spares_its_session_nothing() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await;
    let resource = declared(&caller, declare(key("a"), "shell")).await;
    assert_eq!(resource.session_id, session.session_id);
    assert_eq!(
        (resource.key.as_str(), resource.name.as_str()),
        ("a", "shell")
    );
    assert_eq!(resource.state(), pb::ResourceState::Held);
    assert_eq!(resource.scope(), pb::ResourceScope::Session);
    assert!(resource.target.is_none() && resource.create_time.is_some());
    assert!(resource.resource_id.len() <= 256);
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    let of_session = listed(&caller, key("a")).await;
    assert_eq!(of_session, listed(&caller, None).await);
    assert_eq!(of_session, [resource]);
    let seen = caller.session(key("a")).await;
    assert_eq!(
        (seen.unreleased_resources, seen.lingering_resources),
        (1, 0)
    );
    let explain = pb::ExplainSessionRequest { r#ref: key("a") };
    let explained = caller.explain(explain).await.expect("explained");
    let [hold] = explained.holds.as_slice() else {
        panic!("one thing holds it: {:?}", explained.holds);
    };
    assert_eq!((hold.kind(), hold.count), (pb::HoldKind::Resources, 1));
    assert!(
        explained
            .deadlines
            .iter()
            .all(|one| one.spared_by.is_empty())
    );
}

#[tokio::test]
async fn a_repeat_declares_nothing_and_shows_the_resource_as_it_is() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let request = pb::DeclareResourceRequest {
        request_id: "r".to_owned(),
        ..declare(key("a"), "shell")
    };
    let first = caller.declare_resource(request.clone()).await.expect("new");
    assert!(!first.duplicate);
    let resource = first.resource.expect("a resource");
    forced(&caller, &resource).await;
    let again = caller.declare_resource(request.clone()).await;
    let again = again.expect("harmless");
    assert!(again.duplicate);
    let shown = again.resource.expect("a resource");
    assert_eq!(shown.resource_id, resource.resource_id);
    assert_eq!(shown.outcome(), pb::ResourceOutcome::Forced);
    let other = pb::DeclareResourceRequest {
        name: "another".to_owned(),
        ..request
    };
    let refused = caller.declare_resource(other).await;
    refused
        .expect_err("another request")
        .is(Code::InvalidArgument, Reason::RequestIdReused);
    assert_eq!(listed(&caller, key("a")).await.len(), 1);
}

#[tokio::test]
async fn a_session_has_so_many_resources_and_released_ones_make_room() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let mut resources = Vec::new();
    for _ in 0..MOST {
        resources.push(declared(&caller, declare(key("a"), "")).await);
    }
    let one_more = declare(key("a"), "");
    let refused = caller.declare_resource(one_more.clone()).await;
    refused
        .expect_err("it is full")
        .is(Code::ResourceExhausted, Reason::QuotaExceeded)
        .with("scope", "resources of a session")
        .with("limit", "64")
        .with("used", "64")
        .retries_within(Duration::from_secs(60));
    forced(&caller, &resources[7]).await;
    let new = declared(&caller, one_more).await;
    let on_record = listed(&caller, key("a")).await;
    let ids: Vec<&str> = on_record
        .iter()
        .map(|one| one.resource_id.as_str())
        .collect();
    assert_eq!(ids.len(), MOST);
    assert!(
        !ids.contains(&resources[7].resource_id.as_str()),
        "what was released goes first"
    );
    assert_eq!(ids.last(), Some(&new.resource_id.as_str()));
}

#[tokio::test]
async fn only_a_session_in_use_has_resources() {
    let server = Server::configured("[session]\nmax_sessions = 1\n");
    let caller = Caller::to(&server).await;
    let refused = async |session| {
        let refused = caller.declare_resource(declare(session, "")).await;
        refused.expect_err("it is not in use")
    };
    refused(key("a"))
        .await
        .is(Code::NotFound, Reason::SessionNotFound);
    let first = caller.opened("a").await;
    let waits = pb::OpenSessionRequest {
        wait_for_slot: sessiond_tests::requests::millis(60_000),
        ..open("b")
    };
    caller.opened_as(waits).await;
    refused(key("b"))
        .await
        .is(Code::FailedPrecondition, Reason::SessionQueued)
        .with("waiting_for", "SLOT");
    let over = end(key("a"), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(over).await.expect("ended");
    refused(id(&first.session_id))
        .await
        .is(Code::FailedPrecondition, Reason::SessionEnded);
}

#[tokio::test]
async fn what_belongs_to_a_lease_goes_with_it_and_the_rest_stays() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["m"]).await;
    let epoch = caller.claimed(key("a"), "w").await[0].epoch;
    let of_lease = |epoch| pb::DeclareResourceRequest {
        scope: pb::ResourceScope::Lease.into(),
        epoch,
        ..declare(key("a"), "of the lease")
    };
    let refused = caller.declare_resource(of_lease(epoch + 1)).await;
    refused
        .expect_err("another lease")
        .is(Code::FailedPrecondition, Reason::LeaseFenced)
        .with("current_epoch", &epoch.to_string());
    let leased = declared(&caller, of_lease(epoch)).await;
    assert_eq!(
        (leased.scope(), leased.epoch),
        (pb::ResourceScope::Lease, epoch)
    );
    let kept = declared(&caller, declare(key("a"), "of the session")).await;
    let revoke = pb::RevokeLeaseRequest {
        r#ref: key("a"),
        ..pb::RevokeLeaseRequest::default()
    };
    caller.revoke_lease(revoke).await.expect("taken");
    let mut events = WatchStream::from_the_start(&caller).await;
    let released = pb::EventType::ResourceReleased;
    let event = events.event(released, &session).await;
    assert_eq!(event.attributes["resource_id"], leased.resource_id);
    assert_eq!(event.attributes["name"], "of the lease");
    assert_eq!(event.attributes["outcome"], "already_gone");
    assert_eq!(event.actor.unwrap().kind(), pb::ActorKind::Agent);
    assert_eq!(event.session.unwrap().unreleased_resources, 1);
    let on_record = listed(&caller, None).await;
    assert_eq!(
        on_record,
        [kept],
        "the session goes on with what is its own"
    );
}

#[tokio::test]
async fn resources_are_listed_by_session_by_state_and_page_by_page() {
    let server = Server::start_with(&["--namespaces", "default,blue"]);
    let caller = Caller::to(&server).await;
    let mut declared_ids = Vec::new();
    for name in ["a", "b", "c"] {
        caller.opened(name).await;
        for number in 0..3 {
            let request = declare(key(name), &format!("{name}{number}"));
            declared_ids.push(declared(&caller, request).await);
        }
    }
    let blue = caller.in_namespace("blue");
    assert!(
        listed(&blue, None).await.is_empty(),
        "nothing leaves its namespace"
    );
    let released = forced(&caller, &declared_ids[4]).await.resource.unwrap();
    let names = |found: &[pb::Resource]| -> Vec<String> {
        found.iter().map(|one| one.name.clone()).collect()
    };
    let mut request = pb::ListResourcesRequest {
        page_size: 3,
        ..pb::ListResourcesRequest::default()
    };
    let mut found = Vec::new();
    loop {
        let page = caller
            .list_resources(request.clone())
            .await
            .expect("a page");
        assert!(page.resources.len() <= 3);
        found.extend(page.resources);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(
        names(&found),
        ["a0", "a1", "a2", "b0", "b2", "c0", "c1", "c2"]
    );
    let of_b = listed(&caller, key("b")).await;
    assert_eq!(names(&of_b), ["b0", "b1", "b2"]);
    assert_eq!(of_b[1], released);
    let only_released = pb::ListResourcesRequest {
        r#ref: key("b"),
        states: vec![pb::ResourceState::Released.into()],
        ..pb::ListResourcesRequest::default()
    };
    let page = caller.list_resources(only_released).await.expect("a page");
    assert_eq!(page.resources, [released]);
    let elsewhere = pb::ListResourcesRequest {
        r#ref: key("b"),
        ..request
    };
    let refused = caller.list_resources(elsewhere).await;
    let refused = refused.expect_err("a token of another list");
    assert_eq!(refused.fields, ["page_token"]);
    let nobody = pb::ListResourcesRequest {
        r#ref: key("nobody"),
        ..pb::ListResourcesRequest::default()
    };
    let refused = caller.list_resources(nobody).await;
    refused
        .expect_err("no session")
        .is(Code::NotFound, Reason::SessionNotFound);
}
