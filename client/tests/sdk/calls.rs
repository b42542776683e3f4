//! Unary calls: what they carry, what is repeated, and what a refusal becomes.

use std::time::Duration;

use sessiond_client::{Client, Error, NewMessage, Opened, Reason, RetryPolicy, pb};
use sessiond_client::{session_id, session_key};
use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::fake_server::{Call, FakeServer, refusal, session, within};

#[tokio::test]
async fn namespace_and_token_travel_with_every_call() {
    let mut server = FakeServer::start().await;
    let client = Client::builder()
        .addr(server.addr())
        .namespace("blue")
        .token("secret")
        .build()
        .unwrap();
    let (info, ()) = within(async {
        tokio::join!(client.server_info(), async {
            let Call::ServerInfo(call) = server.call().await else {
                panic!("expected `GetServerInfo`");
            };
            assert_eq!(call.metadata.get("sessiond-namespace").unwrap(), "blue");
            assert_eq!(call.metadata.get("authorization").unwrap(), "Bearer secret");
            let agent = call.metadata.get("user-agent").unwrap().to_str().unwrap();
            assert!(agent.starts_with("sessiond-rust/"), "{agent}");
            call.answer(pb::GetServerInfoResponse {
                version: "9".to_owned(),
                ..Default::default()
            });
        })
    })
    .await;
    assert_eq!(info.unwrap().version, "9");
}

#[tokio::test]
async fn the_event_that_is_handled_travels_with_every_call_of_a_client_that_names_it() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let caused = client.caused_by("log-7").expect("an id");
    client.caused_by("").expect_err("no event");
    client.caused_by("\n").expect_err("no header");
    for (client, expected) in [(caused, Some("log-7")), (client, None)] {
        let (info, ()) = within(async {
            tokio::join!(client.server_info(), async {
                let Call::ServerInfo(call) = server.call().await else {
                    panic!("expected `GetServerInfo`");
                };
                let cause = call.metadata.get("sessiond-cause");
                assert_eq!(cause.map(|event| event.to_str().unwrap()), expected);
                call.answer(pb::GetServerInfoResponse::default());
            })
        })
        .await;
        info.unwrap();
    }
}

#[tokio::test]
async fn lost_answer_is_asked_for_again_with_the_same_request_id() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let opening = tokio::spawn({
        let client = client.clone();
        async move { client.session("k").prompt("hello").open().await }
    });
    let Call::Open(first) = server.call().await else {
        panic!("expected an open");
    };
    // The server did it, and the answer is lost with the connection.
    server.cut();
    let Call::Open(second) = server.call().await else {
        panic!("expected an open");
    };
    assert!(!first.request.request_id.is_empty());
    assert_eq!(first.request, second.request);
    second.answer(pb::OpenSessionResponse {
        session: session("s1"),
        created: true,
        ..Default::default()
    });
    let handle = within(opening).await.unwrap().unwrap();
    assert_eq!((handle.id(), handle.key()), ("s1", "k"));
    assert_eq!(handle.opened(), Opened::Created);
}

#[tokio::test]
async fn own_request_id_is_kept() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let request = pb::EndSessionRequest {
        r#ref: Some(session_id("s1")),
        request_id: "mine".to_owned(),
        ..Default::default()
    };
    let (answer, ()) = within(async {
        tokio::join!(client.end(request), async {
            let Call::End(call) = server.call().await else {
                panic!("expected an end");
            };
            assert_eq!(call.request.request_id, "mine");
            call.answer(pb::EndSessionResponse::default());
        })
    })
    .await;
    answer.unwrap();
}

#[tokio::test]
async fn enqueue_repeats_with_the_same_stand_in_for_its_keys() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let enqueue = tokio::spawn({
        let client = client.clone();
        let request = pb::EnqueueMessagesRequest {
            r#ref: Some(session_key("k")),
            messages: vec![NewMessage::new("observation").payload("{}").into()],
            ..Default::default()
        };
        async move { client.enqueue(request).await }
    });
    let Call::Enqueue(first) = server.call().await else {
        panic!("expected an enqueue");
    };
    let request = first.request.clone();
    first.refuse(refusal(Code::Unavailable, Reason::StoreUnavailable, None));
    let Call::Enqueue(second) = server.call().await else {
        panic!("expected an enqueue");
    };
    assert!(!request.request_id.is_empty());
    assert_eq!(request, second.request);
    second.answer(pb::EnqueueMessagesResponse::default());
    within(enqueue).await.unwrap().unwrap();
}

#[tokio::test]
async fn usage_is_not_added_twice() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let touch = pb::TouchSessionRequest {
        r#ref: Some(session_id("s1")),
        usage_delta: Some(pb::Usage {
            input_tokens: 1,
            output_tokens: 2,
        }),
    };
    let call = tokio::spawn({
        let (client, touch) = (client.clone(), touch.clone());
        async move { client.touch(touch).await }
    });
    let Call::Touch(first) = server.call().await else {
        panic!("expected a touch");
    };
    first.refuse(refusal(Code::ResourceExhausted, Reason::Overloaded, None));
    // Certainly refused: repeated. Then the outcome is unknown: not repeated.
    let Call::Touch(second) = server.call().await else {
        panic!("expected a touch");
    };
    second.refuse(refusal(Code::Unavailable, Reason::StoreUnavailable, None));
    let error = within(call).await.unwrap().unwrap_err();
    assert_eq!(error.reason(), Some(Reason::StoreUnavailable));
    // Had it been repeated, the next call would be another touch.
    let (stats, ()) = within(async {
        tokio::join!(client.stats(), async {
            match server.call().await {
                Call::Stats(call) => call.answer(pb::GetStatsResponse::default()),
                other => panic!("expected `GetStats`, got {other:?}"),
            }
        })
    })
    .await;
    stats.unwrap();
}

#[tokio::test]
async fn server_is_not_asked_again_before_the_time_it_named() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let asked = Duration::from_millis(300);
    let call = tokio::spawn(async move { client.server_info().await });
    let Call::ServerInfo(first) = server.call().await else {
        panic!("expected `GetServerInfo`");
    };
    let refused = Instant::now();
    let status = refusal(Code::ResourceExhausted, Reason::RateLimited, Some(asked));
    first.refuse(status);
    let Call::ServerInfo(second) = server.call().await else {
        panic!("expected `GetServerInfo`");
    };
    assert!(refused.elapsed() >= asked);
    second.answer(pb::GetServerInfoResponse::default());
    within(call).await.unwrap().unwrap();
}

#[tokio::test]
async fn refusal_that_time_does_not_cure_is_told_at_once() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let asked = Some(Duration::from_secs(3));
    let (answer, ()) = within(async {
        tokio::join!(client.session("k").open(), async {
            let Call::Open(call) = server.call().await else {
                panic!("expected an open");
            };
            let status = refusal(Code::ResourceExhausted, Reason::TooManySessions, asked);
            call.refuse(status);
        })
    })
    .await;
    let error = answer.unwrap_err();
    assert!(
        matches!(&error, Error::ResourceExhausted { retry_after, .. } if *retry_after == asked),
        "{error:?}"
    );
    assert_eq!(error.reason(), Some(Reason::TooManySessions));
    assert_eq!(error.code_name(), "RESOURCE_EXHAUSTED");
    assert_eq!(error.metadata()["fact"], "seven");
    assert_eq!(error.to_string(), "resource exhausted: told so");
}

#[tokio::test]
async fn an_explanation_is_told_as_it_came() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let told = pb::ExplainSessionResponse {
        stalls: vec![pb::Stall {
            reason: pb::StallReason::NoWorker.into(),
            messages: 3,
            until_time: None,
        }],
        ..pb::ExplainSessionResponse::default()
    };
    let (answer, ()) = within(async {
        tokio::join!(client.explain(session_key("k")), async {
            let Call::Explain(call) = server.call().await else {
                panic!("expected an explain");
            };
            assert_eq!(call.request.r#ref, Some(session_key("k")));
            call.answer(told.clone());
        })
    })
    .await;
    assert_eq!(answer.unwrap(), told);
}

#[tokio::test]
async fn a_sweep_is_asked_for_as_it_was_given() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let asked = pb::SweepRequest {
        validate_only: true,
        ..pb::SweepRequest::default()
    };
    let told = pb::SweepResponse {
        examined: 3,
        ..pb::SweepResponse::default()
    };
    let (answer, ()) = within(async {
        tokio::join!(client.sweep(asked.clone()), async {
            let Call::Sweep(call) = server.call().await else {
                panic!("expected a sweep");
            };
            assert_eq!(call.request, asked);
            call.answer(told.clone());
        })
    })
    .await;
    assert_eq!(answer.unwrap(), told);
}

#[tokio::test]
async fn every_violation_is_told() {
    let mut server = FakeServer::start().await;
    let client = server.client();
    let (answer, ()) = within(async {
        tokio::join!(client.get(session_key("")), async {
            let Call::Get(call) = server.call().await else {
                panic!("expected a get");
            };
            let mut details = ErrorDetails::new();
            details.set_error_info("FIELD_INVALID", "sessiond", []);
            details.add_bad_request_violation("ref.key", "must not be empty");
            details.add_bad_request_violation("ref", "must name a session");
            let status = Status::with_error_details(Code::InvalidArgument, "two fields", details);
            call.refuse(status);
        })
    })
    .await;
    let Err(Error::Invalid {
        violations,
        refusal,
    }) = answer
    else {
        panic!("expected `Invalid`, got {answer:?}");
    };
    let fields: Vec<&str> = violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["ref.key", "ref"]);
    assert_eq!(refusal.reason(), Some(Reason::FieldInvalid));
    let text = Error::Invalid {
        violations,
        refusal,
    }
    .to_string();
    assert_eq!(
        text,
        "invalid request: two fields: `ref.key` must not be empty; `ref` must name a session"
    );
}

#[tokio::test]
async fn silence_is_a_deadline() {
    let mut server = FakeServer::start().await;
    let client = server.client().with_deadline(Duration::from_millis(50));
    let (answer, call) = within(async { tokio::join!(client.stats(), server.call()) }).await;
    drop(call);
    let error = answer.unwrap_err();
    assert!(matches!(error, Error::Deadline(_)), "{error:?}");
    assert_eq!(error.code_name(), "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn a_call_that_waits_gets_the_time_it_asked_for() {
    let mut server = FakeServer::start().await;
    let client = server.client().with_deadline(Duration::from_millis(50));
    let request = pb::ClaimMessagesRequest {
        worker: "w".to_owned(),
        wait: Some(prost_types::Duration {
            seconds: 10,
            nanos: 0,
        }),
        ..Default::default()
    };
    let claim = tokio::spawn({
        let client = client.clone();
        async move { client.claim(request).await }
    });
    let Call::Claim(call) = server.call().await else {
        panic!("expected a claim");
    };
    // Longer than the deadline of a call that does not wait.
    let (waited, other) = within(async { tokio::join!(client.stats(), server.call()) }).await;
    drop(other);
    assert!(matches!(waited, Err(Error::Deadline(_))), "{waited:?}");
    call.answer(pb::ClaimMessagesResponse::default());
    within(claim).await.unwrap().unwrap();
}

#[tokio::test]
async fn nobody_there_is_unavailable_and_said_so() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = unused.local_addr().unwrap().to_string();
    drop(unused);
    let builder = Client::builder().addr(addr).retry(RetryPolicy::none());
    let error = within(builder.connect()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert!(error.is_connect());
    assert_eq!(error.code_name(), "UNAVAILABLE");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn nobody_there_is_tried_again_until_the_total_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let addr = format!("unix:{}", directory.path().join("none.sock").display());
    let retry = RetryPolicy::within(Duration::from_millis(100))
        .backoff(Duration::from_millis(5), Duration::from_millis(5));
    let client = Client::builder().addr(addr).retry(retry).build().unwrap();
    // A usage delta is safe to repeat as long as nobody was there to take it.
    let touch = pb::TouchSessionRequest {
        usage_delta: Some(pb::Usage::default()),
        ..Default::default()
    };
    let start = Instant::now();
    let error = within(client.touch(touch)).await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    // At least one wait fits into the total; without repeats there were none.
    assert!(start.elapsed() >= Duration::from_millis(50), "not repeated");
}
