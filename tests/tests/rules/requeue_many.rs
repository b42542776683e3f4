//! Many dead letters, or large ones, brought back: a page at a time, as far as there is room, and in order.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{claim_within, key, message, nack, open, seqs};
use sessiond_tests::server::Server;
use tonic::Code;

use super::requeue::{counts, everything, named, over, requeued};

/// Proves: F49.
#[tokio::test]
async fn pages_bring_back_every_letter_once() {
    const LETTERS: usize = 700;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    for of in ["x", "y"] {
        caller.opened(of).await;
        for _ in 0..LETTERS / 2 / 175 {
            caller.enqueued(key(of), &["m"; 175]).await;
        }
        over(&caller, of).await;
    }
    caller.opened("new").await;
    let (mut told, mut pages, mut page_token) = (0, 0, String::new());
    loop {
        let request = pb::RequeueDeadLettersRequest {
            into: key("new"),
            page_token,
            ..everything()
        };
        let page = requeued(&caller, request).await;
        assert!(page.requeued <= 256, "{page:?}");
        (told, pages) = (told + page.requeued, pages + 1);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!((told, pages), (LETTERS as u64, 3));
    assert_eq!(caller.dead_letters_of(None).await, []);
    assert_eq!(counts(&caller, key("new")).await.1, LETTERS as u64);
    let other = pb::RequeueDeadLettersRequest {
        page_token: "00".to_owned(),
        ..everything()
    };
    let refusal = caller.requeue(other).await.expect_err("no token");
    assert_eq!(refusal.fields, ["page_token"]);
}

#[tokio::test]
async fn one_call_carries_a_bounded_number_of_bytes_into_another_queue() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("old").await;
    for _ in 0..4 {
        let large = pb::Message {
            payload: vec![b'x'; 6 * 1_024 * 1_024].into(),
            ..message("")
        };
        caller.sent(key("old"), vec![large]).await;
    }
    over(&caller, "old").await;
    caller.opened("new").await;
    let letters = caller.dead_letters_of(None).await;
    let into_new = |request| pb::RequeueDeadLettersRequest {
        into: key("new"),
        ..request
    };
    let told = requeued(&caller, into_new(named(&letters[..3]))).await;
    assert_eq!((told.requeued, told.not_reached), (2, 1));
    let told = requeued(&caller, into_new(everything())).await;
    assert_eq!((told.requeued, told.next_page_token.as_str()), (2, ""));
    assert_eq!(counts(&caller, key("new")).await.1, 4);
}

#[tokio::test]
async fn a_full_queue_takes_what_it_has_room_for_and_refuses_when_it_has_none() {
    const QUEUE_MAX: usize = 100_000;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("old").await;
    caller.enqueued(key("old"), &["l1", "l2", "l3"]).await;
    over(&caller, "old").await;
    caller.open(open("new")).await.expect("opened");
    let mut left = QUEUE_MAX - 2;
    while left > 0 {
        let count = left.min(256);
        caller.enqueued(key("new"), &vec!["m"; count]).await;
        left -= count;
    }
    let request = || pb::RequeueDeadLettersRequest {
        into: key("new"),
        ..everything()
    };
    let told = requeued(&caller, request()).await;
    assert_eq!((told.requeued, told.no_room), (2, 1));
    let refusal = caller.requeue(request()).await.expect_err("refused");
    let refusal = refusal.is(Code::ResourceExhausted, Reason::QueueFull);
    assert!(refusal.retry_after.is_some());
    assert_eq!(caller.dead_letters_of(None).await.len(), 1);
}

#[tokio::test]
async fn what_is_before_a_paused_message_goes_out_however_much_was_brought_back_behind_it() {
    const LAST: u64 = 700;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let wide = pb::OpenSessionRequest {
        max_in_flight: Some(512),
        ordering: pb::Ordering::Relaxed.into(),
        ..open("a")
    };
    caller.open(wide).await.expect("opened");
    let soon = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    let deferred = pb::Message {
        not_before_time: Some(soon.into()),
        ..message("deferred")
    };
    caller.sent(key("a"), vec![deferred]).await;
    let mut left = LAST - 1;
    while left > 0 {
        let count = left.min(256);
        let messages = vec!["m"; usize::try_from(count).unwrap()];
        caller.enqueued(key("a"), &messages).await;
        left -= count;
    }
    let mut out = caller.claimed(key("a"), "w").await;
    assert_eq!(seqs(&out)[0], 2, "the first one is not due");
    let later = nack(&out.remove(0), pb::NackKind::Retry, Some(3_600_000));
    assert_eq!(caller.code(later).await, pb::SettleCode::Ok);
    loop {
        let dead = out
            .iter()
            .map(|one| nack(one, pb::NackKind::Permanent, None));
        let dead: Vec<pb::Settlement> = dead.collect();
        if dead.is_empty() {
            break;
        }
        caller.settled(dead).await;
        out = caller.claimed(key("a"), "w").await;
    }
    let strict = pb::UpdateSessionRequest {
        r#ref: key("a"),
        ordering: pb::Ordering::Strict.into(),
        ..pb::UpdateSessionRequest::default()
    };
    caller.update(strict).await.expect("updated");
    let mut told = 0;
    while told < LAST - 2 {
        let page = requeued(&caller, everything()).await.requeued;
        assert!(page > 0, "{told} were brought back");
        told += page;
    }
    let waits = claim_within(key("a"), "w", 20_000);
    let out = caller.claim(waits).await.expect("claimed").deliveries;
    assert_eq!(seqs(&out), [1], "and nothing behind the paused one");
}
