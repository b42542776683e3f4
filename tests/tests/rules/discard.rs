//! Messages thrown away: by number or by what they are, pending ones and dead letters, never what is in flight.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::MessageState::{DeadLettered, Pending};
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, claim, end, id, key, message, nack, payloads};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;
use tonic::Code;

fn named(session: Option<pb::SessionRef>, seqs: &[u64]) -> pb::DiscardMessagesRequest {
    pb::DiscardMessagesRequest {
        r#ref: session,
        seqs: seqs.to_vec(),
        ..pb::DiscardMessagesRequest::default()
    }
}

fn matching(kinds: &[&str], states: &[pb::MessageState]) -> pb::DiscardMessagesRequest {
    pb::DiscardMessagesRequest {
        r#ref: key("a"),
        filter: Some(pb::MessageFilter {
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            states: states.iter().map(|state| i32::from(*state)).collect(),
        }),
        ..pb::DiscardMessagesRequest::default()
    }
}

async fn discarded(
    caller: &Caller,
    request: pb::DiscardMessagesRequest,
) -> pb::DiscardMessagesResponse {
    caller.discard(request).await.expect("discarded")
}

async fn left(caller: &Caller, session: Option<pb::SessionRef>) -> Vec<u64> {
    let messages = caller.messages_of(session).await;
    messages.iter().map(|message| message.seq).collect()
}

/// Claims so many messages of `a`.
async fn out(caller: &Caller, max: u32) -> Vec<pb::Delivery> {
    let some = pb::ClaimMessagesRequest {
        max_messages: Some(max),
        ..claim(key("a"), "w")
    };
    caller.claim(some).await.expect("claimed").deliveries
}

/// A dead letter, one in flight and two pending, alternately of kind `note` and `sum`.
async fn mixed(caller: &Caller) -> Vec<pb::Delivery> {
    caller.opened("a").await;
    let kinds = ["note", "sum", "note", "sum"];
    let messages = kinds.iter().map(|kind| pb::Message {
        kind: (*kind).to_owned(),
        ..message(kind)
    });
    caller.sent(key("a"), messages).await;
    let out = out(caller, 2).await;
    let code = caller
        .code(nack(&out[0], pb::NackKind::Permanent, None))
        .await;
    assert_eq!(code, pb::SettleCode::Ok);
    out
}

/// Proves: F49, F52.
#[tokio::test]
async fn messages_are_discarded_by_number_and_counted() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let out = mixed(&caller).await;
    let told = discarded(&caller, named(key("a"), &[1, 2, 3, 9])).await;
    assert_eq!((told.discarded, told.in_flight, told.not_found), (2, 1, 1));
    assert_eq!(left(&caller, key("a")).await, [2, 4]);
    let counts = caller.session(key("a")).await.counts.unwrap();
    assert_eq!((counts.discarded, counts.dead_lettered), (2, 0));
    assert_eq!((counts.pending, counts.in_flight), (1, 1));
    assert_eq!(
        caller.code(ack(&out[1])).await,
        pb::SettleCode::Ok,
        "its answer decides"
    );
    let gone = pb::Settlement {
        seq: 3,
        ..ack(&out[1])
    };
    assert_eq!(caller.code(gone).await, pb::SettleCode::AlreadySettled);
    let again = discarded(&caller, named(key("a"), &[1, 2, 3])).await;
    assert_eq!(
        (again.discarded, again.not_found),
        (0, 3),
        "a repeat is harmless"
    );
    let stats = caller.stats(pb::GetStatsRequest {}).await.expect("stats");
    let stats = stats.messages.unwrap();
    assert_eq!((stats.pending, stats.dead_lettered), (1, 0));
}

#[tokio::test]
async fn messages_are_discarded_by_what_they_are() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    mixed(&caller).await;
    let dry = pb::DiscardMessagesRequest {
        validate_only: true,
        ..matching(&[], &[])
    };
    let told = discarded(&caller, dry).await;
    assert_eq!((told.discarded, told.in_flight), (3, 1));
    assert_eq!(
        left(&caller, key("a")).await,
        [1, 2, 3, 4],
        "nothing is gone"
    );
    let told = discarded(&caller, matching(&["sum"], &[Pending])).await;
    assert_eq!((told.discarded, told.in_flight), (1, 0));
    assert_eq!(left(&caller, key("a")).await, [1, 2, 3]);
    let told = discarded(&caller, matching(&["note"], &[DeadLettered])).await;
    assert_eq!(told.discarded, 1);
    let told = discarded(&caller, matching(&[], &[])).await;
    assert_eq!((told.discarded, told.in_flight), (1, 1));
    assert_eq!(left(&caller, key("a")).await, [2]);
}

#[tokio::test]
async fn what_waited_behind_a_discarded_message_goes_out() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one", "two"]).await;
    let first = out(&caller, 1).await;
    let paused = nack(&first[0], pb::NackKind::Retry, Some(3_600_000));
    caller.code(paused).await;
    assert_eq!(out(&caller, 8).await, [], "two waits behind one");
    assert_eq!(discarded(&caller, named(key("a"), &[1])).await.discarded, 1);
    assert_eq!(payloads(&out(&caller, 8).await), ["two"]);
}

#[tokio::test]
async fn a_draining_session_ends_when_its_last_message_is_discarded() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["one"]).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let drains = end(
        key("a"),
        pb::EndReason::Completed,
        pb::EndMode::AfterPending,
    );
    let told = caller.end(drains).await.expect("ended").session.unwrap();
    assert_eq!(told.state(), pb::SessionState::Draining);
    assert_eq!(
        discarded(&caller, named(id(&session), &[1]))
            .await
            .discarded,
        1
    );
    let over = watch.event(pb::EventType::SessionEnd, &session).await;
    let end = over.end.unwrap();
    assert_eq!(end.counts.unwrap().discarded, 1);
    assert_eq!(end.pending_kept, 0);
}

#[tokio::test]
async fn letters_of_an_ended_session_are_discarded_and_survive_no_kill() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    let old = caller.opened("a").await;
    caller.enqueued(key("a"), &["one", "two"]).await;
    let over = end(key("a"), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(over).await.expect("ended");
    let request = || pb::DiscardMessagesRequest {
        request_id: "r1".to_owned(),
        ..named(key("a"), &[1])
    };
    let first = discarded(&caller, request()).await;
    assert_eq!((first.discarded, first.duplicate), (1, false));
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    let again = discarded(&caller, request()).await;
    assert_eq!(
        (again.discarded, again.duplicate),
        (1, true),
        "as it was answered"
    );
    assert_eq!(left(&caller, id(&old.session_id)).await, [2]);
    let counts = caller.session(id(&old.session_id)).await.counts.unwrap();
    assert_eq!((counts.discarded, counts.dead_lettered), (1, 1));
    let other = pb::DiscardMessagesRequest {
        seqs: vec![2],
        ..request()
    };
    let refusal = caller.discard(other).await.expect_err("refused");
    refusal.is(Code::InvalidArgument, Reason::RequestIdReused);
}

#[tokio::test]
async fn a_queue_that_a_successor_took_is_the_successors() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let old = caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    let reaped = end(key("a"), pb::EndReason::Idle, pb::EndMode::Immediate);
    caller.end(reaped).await.expect("ended");
    caller.opened("a").await;
    let told = discarded(&caller, named(id(&old.session_id), &[1])).await;
    assert_eq!((told.discarded, told.not_found), (0, 1));
    assert_eq!(discarded(&caller, named(key("a"), &[1])).await.discarded, 1);
    let unknown = caller.discard(named(key("nobody"), &[1])).await;
    let refusal = unknown.expect_err("refused");
    refusal.is(Code::NotFound, Reason::SessionNotFound);
}

#[tokio::test]
async fn pages_discard_every_message_that_was_there_once() {
    const MESSAGES: usize = 600;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    for _ in 0..MESSAGES / 200 {
        caller.enqueued(key("a"), &["m"; 200]).await;
    }
    let (mut told, mut pages, mut page_token) = (0, 0, String::new());
    loop {
        let request = pb::DiscardMessagesRequest {
            page_token,
            ..matching(&[], &[])
        };
        let page = discarded(&caller, request).await;
        assert!(page.discarded <= 256, "{page:?}");
        (told, pages) = (told + page.discarded, pages + 1);
        if pages == 1 {
            caller.enqueued(key("a"), &["late"]).await;
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!((told, pages), (MESSAGES as u64, 3));
    let late = MESSAGES as u64 + 1;
    assert_eq!(
        left(&caller, key("a")).await,
        [late],
        "it came while the call went on"
    );
}
