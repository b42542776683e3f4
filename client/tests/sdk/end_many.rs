//! The end of many sessions: what is asked for, what is repeated, and its pages.

use std::time::Duration;

use sessiond_client::{EndSelection, PurgeSelection, Reason, pb};
use tonic::Code;

use crate::fake_server::{Call, FakeServer, Unary, refusal, within};

type EndsCall = Unary<pb::EndSessionsRequest, pb::EndSessionsResponse>;

async fn asked(server: &mut FakeServer) -> EndsCall {
    match server.call().await {
        Call::EndSessions(call) => call,
        other => panic!("expected `EndSessions`, got {other:?}"),
    }
}

fn page(ids: &[&str], next: &str, revision: u64) -> pb::EndSessionsResponse {
    let results = ids.iter().map(|id| pb::EndResult {
        session_id: (*id).to_owned(),
        outcome: pb::EndOutcome::Ended.into(),
        ..Default::default()
    });
    pb::EndSessionsResponse {
        results: results.collect(),
        next_page_token: next.to_owned(),
        revision,
    }
}

#[tokio::test]
async fn builder_fills_in_the_request() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let filter = pb::SessionFilter {
        project: "p".to_owned(),
        ..Default::default()
    };
    let ways = [
        EndSelection::Filter(filter.clone()),
        EndSelection::SessionIds(vec!["a".to_owned(), "b".to_owned()]),
        EndSelection::KeyGlob("agent:*".to_owned()),
    ];
    let expected = [
        pb::EndSessionsRequest {
            filter: Some(filter),
            ..terms()
        },
        pb::EndSessionsRequest {
            session_ids: vec!["a".to_owned(), "b".to_owned()],
            ..terms()
        },
        pb::EndSessionsRequest {
            key_glob: "agent:*".to_owned(),
            ..terms()
        },
    ];
    for (way, expected) in ways.into_iter().zip(expected) {
        let ends = client
            .end_sessions(way, pb::EndReason::Failed)
            .detail("enough")
            .mode(pb::EndMode::AfterPending)
            .grace(Duration::from_secs(7))
            .pending(pb::PendingPolicy::Discard)
            .validate_only()
            .page_size(3);
        let sent = tokio::spawn(ends.send());
        let call = asked(&mut server).await;
        assert_eq!(call.request, expected);
        call.answer(page(&["a"], "more", 4));
        let answer = within(sent).await.unwrap().unwrap();
        assert_eq!(answer, page(&["a"], "more", 4));
    }
}

fn terms() -> pb::EndSessionsRequest {
    pb::EndSessionsRequest {
        reason: pb::EndReason::Failed.into(),
        detail: "enough".to_owned(),
        mode: pb::EndMode::AfterPending.into(),
        end_grace: Some(prost_types::Duration {
            seconds: 7,
            nanos: 0,
        }),
        pending_policy: pb::PendingPolicy::Discard.into(),
        validate_only: true,
        page_size: 3,
        ..Default::default()
    }
}

#[tokio::test]
async fn pages_are_ended_one_after_the_other_and_a_lost_answer_is_asked_for_again() {
    let mut server = FakeServer::start().await;
    let all = EndSelection::Filter(pb::SessionFilter::default());
    let ends = server.client().end_sessions(all, pb::EndReason::Completed);
    let sent = tokio::spawn(ends.send_all());
    let first = asked(&mut server).await;
    assert_eq!(first.request.page_token, "");
    first.answer(page(&["a", "b"], "next", 2));
    let second = asked(&mut server).await;
    let request = second.request.clone();
    assert_eq!(request.page_token, "next");
    second.refuse(refusal(Code::Unavailable, Reason::StoreUnavailable, None));
    let again = asked(&mut server).await;
    assert_eq!(again.request, request);
    again.answer(page(&["c"], "", 3));
    let answer = within(sent).await.unwrap().unwrap();
    assert_eq!(answer, page(&["a", "b", "c"], "", 3));
}

#[tokio::test]
async fn purges_are_asked_for_as_they_are_built_and_summed_over_their_pages() {
    let mut server = FakeServer::start().await;
    let all = PurgeSelection::Filter(pb::SessionFilter::default());
    let purge = server
        .client()
        .purge_sessions(all)
        .ended_for(Duration::from_secs(7))
        .pending(pb::PendingPolicy::Discard)
        .page_size(2);
    let sent = tokio::spawn(purge.send_all());
    let mut expected = pb::PurgeSessionsRequest {
        filter: Some(pb::SessionFilter::default()),
        ended_for: Some(prost_types::Duration {
            seconds: 7,
            nanos: 0,
        }),
        pending_policy: pb::PendingPolicy::Discard.into(),
        page_size: 2,
        ..Default::default()
    };
    for (ids, next, sum) in [(&["a", "b"][..], "next", 3), (&["c"], "", 4)] {
        let Call::Purge(call) = server.call().await else {
            panic!("expected a purge");
        };
        assert_eq!(call.request, expected);
        expected.page_token = next.to_owned();
        let results = ids.iter().map(|id| pb::PurgeResult {
            session_id: (*id).to_owned(),
            ..Default::default()
        });
        call.answer(pb::PurgeSessionsResponse {
            results: results.collect(),
            sessions: ids.len() as u64,
            messages: sum,
            next_page_token: next.to_owned(),
            revision: sum,
        });
    }
    let answer = within(sent).await.unwrap().unwrap();
    let ids: Vec<&str> = answer
        .results
        .iter()
        .map(|one| &one.session_id[..])
        .collect();
    assert_eq!(ids, ["a", "b", "c"]);
    assert_eq!(
        (answer.sessions, answer.messages, answer.revision),
        (3, 7, 4)
    );
}
