//! Lists over their pages, the handle of a session, and the calls that are as
//! plain as their messages.

use std::time::Duration;

use futures_util::StreamExt;
use sessiond_client::{Error, NewMessage, Opened, Reason, pb};
use sessiond_client::{session_id, session_key};
use tonic::Code;

use crate::fake_server::{Call, FakeServer, refusal, within};

fn session(id: &str) -> Option<pb::Session> {
    Some(pb::Session {
        session_id: id.to_owned(),
        key: "k".to_owned(),
        ..Default::default()
    })
}

#[tokio::test]
async fn lists_go_over_their_pages() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let request = pb::ListSessionsRequest {
        page_size: 2,
        ..Default::default()
    };
    let listing = tokio::spawn(client.list_all(request).collect::<Vec<_>>());
    let pages = [
        ("", "1", vec!["a", "b"]),
        ("1", "2", vec![]),
        ("2", "", vec!["c"]),
    ];
    for (token, next, ids) in pages {
        let Call::List(call) = server.call().await else {
            panic!("expected a list");
        };
        assert_eq!(call.request.page_token, token);
        assert_eq!(call.request.page_size, 2);
        call.answer(pb::ListSessionsResponse {
            sessions: ids.iter().filter_map(|id| session(id)).collect(),
            next_page_token: next.to_owned(),
            resume_token: String::new(),
        });
    }
    let sessions = within(listing).await.unwrap();
    let ids: Vec<String> = sessions
        .into_iter()
        .map(|one| one.unwrap().session_id)
        .collect();
    assert_eq!(ids, ["a", "b", "c"]);
}

#[tokio::test]
async fn dead_letters_are_listed_over_pages_with_the_filter_on_each() {
    let mut server = FakeServer::start().await;
    let letters = server
        .client()
        .dead_letters()
        .session(sessiond_client::session_key("k"))
        .kind("note")
        .reason(pb::DeadLetterReason::Permanent)
        .since(std::time::UNIX_EPOCH);
    let listing = tokio::spawn(letters.list_with_payloads().collect::<Vec<_>>());
    let letter = |attempts: u32| pb::DeadLetter {
        attempts,
        ..Default::default()
    };
    for (token, next, attempts) in [("", "more", 1), ("more", "", 2)] {
        let Call::ListDeadLetters(call) = server.call().await else {
            panic!("expected a list");
        };
        let filter = call.request.filter.clone().unwrap();
        assert_eq!(filter, letters.clone().filter());
        assert_eq!(filter.kinds, ["note"]);
        assert_eq!(call.request.page_token, token);
        assert!(call.request.include_payload);
        call.answer(pb::ListDeadLettersResponse {
            dead_letters: vec![letter(attempts)],
            next_page_token: next.to_owned(),
        });
    }
    let listed = within(listing).await.unwrap();
    let attempts: Vec<u32> = listed
        .into_iter()
        .map(|one| one.unwrap().attempts)
        .collect();
    assert_eq!(attempts, [1, 2]);
}

#[tokio::test]
async fn named_letters_are_brought_back_in_calls_of_their_own_ids() {
    let mut server = FakeServer::start().await;
    let letters = (1..=300).map(|seq| (7, seq));
    let requeue = server
        .client()
        .requeue(letters)
        .into_session(sessiond_client::session_key("k"))
        .request_id("r");
    let sent = tokio::spawn(requeue.send_all());
    for (request_id, count, first, not_reached) in [("r", 256, 1, 56), ("r/2", 100, 201, 0)] {
        let Call::Requeue(call) = server.call().await else {
            panic!("expected a requeue");
        };
        let seqs: Vec<u64> = call.request.letters.iter().map(|one| one.seq).collect();
        assert_eq!(call.request.request_id, request_id);
        assert_eq!((seqs.len(), seqs[0]), (count, first));
        assert!(call.request.into.is_some() && call.request.filter.is_none());
        call.answer(pb::RequeueDeadLettersResponse {
            requeued: count as u64 - not_reached,
            not_reached,
            ..Default::default()
        });
    }
    let told = within(sent).await.unwrap().unwrap();
    assert_eq!((told.requeued, told.not_reached), (300, 0));
}

#[tokio::test]
async fn messages_are_discarded_page_by_page_and_the_counts_are_added() {
    let mut server = FakeServer::start().await;
    let session = sessiond_client::session_id("s");
    let filter = pb::MessageFilter::default();
    let discard = server.client().discard_matching(session, filter);
    let sent = tokio::spawn(discard.send_all());
    let mut ids = Vec::new();
    for (token, next) in [("", "more"), ("more", "")] {
        let Call::Discard(call) = server.call().await else {
            panic!("expected a discard");
        };
        assert_eq!(call.request.page_token, token);
        ids.push(call.request.request_id.clone());
        call.answer(pb::DiscardMessagesResponse {
            discarded: 2,
            in_flight: 1,
            next_page_token: next.to_owned(),
            ..Default::default()
        });
    }
    let told = within(sent).await.unwrap().unwrap();
    assert_eq!((told.discarded, told.in_flight), (4, 2));
    assert!(ids.iter().all(|id| !id.is_empty()) && ids[0] != ids[1]);
}

#[tokio::test]
async fn a_list_ends_after_an_error() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let request = pb::ListMessagesRequest::default();
    let listing = tokio::spawn(client.list_all_messages(request).collect::<Vec<_>>());
    let Call::ListMessages(call) = server.call().await else {
        panic!("expected a list");
    };
    call.answer(pb::ListMessagesResponse {
        messages: vec![pb::Message::default()],
        next_page_token: "more".to_owned(),
    });
    let Call::ListMessages(call) = server.call().await else {
        panic!("expected a list");
    };
    call.refuse(refusal(Code::NotFound, Reason::SessionNotFound, None));
    let items = within(listing).await.unwrap();
    assert_eq!(items.len(), 2);
    assert!(items[0].is_ok());
    assert!(matches!(items[1], Err(Error::NotFound(_))));
}

#[tokio::test]
async fn handle_uses_the_session_it_opened_and_no_other() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let (handle, ()) = within(async {
        tokio::join!(client.session("k").open(), async {
            let Call::Open(call) = server.call().await else {
                panic!("expected an open");
            };
            call.answer(pb::OpenSessionResponse {
                session: session("s1"),
                ..Default::default()
            });
        })
    })
    .await;
    let handle = handle.unwrap();
    assert_eq!(handle.opened(), Opened::Existing);
    let (sent, ()) = within(async {
        tokio::join!(handle.send(NewMessage::new("summarize")), async {
            let Call::Enqueue(call) = server.call().await else {
                panic!("expected an enqueue");
            };
            assert_eq!(call.request.r#ref, Some(session_id("s1")));
            let mut result = pb::EnqueueResult {
                seq: 7,
                ..Default::default()
            };
            result.set_status(pb::EnqueueStatus::Enqueued);
            call.answer(pb::EnqueueMessagesResponse {
                results: vec![result],
                ..Default::default()
            });
        })
    })
    .await;
    assert_eq!(sent.unwrap().seq, 7);
    let end = handle
        .end(pb::EndReason::Completed)
        .mode(pb::EndMode::AfterPending);
    let (ended, ()) = within(async {
        tokio::join!(end.send(), async {
            let Call::End(call) = server.call().await else {
                panic!("expected an end");
            };
            assert_eq!(call.request.r#ref, Some(session_id("s1")));
            assert_eq!(call.request.mode(), pb::EndMode::AfterPending);
            call.answer(pb::EndSessionResponse::default());
        })
    })
    .await;
    ended.unwrap();
}

#[tokio::test]
async fn kept_session_is_touched_until_it_is_gone() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let (handle, ()) = within(async {
        tokio::join!(client.existing(session_key("k")), async {
            let Call::Get(call) = server.call().await else {
                panic!("expected a get");
            };
            call.answer(pb::GetSessionResponse {
                session: session("s1"),
            });
        })
    })
    .await;
    let keep = handle.unwrap().keep_alive(Duration::from_millis(1));
    for _ in 0..2 {
        let Call::Touch(call) = server.call().await else {
            panic!("expected a touch");
        };
        call.answer(pb::TouchSessionResponse {
            session: session("s1"),
            revision: 1,
        });
    }
    let Call::Touch(call) = server.call().await else {
        panic!("expected a touch");
    };
    call.refuse(refusal(
        Code::FailedPrecondition,
        Reason::SessionEnded,
        None,
    ));
    let why = within(keep.lost()).await;
    assert_eq!(why.reason(), Some(Reason::SessionEnded));
}

#[tokio::test]
async fn a_request_is_renewed_while_its_guard_lives_and_ended_with_it() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let (handle, ()) = within(async {
        tokio::join!(client.existing(session_key("k")), async {
            let Call::Get(call) = server.call().await else {
                panic!("expected a get");
            };
            call.answer(pb::GetSessionResponse {
                session: session("s1"),
            });
        })
    })
    .await;
    let handle = handle.unwrap();
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
    let client = server.client();
    let (handle, ()) = within(async {
        tokio::join!(client.existing(session_key("k")), async {
            let Call::Get(call) = server.call().await else {
                panic!("expected a get");
            };
            call.answer(pb::GetSessionResponse {
                session: session("s1"),
            });
        })
    })
    .await;
    let handle = handle.unwrap();
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
async fn pools_are_asked_for() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let serve = async {
        let Call::ListPools(call) = server.call().await else {
            panic!("expected a list of pools");
        };
        call.answer(pb::ListPoolsResponse::default());
    };
    let (pools, ()) = within(async { tokio::join!(client.pools(), serve) }).await;
    assert!(pools.unwrap().pools.is_empty());
}

#[tokio::test]
async fn a_reset_is_asked_for_as_it_is_built_and_answers_with_the_successor() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let (handle, ()) = within(async {
        tokio::join!(client.session("k").open(), async {
            let Call::Open(call) = server.call().await else {
                panic!("expected an open");
            };
            call.answer(pb::OpenSessionResponse {
                session: session("s1"),
                ..Default::default()
            });
        })
    })
    .await;
    let reset = handle
        .unwrap()
        .reset()
        .reason(pb::EndReason::Compacted)
        .carry(pb::Carry::Keep)
        .new_session_id("s2")
        .label("a", "1")
        .idle_timeout(None);
    let sent = tokio::spawn(reset.send());
    let Call::Reset(call) = server.call().await else {
        panic!("expected a reset");
    };
    assert_ne!(call.request.request_id, "", "so that a repeat is harmless");
    let expected = pb::ResetSessionRequest {
        r#ref: Some(session_id("s1")),
        reason: pb::EndReason::Compacted.into(),
        carry: pb::Carry::Keep.into(),
        new_session_id: "s2".to_owned(),
        labels: [("a".to_owned(), "1".to_owned())].into_iter().collect(),
        idle_timeout: Some(pb::Limit {
            bound: Some(pb::limit::Bound::Never(true)),
        }),
        request_id: call.request.request_id.clone(),
        ..Default::default()
    };
    assert_eq!(call.request, expected);
    call.answer(pb::ResetSessionResponse {
        ended: session("s1"),
        successor: session("s2"),
        ..Default::default()
    });
    let successor = within(sent).await.unwrap().unwrap();
    assert_eq!(
        (successor.id(), successor.opened()),
        ("s2", Opened::Created)
    );
}
