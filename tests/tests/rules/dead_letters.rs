//! Dead letters: given up one by one or left by an end, listed for a session and for a namespace.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::DeadLetterReason as Why;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{
    ack, claim, claim_within, dead_letters, end, id, key, message, nack, payloads,
};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;
use tonic::Code;

/// Opens a key and gives up the first of its messages.
async fn with_letter(caller: &Caller, of: &str, messages: &[&str]) -> pb::Session {
    let session = caller.opened(of).await;
    caller.enqueued(key(of), messages).await;
    let one = pb::ClaimMessagesRequest {
        max_messages: Some(1),
        ..claim(key(of), "w")
    };
    let out = caller.claim(one).await.expect("claimed").deliveries;
    let code = caller
        .code(nack(&out[0], pb::NackKind::Permanent, None))
        .await;
    assert_eq!(code, pb::SettleCode::Ok);
    session
}

async fn over(caller: &Caller, of: &str) {
    let request = end(key(of), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(request).await.expect("ended");
}

/// Where letters lie and why.
fn places(letters: &[pb::DeadLetter]) -> Vec<(String, u64, Why)> {
    let place = |letter: &pb::DeadLetter| {
        let seq = letter.message.as_ref().expect("a message").seq;
        (letter.key.clone(), seq, letter.reason())
    };
    letters.iter().map(place).collect()
}

fn at(key: &str, seq: u64, why: Why) -> (String, u64, Why) {
    (key.to_owned(), seq, why)
}

/// Proves: F49, F50, G9.
#[tokio::test]
async fn letters_are_listed_whether_given_up_one_by_one_or_left_by_an_end() {
    let server = Server::start_with(&["--namespaces", "other"]);
    let caller = Caller::to(&server).await;
    let a = with_letter(&caller, "a", &["a1", "a2"]).await;
    let b = with_letter(&caller, "b", &["b1", "b2", "b3"]).await;
    caller.opened("quiet").await;
    caller.enqueued(key("quiet"), &["q1"]).await;
    with_letter(&caller.in_namespace("other"), "elsewhere", &["e1"]).await;
    over(&caller, "b").await;
    let all = caller.dead_letters_of(None).await;
    let expected = [
        at("a", 1, Why::Permanent),
        at("b", 1, Why::Permanent),
        at("b", 2, Why::SessionEnded),
        at("b", 3, Why::SessionEnded),
    ];
    assert_eq!(places(&all), expected);
    assert_eq!(
        places(&caller.dead_letters_of(key("a")).await),
        expected[..1]
    );
    let of_b = caller.dead_letters_of(id(&b.session_id)).await;
    assert_eq!(places(&of_b), expected[1..], "an ended session by its id");
    assert_eq!(caller.dead_letters_of(key("quiet")).await, []);
    let first = &all[0];
    assert_eq!(
        (first.attempts, first.last_error.as_str()),
        (1, "it failed")
    );
    assert_eq!(first.session_id, a.session_id);
    assert_eq!(first.session_state(), pb::SessionState::Active);
    assert_eq!(all[1].session_state(), pb::SessionState::Ended);
    assert_eq!((all[2].attempts, all[2].last_error.as_str()), (0, ""));
    assert!(
        all.iter()
            .all(|letter| letter.dead_letter_time.is_some() && !letter.in_flight)
    );
    let message = first.message.as_ref().unwrap();
    assert_eq!(message.queue_id, a.queue_id);
    assert!(message.status.is_none() && message.payload.is_empty());
    let unknown = dead_letters(key("nobody"));
    let refusal = caller
        .list_dead_letters(unknown)
        .await
        .expect_err("refused");
    refusal.is(Code::NotFound, Reason::SessionNotFound);
}

#[tokio::test]
async fn filters_choose_letters_by_kind_reason_and_time() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let kinds = ["note", "sum", "note", "sum"];
    let messages = kinds.iter().map(|kind| pb::Message {
        kind: (*kind).to_owned(),
        ..message(kind)
    });
    caller.sent(key("a"), messages).await;
    let out = caller.claimed(key("a"), "w").await;
    caller
        .code(nack(&out[0], pb::NackKind::Permanent, None))
        .await;
    caller.a_millisecond_later().await;
    caller
        .code(nack(&out[1], pb::NackKind::Permanent, None))
        .await;
    caller.a_millisecond_later().await;
    over(&caller, "a").await;
    let all = caller.dead_letters_of(None).await;
    assert_eq!(all.len(), 4);
    let listed = async |filter: pb::DeadLetterFilter| {
        let request = pb::ListDeadLettersRequest {
            filter: Some(filter),
            ..pb::ListDeadLettersRequest::default()
        };
        let answer = caller.list_dead_letters(request).await.expect("listed");
        let seqs = answer.dead_letters.into_iter();
        seqs.map(|letter| letter.message.unwrap().seq)
            .collect::<Vec<u64>>()
    };
    let none = pb::DeadLetterFilter::default;
    let of_kind = pb::DeadLetterFilter {
        kinds: vec!["note".to_owned()],
        ..none()
    };
    assert_eq!(listed(of_kind.clone()).await, [1, 3]);
    let of_reason = pb::DeadLetterFilter {
        reasons: vec![Why::SessionEnded.into()],
        ..none()
    };
    assert_eq!(listed(of_reason.clone()).await, [3, 4]);
    let both = pb::DeadLetterFilter {
        kinds: of_kind.kinds,
        ..of_reason
    };
    assert_eq!(listed(both).await, [3]);
    let second = all[1].dead_letter_time;
    let since = pb::DeadLetterFilter {
        since_time: second,
        ..none()
    };
    assert_eq!(listed(since).await, [2, 3, 4], "at that time or later");
    let until = pb::DeadLetterFilter {
        until_time: second,
        ..none()
    };
    assert_eq!(listed(until).await, [1], "before that time");
}

#[tokio::test]
async fn pages_cover_every_letter_once_over_many_queues() {
    const QUEUES: usize = 90;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut expected = Vec::new();
    for number in 0..QUEUES {
        let name = format!("k{number}");
        // Some queues have no letter, one has more than a page.
        match number % 3 {
            0 => {
                with_letter(&caller, &name, &["1", "2"]).await;
                expected.push((name, 1));
            }
            1 => {
                caller.opened(&name).await;
                let count = if number == 1 { 200 } else { 2 };
                caller.enqueued(key(&name), &vec!["m"; count]).await;
                over(&caller, &name).await;
                expected.extend((1..=count as u64).map(|seq| (name.clone(), seq)));
            }
            _ => {
                caller.opened(&name).await;
                caller.enqueued(key(&name), &["alive"]).await;
            }
        }
    }
    for page_size in [1_000, 64, 7] {
        let mut listed = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListDeadLettersRequest {
                page_size,
                page_token,
                ..pb::ListDeadLettersRequest::default()
            };
            let page = caller.list_dead_letters(request).await.expect("a page");
            assert!(page.dead_letters.len() <= page_size as usize);
            let places = places(&page.dead_letters).into_iter();
            listed.extend(places.map(|(key, seq, _)| (key, seq)));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(listed, expected, "pages of {page_size}");
    }
}

#[tokio::test]
async fn a_token_goes_with_its_filter() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    with_letter(&caller, "a", &["1"]).await;
    with_letter(&caller, "b", &["1"]).await;
    let one = |session, page_token: &str| pb::ListDeadLettersRequest {
        page_size: 1,
        page_token: page_token.to_owned(),
        ..dead_letters(session)
    };
    let page = caller
        .list_dead_letters(one(None, ""))
        .await
        .expect("listed");
    let token = page.next_page_token;
    let rest = caller.list_dead_letters(one(None, &token)).await;
    let rest = rest.expect("listed").dead_letters;
    assert_eq!(places(&rest), [at("b", 1, Why::Permanent)]);
    let other = caller.list_dead_letters(one(key("a"), &token)).await;
    let refusal = other.expect_err("another list");
    let refusal = refusal.is(Code::InvalidArgument, Reason::FieldInvalid);
    assert_eq!(refusal.fields, ["page_token"]);
}

/// Proves: F53.
#[tokio::test]
async fn a_letter_that_a_worker_still_holds_is_marked_and_its_ack_removes_it() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one", "two"]).await;
    let one = pb::ClaimMessagesRequest {
        max_messages: Some(1),
        ..claim(key("a"), "w")
    };
    let out = caller.claim(one).await.expect("claimed").deliveries;
    over(&caller, "a").await;
    let held: Vec<bool> = caller
        .dead_letters_of(None)
        .await
        .iter()
        .map(|l| l.in_flight)
        .collect();
    assert_eq!(held, [true, false]);
    let counts = caller.session(key("a")).await.counts.unwrap();
    assert_eq!(
        (counts.pending, counts.in_flight),
        (0, 0),
        "nothing is to be done"
    );
    assert_eq!(counts.dead_lettered, 2);
    assert_eq!(caller.code(ack(&out[0])).await, pb::SettleCode::Ok);
    let left = caller.dead_letters_of(None).await;
    assert_eq!(places(&left), [at("a", 2, Why::SessionEnded)]);
}

#[tokio::test]
async fn letters_in_a_queue_that_a_successor_took_are_the_successors() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let old = with_letter(&caller, "a", &["one", "two"]).await;
    let reaped = end(key("a"), pb::EndReason::Idle, pb::EndMode::Immediate);
    caller.end(reaped).await.expect("ended");
    let held = caller.dead_letters_of(None).await;
    assert_eq!(
        places(&held),
        [at("a", 1, Why::Permanent)],
        "held is not dead"
    );
    assert_eq!(held[0].session_id, old.session_id);
    let new = caller.opened("a").await;
    let listed = caller.dead_letters_of(key("a")).await;
    assert_eq!(places(&listed), [at("a", 1, Why::Permanent)]);
    assert_eq!(listed[0].session_id, new.session_id);
    assert_eq!(caller.dead_letters_of(id(&old.session_id)).await, []);
}

#[tokio::test]
async fn letters_their_times_and_payloads_survive_a_kill() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    with_letter(&caller, "a", &["a1", "a2"]).await;
    over(&caller, "a").await;
    let loaded = || pb::ListDeadLettersRequest {
        include_payload: true,
        ..dead_letters(None)
    };
    let before = caller.list_dead_letters(loaded()).await.expect("listed");
    let texts: Vec<&[u8]> = before
        .dead_letters
        .iter()
        .map(|letter| &letter.message.as_ref().unwrap().payload[..])
        .collect();
    let expected: [&[u8]; 2] = [b"a1", b"a2"];
    assert_eq!(texts, expected);
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    let after = caller.list_dead_letters(loaded()).await.expect("listed");
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_message_is_given_up_after_as_many_attempts_as_allowed() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    let waits = || claim_within(key("a"), "w", 20_000);
    for _ in 0..3 {
        let out = caller.claim(waits()).await.expect("claimed").deliveries;
        assert_eq!(payloads(&out), ["one"]);
        caller
            .code(nack(&out[0], pb::NackKind::Retry, Some(1)))
            .await;
    }
    let letters = caller.dead_letters_of(key("a")).await;
    assert_eq!(places(&letters), [at("a", 1, Why::MaxAttempts)]);
    assert_eq!(letters[0].attempts, 3);
}

/// Proves: F54.
#[tokio::test]
async fn the_oldest_pending_time_is_kept_through_failures_and_told_by_events_too() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one"]).await;
    let first = caller.session(key("a")).await.oldest_pending_time;
    assert!(first.is_some());
    caller.a_millisecond_later().await;
    caller.enqueued(key("a"), &["two"]).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let out = caller.claimed(key("a"), "w").await;
    let attached = watch.batch().await.events.remove(0);
    assert_eq!(attached.session.unwrap().oldest_pending_time, first);
    caller
        .code(nack(&out[0], pb::NackKind::Retry, Some(60_000)))
        .await;
    let paused = caller.session(key("a")).await.oldest_pending_time;
    assert_eq!(paused, first, "a failure moves nothing");
    caller
        .code(nack(&out[1], pb::NackKind::Permanent, None))
        .await;
    let dead = watch.batch().await.events.remove(0);
    assert_eq!(dead.r#type(), pb::EventType::MessageDeadLettered);
    assert_eq!(dead.session.unwrap().oldest_pending_time, first);
    let late = caller.code(ack(&out[0])).await;
    assert_eq!(
        late,
        pb::SettleCode::StaleDelivery,
        "its nack was the last word"
    );
    let discard = pb::DiscardMessagesRequest {
        r#ref: key("a"),
        seqs: vec![1],
        ..pb::DiscardMessagesRequest::default()
    };
    caller.discard(discard).await.expect("discarded");
    let done = caller.session(key("a")).await.oldest_pending_time;
    assert_eq!(done, None, "nothing is left of the batch");
}
