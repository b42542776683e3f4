//! Debounce and COLLECT: messages that wait for others like them, and go out together.

use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, key, message, millis, open, payloads};
use sessiond_tests::server::Server;
use sessiond_tests::work_stream::WorkStream;

fn held(payload: &str, quiet: u64, max_wait: u64) -> pb::Message {
    pb::Message {
        debounce: Some(pb::Debounce {
            quiet: millis(quiet),
            max_wait: millis(max_wait),
        }),
        ..message(payload)
    }
}

fn collected(payload: &str) -> pb::Message {
    pb::Message {
        delivery_mode: pb::DeliveryMode::Collect.into(),
        ..message(payload)
    }
}

async fn send(caller: &Caller, messages: Vec<pb::Message>) {
    caller.sent(key("a"), messages).await;
}

async fn worker(caller: &Caller, window: u32) -> WorkStream {
    let mut worker = WorkStream::worker(caller, "w", window).await;
    worker.attached_to(key("a")).await;
    worker
}

fn millis_of(time: Option<prost_types::Timestamp>) -> i64 {
    let time = time.expect("a time");
    time.seconds * 1_000 + i64::from(time.nanos / 1_000_000)
}

// === debounce ===

/// Proves: B7.
#[tokio::test]
async fn messages_are_held_back_until_no_more_come_and_go_in_order_with_what_did_not_wait_before_them()
 {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let mut worker = worker(&caller, 8).await;
    send(&caller, vec![held("h1", 1_500, 60_000)]).await;
    send(&caller, vec![message("m")]).await;
    assert_eq!(payloads(&worker.delivered(1).await), ["m"], "others go on");
    send(&caller, vec![held("h2", 1_500, 60_000)]).await;
    let listed = caller.messages_of(key("a")).await;
    let status = listed[0].status.clone().unwrap();
    assert_eq!(status.state(), pb::MessageState::Pending);
    let due = millis_of(status.due_time);
    let last = millis_of(listed[2].enqueue_time);
    assert!((due - last - 1_500).abs() <= 2, "{due} after {last}");
    assert_eq!(listed[0].debounce.unwrap().quiet, millis(1_500));
    let out = worker.deliveries().await;
    assert_eq!(payloads(&out), ["h1", "h2"], "both at once");
    let counts = caller.session(key("a")).await.counts.unwrap();
    assert_eq!((counts.pending, counts.in_flight), (0, 3));
}

#[tokio::test]
async fn a_message_waits_no_longer_than_it_says_however_many_come() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    send(&caller, vec![held("first", 20_000, 20_000)]).await;
    let before = caller.messages_of(key("a")).await[0]
        .status
        .clone()
        .unwrap();
    send(&caller, vec![held("hasty", 1_000, 3_000)]).await;
    send(&caller, vec![held("patient", 60_000, 600_000)]).await;
    let listed = caller.messages_of(key("a")).await;
    let due = millis_of(listed[0].status.clone().unwrap().due_time);
    let hasty = millis_of(listed[1].enqueue_time);
    assert!(due < millis_of(before.due_time), "the hasty one counts");
    assert!((due - hasty - 3_000).abs() <= 2, "{due} after {hasty}");
    let mut worker = worker(&caller, 8).await;
    assert_eq!(
        payloads(&worker.deliveries().await),
        ["first", "hasty", "patient"]
    );
}

#[tokio::test]
async fn a_pause_goes_on_after_a_sigkill() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    send(&caller, vec![held("h1", 2_000, 60_000)]).await;
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    assert_eq!(caller.messages_of(key("a")).await.len(), 1);
    let mut worker = worker(&caller, 8).await;
    assert_eq!(payloads(&worker.deliveries().await), ["h1"]);
}

#[tokio::test]
async fn a_newer_message_of_a_key_replaces_one_that_is_held_back() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let keyed = |payload: &str| pb::Message {
        coalesce_key: "x".to_owned(),
        ..held(payload, 300, 60_000)
    };
    for payload in ["h1", "h2", "h3"] {
        send(&caller, vec![keyed(payload)]).await;
    }
    let counts = caller.session(key("a")).await.counts.unwrap();
    assert_eq!((counts.pending, counts.superseded), (1, 2));
    let mut worker = worker(&caller, 8).await;
    assert_eq!(payloads(&worker.deliveries().await), ["h3"]);
}

// === COLLECT ===

/// Proves: B7.
#[tokio::test]
async fn what_is_collected_waits_for_work_in_flight_and_goes_out_in_one_frame_of_its_own() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let mut worker = worker(&caller, 8).await;
    send(&caller, vec![message("turn")]).await;
    let turn = worker.delivered(1).await;
    send(&caller, vec![collected("c1")]).await;
    send(
        &caller,
        vec![collected("c2"), collected("c3"), message("next")],
    )
    .await;
    worker.is_quiet().await;
    assert_eq!(worker.code(ack(&turn[0])).await, pb::SettleCode::Ok);
    let out = worker.deliveries().await;
    assert_eq!(payloads(&out), ["c1", "c2", "c3"]);
    assert_eq!(payloads(&worker.deliveries().await), ["next"]);
    send(&caller, vec![collected("c4")]).await;
    // Settled one by one; the next frame waits for the last of them.
    for one in &out {
        worker.is_quiet().await;
        assert_eq!(worker.code(ack(one)).await, pb::SettleCode::Ok);
    }
    worker.is_quiet().await;
}

#[tokio::test]
async fn a_frame_has_no_more_than_fits_and_the_rest_have_the_next() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    send(&caller, ["c1", "c2", "c3"].map(collected).to_vec()).await;
    let mut worker = worker(&caller, 2).await;
    let out = worker.deliveries().await;
    assert_eq!(payloads(&out), ["c1", "c2"]);
    assert_eq!(worker.code(ack(&out[0])).await, pb::SettleCode::Ok);
    worker.is_quiet().await;
    assert_eq!(worker.code(ack(&out[1])).await, pb::SettleCode::Ok);
    assert_eq!(payloads(&worker.deliveries().await), ["c3"]);
}

#[tokio::test]
async fn a_claim_gets_what_is_collected_and_nothing_else_and_a_serial_session_one() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let all = vec![
        message("f1"),
        collected("c1"),
        collected("c2"),
        message("f2"),
    ];
    send(&caller, all.clone()).await;
    for expected in [&["f1"][..], &["c1", "c2"], &["f2"]] {
        let out = caller.claimed(key("a"), "w").await;
        assert_eq!(payloads(&out), expected);
        caller.settled(out.iter().map(ack).collect()).await;
    }
    let serial = pb::OpenSessionRequest {
        ordering: pb::Ordering::Serial.into(),
        ..open("b")
    };
    caller.open(serial).await.expect("opened");
    caller.sent(key("b"), all).await;
    for expected in ["f1", "c1", "c2", "f2"] {
        let out = caller.claimed(key("b"), "w").await;
        assert_eq!(payloads(&out), [expected]);
        caller.settled(out.iter().map(ack).collect()).await;
    }
}

#[tokio::test]
async fn what_is_collected_may_wait_for_a_pause_too() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let mut worker = worker(&caller, 8).await;
    for payload in ["b1", "b2", "b3"] {
        let burst = pb::Message {
            delivery_mode: pb::DeliveryMode::Collect.into(),
            ..held(payload, 500, 60_000)
        };
        send(&caller, vec![burst]).await;
    }
    assert_eq!(payloads(&worker.deliveries().await), ["b1", "b2", "b3"]);
}
