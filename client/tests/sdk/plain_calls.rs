//! The calls that are as plain as their messages.

use futures_util::StreamExt;
use sessiond_client::{Error, Reason, pb};
use tonic::Code;

use crate::fake_server::{Call, FakeServer, refusal, within};

#[tokio::test]
async fn plain_calls_carry_what_they_are_given() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let update = pb::UpdateSessionRequest {
        etag: "e1".to_owned(),
        project: "p".to_owned(),
        ..Default::default()
    };
    let settle = pb::SettleMessagesRequest {
        settlements: vec![pb::Settlement::default()],
    };
    let target = pb::reset_circuit_request::Target::Kind("summarize".to_owned());
    let reset = pb::ResetCircuitRequest {
        target: Some(target.clone()),
        ..Default::default()
    };
    let list = pb::ListWorkersRequest {
        page_size: 5,
        ..Default::default()
    };
    let revoke = pb::RevokeLeaseRequest {
        epoch: Some(7),
        ..Default::default()
    };
    let serve = async {
        let Call::Update(call) = server.call().await else {
            panic!("expected an update");
        };
        assert_eq!(call.request.etag, "e1");
        assert!(!call.request.request_id.is_empty());
        call.refuse(refusal(Code::Aborted, Reason::EtagMismatch, None));
        let Call::Settle(call) = server.call().await else {
            panic!("expected a settle");
        };
        // Settling twice is harmless, so a lost answer is asked for again.
        call.refuse(refusal(Code::Unavailable, Reason::ServerDraining, None));
        let Call::Settle(call) = server.call().await else {
            panic!("expected a settle");
        };
        assert_eq!(call.request.settlements.len(), 1);
        call.answer(pb::SettleMessagesResponse::default());
        let Call::ListWorkers(call) = server.call().await else {
            panic!("expected a list");
        };
        assert_eq!(call.request.page_size, 5);
        call.answer(pb::ListWorkersResponse::default());
        let Call::ResetCircuit(call) = server.call().await else {
            panic!("expected a reset");
        };
        assert_eq!(call.request.target, Some(target));
        assert!(!call.request.request_id.is_empty());
        call.answer(pb::ResetCircuitResponse::default());
        let Call::RevokeLease(call) = server.call().await else {
            panic!("expected a revocation");
        };
        assert_eq!(call.request.epoch, Some(7));
        assert!(!call.request.request_id.is_empty());
        call.answer(pb::RevokeLeaseResponse::default());
    };
    let calls = async {
        let error = client.update(update).await.unwrap_err();
        assert!(matches!(error, Error::Conflict(_)), "{error:?}");
        client.settle(settle).await.unwrap();
        client.list_workers(list).await.unwrap();
        client.reset_circuit(reset).await.unwrap();
        client.revoke_lease(revoke).await.unwrap();
    };
    within(async { tokio::join!(calls, serve) }).await;
}

#[tokio::test]
async fn pools_and_nodes_are_asked_for() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let serve = async {
        let Call::ListPools(call) = server.call().await else {
            panic!("expected a list of pools");
        };
        call.answer(pb::ListPoolsResponse::default());
        let Call::ListNodes(call) = server.call().await else {
            panic!("expected a list of nodes");
        };
        call.answer(pb::ListNodesResponse::default());
    };
    let ask = async {
        let pools = client.pools().await.unwrap();
        (pools, client.nodes().await.unwrap())
    };
    let ((pools, nodes), ()) = within(async { tokio::join!(ask, serve) }).await;
    assert!(pools.pools.is_empty() && nodes.nodes.is_empty());
}

#[tokio::test]
async fn events_are_deleted_up_to_a_revision() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let serve = async {
        let Call::CompactEvents(call) = server.call().await else {
            panic!("expected a compaction");
        };
        assert_eq!(call.request.through_revision, 9);
        call.answer(pb::CompactEventsResponse {
            oldest_revision: 10,
            ..Default::default()
        });
    };
    let compact = client.compact_events(9);
    let (compacted, ()) = within(async { tokio::join!(compact, serve) }).await;
    assert_eq!(compacted.unwrap().oldest_revision, 10);
}

#[tokio::test]
async fn subscriptions_are_read_listed_and_forgotten() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let named = |name: &str| pb::Subscription {
        name: name.to_owned(),
        ..Default::default()
    };
    let serve = async {
        let Call::GetSubscription(call) = server.call().await else {
            panic!("expected a get");
        };
        assert_eq!(call.request.name, "memory");
        let subscription = Some(named("memory"));
        call.answer(pb::GetSubscriptionResponse { subscription });
        for (token, next, name) in [("", "more", "a"), ("more", "", "b")] {
            let Call::ListSubscriptions(call) = server.call().await else {
                panic!("expected a list");
            };
            assert_eq!(call.request.page_token, token);
            call.answer(pb::ListSubscriptionsResponse {
                subscriptions: vec![named(name)],
                next_page_token: next.to_owned(),
            });
        }
        let Call::DeleteSubscription(call) = server.call().await else {
            panic!("expected a deletion");
        };
        assert!(!call.request.request_id.is_empty());
        call.answer(pb::DeleteSubscriptionResponse::default());
    };
    let ask = async {
        let one = client.get_subscription("memory").await.unwrap();
        let list = client.list_all_subscriptions(pb::ListSubscriptionsRequest::default());
        let all: Vec<_> = list.collect().await;
        client.delete_subscription("memory").await.unwrap();
        (one, all)
    };
    let ((one, all), ()) = within(async { tokio::join!(ask, serve) }).await;
    assert_eq!(one.name, "memory");
    let names: Vec<String> = all.into_iter().map(|one| one.unwrap().name).collect();
    assert_eq!(names, ["a", "b"]);
}
