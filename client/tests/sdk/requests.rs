//! The guard of a request: it renews, it ends, and it says why it was lost.

use std::time::Duration;

use sessiond_client::{Reason, pb, session_id};
use tonic::Code;

use crate::fake_server::{Call, FakeServer, refusal, session, within};

#[tokio::test]
async fn a_request_is_renewed_while_its_guard_lives_and_ended_with_it() {
    let mut server = FakeServer::start().await;
    let handle = server.existing().await;
    let begun = || pb::BeginRequestResponse {
        request_token: "rq-1-1".to_owned(),
        request_lease: Some(prost_types::Duration {
            seconds: 0,
            nanos: 300_000_000,
        }),
        ..Default::default()
    };
    for end in ["dropped", "ended"] {
        let lease = Duration::from_secs(60);
        let (guard, ()) = within(async {
            tokio::join!(handle.begin_request_for(lease), async {
                let Call::BeginRequest(call) = server.call().await else {
                    panic!("expected a beginning");
                };
                assert_eq!(call.request.r#ref, Some(session_id("s1")));
                assert_eq!(call.request.request_lease.unwrap().seconds, 60);
                assert_eq!(call.request.request_token, "");
                call.answer(begun());
            })
        })
        .await;
        let guard = guard.unwrap();
        assert_eq!(guard.token(), "rq-1-1");
        let Call::BeginRequest(call) = server.call().await else {
            panic!("expected a renewal");
        };
        assert_eq!(call.request.request_token, "rq-1-1");
        assert_eq!(call.request.request_lease, None, "as it was");
        call.answer(begun());
        let ending = tokio::spawn(async move {
            match end {
                "dropped" => drop(guard),
                _ => drop(guard.end().await.unwrap()),
            }
        });
        let call = loop {
            match server.call().await {
                Call::EndRequest(call) => break call,
                Call::BeginRequest(call) => call.answer(begun()),
                other => panic!("expected an end, not {other:?}"),
            }
        };
        assert_eq!(call.request.request_token, "rq-1-1");
        call.answer(pb::EndRequestResponse {
            session: session("s1"),
            ..Default::default()
        });
        within(ending).await.unwrap();
    }
}

#[tokio::test]
async fn a_request_that_is_lost_says_why() {
    let mut server = FakeServer::start().await;
    let handle = server.existing().await;
    let (guard, ()) = within(async {
        tokio::join!(handle.begin_request(), async {
            let Call::BeginRequest(call) = server.call().await else {
                panic!("expected a beginning");
            };
            assert_eq!(call.request.request_lease, None);
            call.answer(pb::BeginRequestResponse {
                request_token: "rq-1-1".to_owned(),
                request_lease: Some(prost_types::Duration {
                    seconds: 0,
                    nanos: 1,
                }),
                ..Default::default()
            });
        })
    })
    .await;
    let guard = guard.unwrap();
    let Call::BeginRequest(call) = server.call().await else {
        panic!("expected a renewal");
    };
    call.refuse(refusal(Code::NotFound, Reason::RequestNotFound, None));
    let why = within(guard.lost()).await;
    assert_eq!(why.reason(), Some(Reason::RequestNotFound));
}
