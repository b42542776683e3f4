//! Dead letters brought back: into their own queue or another one, once, and as far as there is room.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::refusal::Refusal;
use sessiond_tests::requests::{
    ack, attempts, claim_within, end, id, key, message, nack, payloads, seqs,
};
use sessiond_tests::server::Server;
use tonic::Code;

/// Brings back all letters that a filter means.
pub(crate) fn all(filter: pb::DeadLetterFilter) -> pb::RequeueDeadLettersRequest {
    pb::RequeueDeadLettersRequest {
        filter: Some(filter),
        ..pb::RequeueDeadLettersRequest::default()
    }
}

pub(crate) fn everything() -> pb::RequeueDeadLettersRequest {
    all(pb::DeadLetterFilter::default())
}

pub(crate) fn named(letters: &[pb::DeadLetter]) -> pb::RequeueDeadLettersRequest {
    let letters = letters.iter().map(|letter| {
        let message = letter.message.as_ref().expect("a message");
        pb::DeadLetterRef {
            queue_id: message.queue_id,
            seq: message.seq,
        }
    });
    pb::RequeueDeadLettersRequest {
        letters: letters.collect(),
        ..pb::RequeueDeadLettersRequest::default()
    }
}

pub(crate) async fn requeued(
    caller: &Caller,
    request: pb::RequeueDeadLettersRequest,
) -> pb::RequeueDeadLettersResponse {
    caller.requeue(request).await.expect("requeued")
}

/// Gives up the messages with these seqs; the others are handed out and stay so.
async fn give_up(caller: &Caller, of: &str, which: &[u64]) {
    let out = caller.claimed(key(of), "w").await;
    for delivery in &out {
        let seq = delivery.message.as_ref().unwrap().seq;
        if which.contains(&seq) {
            let code = caller
                .code(nack(delivery, pb::NackKind::Permanent, None))
                .await;
            assert_eq!(code, pb::SettleCode::Ok);
        }
    }
}

pub(crate) async fn over(caller: &Caller, of: &str) {
    let request = end(key(of), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(request).await.expect("ended");
}

/// Enqueued, pending, dead-lettered.
pub(crate) async fn counts(caller: &Caller, session: Option<pb::SessionRef>) -> (u64, u64, u64) {
    let counts = caller.session(session).await.counts.unwrap();
    (counts.enqueued, counts.pending, counts.dead_lettered)
}

/// Proves: F49, G9.
#[tokio::test]
async fn letters_go_back_into_their_own_queue_with_their_seq_afresh_and_first() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one", "two", "three"]).await;
    give_up(&caller, "a", &[1, 2, 3]).await;
    caller.enqueued(key("a"), &["four"]).await;
    assert_eq!(counts(&caller, key("a")).await, (4, 1, 3));
    let letters = caller.dead_letters_of(None).await;
    let told = requeued(&caller, named(&letters[1..])).await;
    assert_eq!((told.requeued, told.duplicate), (2, false));
    assert_eq!(told.next_page_token, "");
    assert_eq!(counts(&caller, key("a")).await, (4, 3, 1));
    let out = caller.claimed(key("a"), "w").await;
    assert_eq!(payloads(&out), ["two", "three", "four"]);
    assert_eq!(seqs(&out), [2, 3, 4]);
    assert_eq!(attempts(&out), [1, 1, 1], "counted afresh");
    let again = requeued(&caller, named(&letters)).await;
    assert_eq!(
        (again.requeued, again.not_found),
        (1, 2),
        "those are none any more"
    );
}

#[tokio::test]
async fn letters_go_into_another_queue_under_new_seqs_with_all_they_carry() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("old").await;
    let sent = pb::Message {
        kind: "note".to_owned(),
        content_type: "text/plain".to_owned(),
        attributes: sessiond_tests::requests::labels(&[("a", "1")]),
        agent_id: "sub".to_owned(),
        agent_type: "helper".to_owned(),
        prompt_number: Some(7),
        trace_parent: "00-1-2-3".to_owned(),
        idempotency_key: "tool-1".to_owned(),
        ..message("two")
    };
    caller.sent(key("old"), vec![message("one"), sent]).await;
    let listed = caller.messages_of(key("old")).await.remove(1);
    over(&caller, "old").await;
    caller.opened("new").await;
    caller.enqueued(key("new"), &["first"]).await;
    let into_new = pb::RequeueDeadLettersRequest {
        into: key("new"),
        ..everything()
    };
    let told = requeued(&caller, into_new).await;
    assert_eq!(told.requeued, 2);
    assert_eq!(caller.dead_letters_of(None).await, []);
    let gone = caller.session(key("old")).await;
    assert_eq!(gone.counts.unwrap().dead_lettered, 0);
    assert_eq!(counts(&caller, key("new")).await, (3, 3, 0));
    let out = caller.claimed(key("new"), "w").await;
    assert_eq!(payloads(&out), ["first", "one", "two"], "appended in order");
    assert_eq!(seqs(&out), [1, 2, 3]);
    let moved = out[2].message.clone().unwrap();
    let expected = pb::Message {
        session_id: moved.session_id.clone(),
        queue_id: moved.queue_id,
        seq: 3,
        payload: moved.payload.clone(),
        occurred_time: listed.enqueue_time,
        enqueue_time: moved.enqueue_time,
        attempt: 1,
        status: None,
        ..listed
    };
    assert_eq!(
        moved, expected,
        "what it reports happened when it first came"
    );
    let again = pb::EnqueueMessagesRequest {
        r#ref: key("new"),
        messages: vec![pb::Message {
            idempotency_key: "tool-1".to_owned(),
            ..message("two")
        }],
        ..pb::EnqueueMessagesRequest::default()
    };
    let result = caller.enqueue(again).await.expect("enqueued").results[0];
    assert_eq!(
        (result.status(), result.seq),
        (pb::EnqueueStatus::Duplicate, 3)
    );
}

#[tokio::test]
async fn a_letter_whose_name_the_other_queue_remembers_stays() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let keyed = |of: &str| pb::EnqueueMessagesRequest {
        r#ref: key(of),
        messages: vec![pb::Message {
            idempotency_key: "tool-1".to_owned(),
            ..message("m")
        }],
        ..pb::EnqueueMessagesRequest::default()
    };
    caller.opened("old").await;
    caller.enqueue(keyed("old")).await.expect("enqueued");
    over(&caller, "old").await;
    caller.opened("new").await;
    caller.enqueue(keyed("new")).await.expect("enqueued");
    let request = pb::RequeueDeadLettersRequest {
        into: key("new"),
        ..everything()
    };
    let told = requeued(&caller, request).await;
    assert_eq!((told.requeued, told.duplicates), (0, 1));
    assert_eq!(caller.dead_letters_of(None).await.len(), 1);
}

#[tokio::test]
async fn letters_of_ended_sessions_need_a_live_one_named() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let old = caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    over(&caller, "a").await;
    caller.opened("b").await;
    caller.enqueued(key("b"), &["b1"]).await;
    give_up(&caller, "b", &[1]).await;
    let told = requeued(&caller, everything()).await;
    assert_eq!((told.requeued, told.without_session), (1, 1));
    let into = |session| pb::RequeueDeadLettersRequest {
        into: session,
        ..everything()
    };
    let refused = async |session| caller.requeue(into(session)).await.expect_err("refused");
    refused(id(&old.session_id))
        .await
        .is(Code::FailedPrecondition, Reason::SessionEnded);
    refused(key("a"))
        .await
        .is(Code::NotFound, Reason::SessionNotFound);
    refused(key("nobody"))
        .await
        .is(Code::NotFound, Reason::SessionNotFound);
    let next = caller.opened("a").await;
    assert_ne!(next.queue_id, old.queue_id);
    let told = requeued(&caller, into(key("a"))).await;
    assert_eq!(told.requeued, 1);
    assert_eq!(payloads(&caller.claimed(key("a"), "w").await), ["one"]);
}

#[tokio::test]
async fn what_a_worker_still_holds_stays_until_it_is_given_up() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("old").await;
    caller.enqueued(key("old"), &["one"]).await;
    let out = caller.claimed(key("old"), "w").await;
    over(&caller, "old").await;
    caller.opened("new").await;
    let request = || pb::RequeueDeadLettersRequest {
        into: key("new"),
        ..everything()
    };
    let told = requeued(&caller, request()).await;
    assert_eq!((told.requeued, told.in_flight), (0, 1));
    assert_eq!(caller.code(ack(&out[0])).await, pb::SettleCode::Ok);
    let told = requeued(&caller, request()).await;
    assert_eq!((told.requeued, told.in_flight), (0, 0), "it is done");
}

/// Proves: F49, G8.
#[tokio::test]
async fn a_worker_that_waits_is_woken_and_a_late_ack_of_the_old_hand_out_is_stale() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    let old = caller.claimed(key("a"), "w").await;
    caller
        .code(nack(&old[0], pb::NackKind::Permanent, None))
        .await;
    let waits = claim_within(key("a"), "w", 20_000);
    let waiting = {
        let caller = caller.clone();
        tokio::spawn(async move { caller.claim(waits).await.expect("claimed").deliveries })
    };
    requeued(&caller, everything()).await;
    let out = waiting.await.expect("a claim");
    assert_eq!(payloads(&out), ["one"]);
    assert_eq!(
        caller.code(ack(&old[0])).await,
        pb::SettleCode::StaleDelivery
    );
    assert_eq!(caller.code(ack(&out[0])).await, pb::SettleCode::Ok);
}

#[tokio::test]
async fn a_dry_run_tells_what_would_be_done_and_changes_nothing() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("old").await;
    caller.enqueued(key("old"), &["one", "two"]).await;
    over(&caller, "old").await;
    caller.opened("new").await;
    let before = caller.dead_letters_of(None).await;
    let dry = || pb::RequeueDeadLettersRequest {
        into: key("new"),
        validate_only: true,
        request_id: "r1".to_owned(),
        ..everything()
    };
    for _ in 0..2 {
        let told = requeued(&caller, dry()).await;
        assert_eq!(
            (told.requeued, told.duplicate),
            (2, false),
            "no record is kept"
        );
    }
    assert_eq!(caller.dead_letters_of(None).await, before);
    assert_eq!(counts(&caller, key("new")).await, (0, 0, 0));
    let real = pb::RequeueDeadLettersRequest {
        validate_only: false,
        ..dry()
    };
    assert_eq!(requeued(&caller, real).await.requeued, 2);
}

#[tokio::test]
async fn a_repeat_under_the_same_id_is_answered_as_the_first_call_was_after_a_kill_too() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one", "two", "three"]).await;
    give_up(&caller, "a", &[1, 2, 3]).await;
    let request = || pb::RequeueDeadLettersRequest {
        request_id: "r1".to_owned(),
        page_size: 2,
        ..everything()
    };
    let first = requeued(&caller, request()).await;
    assert_eq!(first.requeued, 2);
    assert_ne!(first.next_page_token, "");
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    give_up(&caller, "a", &[1, 2]).await;
    let again = requeued(&caller, request()).await;
    let expected = pb::RequeueDeadLettersResponse {
        duplicate: true,
        revision: again.revision,
        ..first
    };
    assert_eq!(again, expected, "the page after it too");
    assert_eq!(
        caller.dead_letters_of(None).await.len(),
        3,
        "none was brought back"
    );
    let other = pb::RequeueDeadLettersRequest {
        page_size: 1,
        ..request()
    };
    let refusal: Refusal = caller.requeue(other).await.expect_err("refused");
    refusal.is(Code::InvalidArgument, Reason::RequestIdReused);
}
