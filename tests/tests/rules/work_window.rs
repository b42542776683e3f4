//! Windows and assignment: how much a stream is handed, and which sessions the server gives it.

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::work_request::Frame as Said;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, enqueue, key, labels, message, nack, open, payloads};
use sessiond_tests::server::Server;
use sessiond_tests::work_stream::{WorkStream, hello, serving};

fn any() -> pb::SessionFilter {
    pb::SessionFilter::default()
}

/// The key of the session that is attached next, with its first delivery.
async fn assigned(worker: &mut WorkStream) -> (String, pb::Delivery) {
    let session = worker.attached().await.session.unwrap();
    (session.key, worker.delivered(1).await.remove(0))
}

/// Proves: B13.
#[tokio::test]
async fn no_more_is_handed_out_than_the_window_takes() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller
        .enqueued(key("a"), &["one", "two", "three", "four"])
        .await;
    let mut worker = WorkStream::worker(&caller, "w", 1).await;
    worker.attached_to(key("a")).await;
    let one = worker.delivered(1).await;
    assert_eq!(payloads(&one), ["one"]);
    worker.is_quiet().await;
    assert_eq!(worker.code(ack(&one[0])).await, pb::SettleCode::Ok);
    let two = worker.delivered(1).await;
    assert_eq!(payloads(&two), ["two"], "room again");
    let window = |max: u32| {
        Said::Window(pb::Window {
            max_messages: Some(max),
            ..pb::Window::default()
        })
    };
    worker.say(window(3));
    assert_eq!(
        payloads(&worker.delivered(2).await),
        ["three", "four"],
        "absolute, not added"
    );
    worker.say(window(0));
    assert_eq!(worker.code(ack(&two[0])).await, pb::SettleCode::Ok);
    caller.enqueued(key("a"), &["five"]).await;
    worker.is_quiet().await;
    worker.say(window(3));
    assert_eq!(payloads(&worker.delivered(1).await), ["five"]);
}

#[tokio::test]
async fn a_window_is_over_all_sessions_and_they_take_turns() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    for name in ["a", "b"] {
        caller.opened(name).await;
        caller.enqueued(key(name), &[name; 6]).await;
    }
    let mut worker = WorkStream::worker(&caller, "w", 0).await;
    worker.attached_to(key("a")).await;
    worker.attached_to(key("b")).await;
    worker.say(Said::Window(pb::Window {
        max_messages: Some(4),
        ..pb::Window::default()
    }));
    let out = worker.delivered(4).await;
    worker.is_quiet().await;
    for name in ["a", "b"] {
        assert!(
            payloads(&out).iter().any(|text| text == name),
            "{name} had its turn"
        );
    }
}

/// Proves: B13.
#[tokio::test]
async fn bytes_bound_what_is_handed_out_but_one_message_goes_whatever_its_size() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let sized = |kibibytes: usize| pb::Message {
        payload: vec![b'x'; kibibytes * 1_024].into(),
        ..message("")
    };
    let request = pb::EnqueueMessagesRequest {
        messages: vec![sized(100), sized(10), sized(10), sized(30)],
        ..enqueue(key("a"), &[])
    };
    caller.enqueue(request).await.expect("enqueued");
    let small = pb::Hello {
        window: Some(pb::Window {
            max_bytes: Some(32 * 1_024),
            ..pb::Window::default()
        }),
        ..hello("w", 16)
    };
    let (mut worker, _) = WorkStream::greet(&caller, small).await;
    worker.attached_to(key("a")).await;
    let first = worker.delivered(1).await;
    assert_eq!(
        first[0].message.as_ref().unwrap().seq,
        1,
        "more than the window, and alone"
    );
    worker.is_quiet().await;
    worker.code(ack(&first[0])).await;
    let two = worker.delivered(2).await;
    worker.is_quiet().await;
    worker.code(ack(&two[0])).await;
    worker.is_quiet().await;
    worker.code(ack(&two[1])).await;
    assert_eq!(
        worker.delivered(1).await[0].message.as_ref().unwrap().seq,
        4
    );
}

#[tokio::test]
async fn sessions_with_work_are_assigned_oldest_pending_first() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("late").await;
    caller.with_work(open("first")).await;
    caller.a_millisecond_later().await;
    caller.with_work(open("second")).await;
    caller.a_millisecond_later().await;
    caller.enqueued(key("late"), &["late"]).await;
    let (mut worker, _) = WorkStream::greet(&caller, serving("w", 16, any())).await;
    for expected in ["first", "second", "late"] {
        let (name, delivery) = assigned(&mut worker).await;
        assert_eq!(
            (name.as_str(), payloads(&[delivery])),
            (expected, vec![expected.to_owned()])
        );
    }
    worker.is_quiet().await;
    // A session that gets work later is assigned when it does.
    caller.opened("idle").await;
    worker.is_quiet().await;
    caller.enqueued(key("idle"), &["idle"]).await;
    assert_eq!(assigned(&mut worker).await.0, "idle");
}

#[tokio::test]
async fn only_what_a_worker_serves_is_assigned() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let blue = pb::SessionFilter {
        labels: labels(&[("team", "blue")]),
        ..any()
    };
    let (mut worker, _) = WorkStream::greet(&caller, serving("w", 16, blue)).await;
    let mut nothing = WorkStream::worker(&caller, "attaches only", 16).await;
    let team = |name: &str, team: &str| pb::OpenSessionRequest {
        labels: labels(&[("team", team)]),
        ..open(name)
    };
    caller.with_work(team("r", "red")).await;
    caller.with_work(team("b", "blue")).await;
    assert_eq!(assigned(&mut worker).await.0, "b");
    worker.is_quiet().await;
    nothing.is_quiet().await;
    let update = pb::UpdateSessionRequest {
        r#ref: key("r"),
        labels: labels(&[("team", "blue")]),
        ..pb::UpdateSessionRequest::default()
    };
    caller.update(update).await.expect("updated");
    assert_eq!(
        assigned(&mut worker).await.0,
        "r",
        "it became one that is served"
    );
}

#[tokio::test]
async fn no_more_sessions_are_assigned_than_the_window_takes() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    for name in ["a", "b", "c"] {
        caller.with_work(open(name)).await;
    }
    let narrow = |worker: &str, max: u32| pb::Hello {
        window: Some(pb::Window {
            max_messages: Some(16),
            max_sessions: Some(max),
            max_bytes: None,
        }),
        ..serving(worker, 16, any())
    };
    let (mut one, _) = WorkStream::greet(&caller, narrow("one", 1)).await;
    assert_eq!(assigned(&mut one).await.0, "a");
    one.is_quiet().await;
    let (mut none, _) = WorkStream::greet(&caller, narrow("none", 0)).await;
    none.is_quiet().await;
    let (mut other, _) = WorkStream::greet(&caller, narrow("other", 1)).await;
    assert_eq!(
        assigned(&mut other).await.0,
        "b",
        "what one has no room for goes elsewhere"
    );
    one.say(Said::Window(pb::Window {
        max_messages: Some(16),
        max_sessions: Some(2),
        max_bytes: None,
    }));
    assert_eq!(assigned(&mut one).await.0, "c");
}

/// Proves: F63.
#[tokio::test]
async fn a_backlog_without_workers_is_served_up_to_the_window_and_what_runs_is_skipped() {
    const SESSIONS: usize = 12;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let names: Vec<String> = (0..SESSIONS)
        .map(|number| format!("s{number:02}"))
        .collect();
    for name in &names {
        caller.with_work(open(name)).await;
        caller.a_millisecond_later().await;
    }
    // Every third one runs already.
    for name in names.iter().step_by(3) {
        assert_eq!(caller.claimed(key(name), "runs").await.len(), 1);
    }
    let five = pb::Hello {
        window: Some(pb::Window {
            max_messages: Some(100),
            max_sessions: Some(5),
            max_bytes: None,
        }),
        ..serving("w", 100, any())
    };
    let (mut worker, _) = WorkStream::greet(&caller, five).await;
    let mut begun = Vec::new();
    for _ in 0..5 {
        begun.push(assigned(&mut worker).await.0);
    }
    assert_eq!(begun, ["s01", "s02", "s04", "s05", "s07"], "oldest first");
    worker.is_quiet().await;
    worker.say(Said::Window(pb::Window {
        max_messages: Some(100),
        max_sessions: Some(100),
        max_bytes: None,
    }));
    let rest = [
        assigned(&mut worker).await.0,
        assigned(&mut worker).await.0,
        assigned(&mut worker).await.0,
    ];
    assert_eq!(rest, ["s08", "s10", "s11"]);
    worker.is_quiet().await;
}

#[tokio::test]
async fn a_session_that_is_given_back_is_assigned_to_another_worker() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.with_work(open("a")).await;
    let (mut one, _) = WorkStream::greet(&caller, serving("one", 16, any())).await;
    let (_, delivery) = assigned(&mut one).await;
    let (mut other, _) = WorkStream::greet(&caller, serving("other", 16, any())).await;
    other.is_quiet().await;
    let detail = String::new();
    one.say(Said::Goodbye(pb::Goodbye { detail }));
    let (name, again) = assigned(&mut other).await;
    assert_eq!(name, "a");
    assert_eq!(again.message.as_ref().unwrap().attempt, 1, "uncounted");
    assert_ne!(again.delivery_id, delivery.delivery_id);
    assert_eq!(other.code(ack(&again)).await, pb::SettleCode::Ok);
}

#[tokio::test]
async fn the_session_bounds_what_is_in_flight_whatever_the_window() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let serial = pb::OpenSessionRequest {
        ordering: pb::Ordering::Serial.into(),
        ..open("a")
    };
    caller.open(serial).await.expect("opened");
    caller.enqueued(key("a"), &["one", "two"]).await;
    let mut worker = WorkStream::worker(&caller, "w", 16).await;
    worker.attached_to(key("a")).await;
    let out = worker.delivered(1).await;
    worker.is_quiet().await;
    let retry = nack(&out[0], pb::NackKind::Retry, Some(100));
    assert_eq!(worker.code(retry).await, pb::SettleCode::Ok);
    let again = worker.delivered(1).await;
    assert_eq!(payloads(&again), ["one"], "strict: nothing passes it");
    worker.code(ack(&again[0])).await;
    assert_eq!(payloads(&worker.delivered(1).await), ["two"]);
}
