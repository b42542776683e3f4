//! Coalesce keys: of several messages that wait under one key only the newest is handed out, and none is lost unseen.

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::EnqueueStatus as Status;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, end, key, message, millis, nack, open, payloads};
use sessiond_tests::server::Server;

fn keyed(name: &str, payload: &str) -> pb::Message {
    pb::Message {
        coalesce_key: name.to_owned(),
        ..message(payload)
    }
}

async fn send(caller: &Caller, messages: Vec<pb::Message>) -> Vec<(u64, Status)> {
    caller.sent(key("a"), messages).await
}

async fn counts(caller: &Caller) -> pb::SessionCounts {
    caller.session(key("a")).await.counts.unwrap()
}

fn pending(messages: &[pb::Message]) -> Vec<u64> {
    messages.iter().map(|message| message.seq).collect()
}

/// Proves: B7.
#[tokio::test]
async fn a_newer_message_takes_the_place_of_pending_ones_with_its_key() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    send(
        &caller,
        vec![keyed("x", "x1"), keyed("y", "y1"), message("m")],
    )
    .await;
    assert_eq!(
        send(&caller, vec![keyed("x", "x2")]).await,
        [(4, Status::Enqueued)]
    );
    let counted = counts(&caller).await;
    assert_eq!(
        (counted.enqueued, counted.pending, counted.superseded),
        (4, 3, 1)
    );
    let listed = caller.messages_of(key("a")).await;
    assert_eq!(pending(&listed), [2, 3, 4]);
    assert_eq!(listed[2].coalesce_key, "x");
    let out = caller.claimed(key("a"), "w").await;
    assert_eq!(payloads(&out), ["y1", "m", "x2"], "it stands where it came");
    caller.settled(out.iter().map(ack).collect()).await;
    let counted = counts(&caller).await;
    assert_eq!((counted.processed, counted.superseded), (3, 1));
}

#[tokio::test]
async fn of_one_call_the_last_message_of_a_key_is_left() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let all = ["x1", "x2", "x3"].map(|payload| keyed("x", payload));
    let each = [1, 2, 3].map(|seq| (seq, Status::Enqueued));
    assert_eq!(send(&caller, all.to_vec()).await, each);
    assert_eq!(payloads(&caller.claimed(key("a"), "w").await), ["x3"]);
    assert_eq!(counts(&caller).await.superseded, 2);
}

#[tokio::test]
async fn what_is_in_flight_is_untouched_and_comes_back_to_its_place() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    send(&caller, vec![keyed("x", "x1")]).await;
    let out = caller.claimed(key("a"), "w").await;
    send(&caller, vec![keyed("x", "x2")]).await;
    assert_eq!(counts(&caller).await.superseded, 0);
    caller
        .settled(vec![nack(&out[0], pb::NackKind::Retry, Some(1))])
        .await;
    let both = loop {
        let out = caller.claimed(key("a"), "w").await;
        if !out.is_empty() {
            break out;
        }
    };
    assert_eq!(payloads(&both), ["x1", "x2"]);
}

#[tokio::test]
async fn one_that_failed_and_waits_gives_way_and_the_queue_goes_on() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    send(&caller, vec![keyed("x", "x1")]).await;
    let out = caller.claimed(key("a"), "w").await;
    caller
        .settled(vec![nack(&out[0], pb::NackKind::Retry, Some(60_000))])
        .await;
    send(&caller, vec![message("m")]).await;
    assert_eq!(
        caller.claimed(key("a"), "w").await,
        [],
        "a strict queue waits"
    );
    send(&caller, vec![keyed("x", "x2")]).await;
    assert_eq!(payloads(&caller.claimed(key("a"), "w").await), ["m", "x2"]);
    assert_eq!(
        caller.code(ack(&out[0])).await,
        pb::SettleCode::AlreadySettled
    );
}

#[tokio::test]
async fn what_waits_for_its_time_gives_way_too_and_a_dead_letter_does_not() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    send(&caller, vec![keyed("x", "hopeless")]).await;
    let out = caller.claimed(key("a"), "w").await;
    caller
        .settled(vec![nack(&out[0], pb::NackKind::Permanent, None)])
        .await;
    let tomorrow = std::time::SystemTime::now() + std::time::Duration::from_secs(86_400);
    let later = pb::Message {
        not_before_time: Some(tomorrow.into()),
        ..keyed("x", "later")
    };
    send(&caller, vec![later]).await;
    send(&caller, vec![keyed("x", "now")]).await;
    let counted = counts(&caller).await;
    assert_eq!((counted.superseded, counted.dead_lettered), (1, 1));
    assert_eq!(payloads(&caller.claimed(key("a"), "w").await), ["now"]);
}

#[tokio::test]
async fn a_duplicate_replaces_nothing() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let first = pb::Message {
        idempotency_key: "once".to_owned(),
        ..keyed("x", "x1")
    };
    send(&caller, vec![first.clone(), keyed("y", "y1")]).await;
    assert_eq!(send(&caller, vec![first]).await, [(1, Status::Duplicate)]);
    assert_eq!(counts(&caller).await.superseded, 0);
}

#[tokio::test]
async fn keys_are_of_a_queue_and_live_on_with_it_after_a_sigkill() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.opened("b").await;
    send(&caller, vec![keyed("x", "x1")]).await;
    let other = pb::EnqueueMessagesRequest {
        r#ref: key("b"),
        messages: vec![keyed("x", "other")],
        ..pb::EnqueueMessagesRequest::default()
    };
    caller.enqueue(other).await.expect("an enqueue");
    assert_eq!(counts(&caller).await.superseded, 0);
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    let rotate = end(key("a"), pb::EndReason::Shutdown, pb::EndMode::Immediate);
    caller.end(rotate).await.expect("ended");
    caller.open(open("a")).await.expect("opened anew");
    send(&caller, vec![keyed("x", "x2")]).await;
    let counted = counts(&caller).await;
    assert_eq!((counted.superseded, counted.pending), (1, 1));
    let waits = pb::ClaimMessagesRequest {
        wait: millis(1_000),
        ..sessiond_tests::requests::claim(key("a"), "w")
    };
    let out = caller.claim(waits).await.expect("claimed").deliveries;
    assert_eq!(payloads(&out), ["x2"]);
}
