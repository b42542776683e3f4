//! The handle of a session: which session it means, how it is kept, and its reset.

use std::time::Duration;

use sessiond_client::session_id;
use sessiond_client::{NewMessage, Opened, Reason, pb};
use tonic::Code;

use crate::fake_server::{Call, FakeServer, refusal, session, within};

#[tokio::test]
async fn handle_uses_the_session_it_opened_and_no_other() {
    let mut server = FakeServer::start().await;
    let handle = server.opened().await;
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
    let handle = server.existing().await;
    let keep = handle.keep_alive(Duration::from_millis(1));
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
async fn breakers_are_reset_one_by_one() {
    use pb::reset_circuit_request::Target;
    let mut server = FakeServer::start().await;
    let handle = server.existing().await;
    let answered = async |server: &mut FakeServer, target: Target| {
        let Call::ResetCircuit(call) = server.call().await else {
            panic!("expected a reset of a breaker");
        };
        assert_eq!(call.request.r#ref, Some(session_id("s1")));
        assert_eq!(call.request.target, Some(target));
        call.answer(pb::ResetCircuitResponse {
            session: session("s1"),
            ..Default::default()
        });
    };
    let guard = answered(&mut server, Target::RestartGuard(true));
    let (reset, ()) = within(async { tokio::join!(handle.reset_restart_guard(), guard) }).await;
    assert_eq!(reset.unwrap().session_id, "s1");
    let kind = answered(&mut server, Target::Kind("summarize".to_owned()));
    let (reset, ()) = within(async { tokio::join!(handle.reset_circuit("summarize"), kind) }).await;
    assert_eq!(reset.unwrap().session_id, "s1");
}

#[tokio::test]
async fn a_reset_is_asked_for_as_it_is_built_and_answers_with_the_successor() {
    let mut server = FakeServer::start().await;
    let handle = server.opened().await;
    let reset = handle
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
