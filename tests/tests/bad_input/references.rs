//! References, in every request that has one.

use sessiond_proto::v1 as pb;
use sessiond_tests::requests::{claim, end, enqueue, id, key};

use super::table::{Bad, World, bytes, invalid};

/// References that mean nothing, with what is wrong with each.
fn references() -> Vec<(Option<pb::SessionRef>, &'static str)> {
    vec![
        (None, "ref"),
        (Some(pb::SessionRef { r#ref: None }), "ref"),
        (key(""), "ref.key"),
        (key("a\u{0}"), "ref.key"),
        (key(&bytes(257)), "ref.key"),
        (id(""), "ref.session_id"),
        (id("\u{1b}"), "ref.session_id"),
        (id(&bytes(257)), "ref.session_id"),
    ]
}

fn table<R>(request: impl Fn(Option<pb::SessionRef>) -> R) -> Vec<Bad<R>> {
    let cases = references().into_iter();
    cases
        .map(|(reference, field)| invalid(request(reference), &[field]))
        .collect()
}

#[tokio::test]
async fn references_of_sessions() {
    let world = World::new().await;
    let caller = &world.caller;
    let get = table(|session| pb::GetSessionRequest { r#ref: session });
    world
        .refuses(get, async |request| caller.get(request).await)
        .await;
    let explain = table(|session| pb::ExplainSessionRequest { r#ref: session });
    world
        .refuses(explain, async |request| caller.explain(request).await)
        .await;
    let touch = table(|session| pb::TouchSessionRequest {
        r#ref: session,
        usage_delta: None,
    });
    world
        .refuses(touch, async |request| caller.touch(request).await)
        .await;
    let update = table(|session| pb::UpdateSessionRequest {
        r#ref: session,
        source: "x".to_owned(),
        ..pb::UpdateSessionRequest::default()
    });
    world
        .refuses(update, async |request| caller.update(request).await)
        .await;
    let revokes = table(|session| pb::RevokeLeaseRequest {
        r#ref: session,
        ..pb::RevokeLeaseRequest::default()
    });
    world
        .refuses(revokes, async |request| caller.revoke_lease(request).await)
        .await;
    let begins = table(|session| pb::BeginRequestRequest {
        r#ref: session,
        ..pb::BeginRequestRequest::default()
    });
    world
        .refuses(begins, async |request| caller.begin_request(request).await)
        .await;
    let ends = table(|session| pb::EndRequestRequest {
        r#ref: session,
        request_token: "rq-1-1".to_owned(),
    });
    world
        .refuses(ends, async |request| caller.end_request(request).await)
        .await;
    let ends = table(|session| end(session, pb::EndReason::Completed, pb::EndMode::Immediate));
    world
        .refuses(ends, async |request| caller.end(request).await)
        .await;
}

#[tokio::test]
async fn references_of_owners() {
    let world = World::new().await;
    let caller = &world.caller;
    let declares = table(|session| pb::DeclareResourceRequest {
        r#ref: session,
        ..pb::DeclareResourceRequest::default()
    });
    world
        .refuses(declares, async |request| {
            caller.declare_resource(request).await
        })
        .await;
    let lists = references().into_iter();
    let lists = lists.filter(|(session, _)| session.is_some());
    let lists = lists
        .map(|(session, field)| {
            let request = pb::ListResourcesRequest {
                r#ref: session,
                ..pb::ListResourcesRequest::default()
            };
            invalid(request, &[field])
        })
        .collect();
    world
        .refuses(lists, async |request| caller.list_resources(request).await)
        .await;
}

#[tokio::test]
async fn references_of_messages() {
    let world = World::new().await;
    let caller = &world.caller;
    let enqueues = table(|session| enqueue(session, &["m"]));
    world
        .refuses(enqueues, async |request| caller.enqueue(request).await)
        .await;
    let list = table(|session| pb::ListMessagesRequest {
        r#ref: session,
        ..pb::ListMessagesRequest::default()
    });
    world
        .refuses(list, async |request| caller.list_messages(request).await)
        .await;
    let claims = references()
        .into_iter()
        .filter(|(session, _)| session.is_some());
    let claims = claims
        .map(|(session, field)| invalid(claim(session, "w"), &[field]))
        .collect();
    world
        .refuses(claims, async |request| caller.claim(request).await)
        .await;
}
