//! Lists of messages: what is unsettled and what was given up, by seq, with where each stands.

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::MessageState::{DeadLettered, InFlight, Pending};
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, claim, key, message, nack};
use sessiond_tests::server::Server;

fn of(filter: pb::MessageFilter) -> pb::ListMessagesRequest {
    pb::ListMessagesRequest {
        r#ref: key("a"),
        filter: Some(filter),
        ..pb::ListMessagesRequest::default()
    }
}

fn seqs(messages: &[pb::Message]) -> Vec<u64> {
    messages.iter().map(|message| message.seq).collect()
}

/// A session with a dead letter, a settled message, one in flight and two pending.
async fn mixed(caller: &Caller) -> pb::Lease {
    caller.opened("a").await;
    let kinds = [
        "observation",
        "summarize",
        "observation",
        "summarize",
        "observation",
    ];
    let messages = kinds.iter().enumerate().map(|(at, kind)| pb::Message {
        kind: (*kind).to_owned(),
        ..message(&format!("m{}", at + 1))
    });
    caller.sent(key("a"), messages).await;
    let three = pb::ClaimMessagesRequest {
        max_messages: Some(3),
        ..claim(key("a"), "w")
    };
    let answer = caller.claim(three).await.expect("claimed");
    let out = answer.deliveries;
    let codes = caller
        .settled(vec![
            nack(&out[0], pb::NackKind::Permanent, None),
            ack(&out[1]),
        ])
        .await;
    assert!(
        codes
            .iter()
            .all(|result| result.code() == pb::SettleCode::Ok)
    );
    answer.lease.unwrap()
}

#[tokio::test]
async fn each_message_is_listed_with_where_it_stands() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let lease = mixed(&caller).await;
    let listed = caller.messages_of(key("a")).await;
    assert_eq!(seqs(&listed), [1, 3, 4, 5], "a settled one is gone");
    let states: Vec<pb::MessageState> = listed
        .iter()
        .map(|message| message.status.as_ref().unwrap().state())
        .collect();
    assert_eq!(states, [DeadLettered, InFlight, Pending, Pending]);
    let out = listed[1].status.as_ref().unwrap();
    assert_eq!((out.worker.as_str(), out.instance_id.as_str()), ("w", "w"));
    assert_eq!((out.epoch, out.delivery_id), (lease.epoch, 3));
    assert!((out.deadline.unwrap().seconds - lease.expire_time.unwrap().seconds).abs() <= 1);
    let pending = listed[2].status.as_ref().unwrap();
    assert_eq!(
        (pending.delivery_id, pending.worker.as_str(), pending.epoch),
        (0, "", 0)
    );
    assert!(pending.due_time.is_none() && pending.deadline.is_none());
    assert_eq!((listed[2].attempt, listed[1].attempt), (0, 1));
    assert!(
        listed.iter().all(|message| message.payload.is_empty()),
        "not asked for"
    );
}

#[tokio::test]
async fn payloads_are_shown_when_they_are_asked_for() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    mixed(&caller).await;
    let request = pb::ListMessagesRequest {
        include_payload: true,
        ..of(pb::MessageFilter::default())
    };
    let listed = caller
        .list_messages(request)
        .await
        .expect("listed")
        .messages;
    let texts: Vec<&[u8]> = listed.iter().map(|message| &message.payload[..]).collect();
    let expected: [&[u8]; 4] = [b"m1", b"m3", b"m4", b"m5"];
    assert_eq!(texts, expected, "dead letters too");
}

#[tokio::test]
async fn filters_choose_by_kind_and_state() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    mixed(&caller).await;
    let listed = async |kinds: &[&str], states: &[pb::MessageState]| {
        let filter = pb::MessageFilter {
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            states: states.iter().map(|state| i32::from(*state)).collect(),
        };
        seqs(
            &caller
                .list_messages(of(filter))
                .await
                .expect("listed")
                .messages,
        )
    };
    assert_eq!(listed(&[], &[]).await, [1, 3, 4, 5]);
    assert_eq!(listed(&["summarize"], &[]).await, [4]);
    assert_eq!(listed(&[], &[DeadLettered]).await, [1]);
    assert_eq!(listed(&[], &[InFlight, Pending]).await, [3, 4, 5]);
    assert_eq!(listed(&["observation"], &[Pending]).await, [5]);
    assert_eq!(listed(&["observation", "other"], &[InFlight]).await, [3]);
    assert_eq!(listed(&["other"], &[]).await, [0; 0]);
}

#[tokio::test]
async fn pages_cover_every_message_once_and_dead_letters_in_their_place() {
    const MESSAGES: usize = 600;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    for _ in 0..MESSAGES / 200 {
        caller.enqueued(key("a"), &["m"; 200]).await;
    }
    let out = caller.claimed(key("a"), "w").await;
    let dead: Vec<pb::Settlement> = out
        .iter()
        .step_by(2)
        .map(|delivery| nack(delivery, pb::NackKind::Permanent, None))
        .collect();
    caller.settled(dead).await;
    for page_size in [1_000, 250, 37] {
        let mut listed = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListMessagesRequest {
                page_size,
                page_token,
                ..of(pb::MessageFilter::default())
            };
            let page = caller.list_messages(request).await.expect("a page");
            assert!(page.messages.len() <= page_size as usize);
            listed.extend(seqs(&page.messages));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(
            listed,
            (1..=MESSAGES as u64).collect::<Vec<u64>>(),
            "pages of {page_size}"
        );
    }
}

#[tokio::test]
async fn a_page_with_payloads_ends_early_instead_of_growing_without_bound() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    for _ in 0..6 {
        let large = pb::Message {
            payload: vec![b'x'; 5 * 1_024 * 1_024].into(),
            ..message("")
        };
        caller.sent(key("a"), vec![large]).await;
    }
    let mut listed = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListMessagesRequest {
            page_token,
            include_payload: true,
            ..of(pb::MessageFilter::default())
        };
        let page = caller.list_messages(request).await.expect("a page");
        let bytes: usize = page
            .messages
            .iter()
            .map(|message| message.payload.len())
            .sum();
        assert!(bytes <= 16 * 1_024 * 1_024, "{bytes}");
        listed.extend(seqs(&page.messages));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, [1, 2, 3, 4, 5, 6]);
}
