//! Explanations: what holds a session, what becomes of it, and why its pending work does not move.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::work_request::Frame as Said;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, after, claim, end, id, key, millis, nack, never, open};
use sessiond_tests::server::Server;
use sessiond_tests::work_stream::WorkStream;
use tonic::Code;

async fn explained(caller: &Caller, session: Option<pb::SessionRef>) -> pb::ExplainSessionResponse {
    let request = pb::ExplainSessionRequest { r#ref: session };
    caller.explain(request).await.expect("an explanation")
}

/// Claims one message of a session.
async fn one_of(caller: &Caller, of: &str) -> Vec<pb::Delivery> {
    let request = pb::ClaimMessagesRequest {
        max_messages: Some(1),
        ..claim(key(of), "w")
    };
    caller.claim(request).await.expect("a claim").deliveries
}

/// Who has a stream.
async fn workers(caller: &Caller) -> Vec<pb::WorkerInfo> {
    let asked = pb::ListWorkersRequest::default();
    caller.list_workers(asked).await.expect("a list").workers
}

/// Why work does not move, and how much of it.
fn stalls(told: &pb::ExplainSessionResponse) -> Vec<(pb::StallReason, u64)> {
    let stalls = told.stalls.iter();
    stalls
        .map(|stall| (stall.reason(), stall.messages))
        .collect()
}

fn holds(told: &pb::ExplainSessionResponse) -> Vec<(pb::HoldKind, u64)> {
    let holds = told.holds.iter();
    holds.map(|hold| (hold.kind(), hold.count)).collect()
}

fn deadline(
    told: &pb::ExplainSessionResponse,
    kind: pb::DeadlineKind,
) -> Option<&pb::SessionDeadline> {
    told.deadlines.iter().find(|one| one.kind() == kind)
}

fn millis_of(time: Option<prost_types::Timestamp>) -> i64 {
    let time = time.expect("a time that is set");
    time.seconds * 1_000 + i64::from(time.nanos) / 1_000_000
}

/// Proves: B5.
#[tokio::test]
async fn each_limit_is_told_with_its_time_its_effect_and_what_spares_it() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let asked = pb::OpenSessionRequest {
        idle_timeout: after(60_000),
        max_lifetime: after(100_000),
        owner_timeout: after(200_000),
        ..open("a")
    };
    caller.open(asked).await.expect("opened");
    let told = explained(&caller, key("a")).await;
    let kinds: Vec<_> = told
        .deadlines
        .iter()
        .map(pb::SessionDeadline::kind)
        .collect();
    let expected = [
        pb::DeadlineKind::Idle,
        pb::DeadlineKind::Lifetime,
        pb::DeadlineKind::Owner,
        pb::DeadlineKind::HardLifetime,
    ];
    assert_eq!(kinds, expected, "earliest first");
    let reasons: Vec<_> = told
        .deadlines
        .iter()
        .map(pb::SessionDeadline::end_reason)
        .collect();
    let expected = [
        pb::EndReason::Idle,
        pb::EndReason::Expired,
        pb::EndReason::OwnerLost,
        pb::EndReason::Expired,
    ];
    assert_eq!(reasons, expected);
    let session = told.session.as_ref().expect("a session");
    // Of one answer all times move together; from one answer to another a clock may lose or win a millisecond.
    let first = millis_of(told.deadlines[0].time);
    let behind = |one: &pb::SessionDeadline| millis_of(one.time) - first;
    let times: Vec<_> = told.deadlines.iter().map(behind).collect();
    assert_eq!(times, [0, 40_000, 140_000, 140_000]);
    let idle = first - millis_of(session.last_activity_time);
    assert!((59_990..60_010).contains(&idle), "{idle} ms");
    let spared = told.deadlines.iter().any(|one| !one.spared_by.is_empty());
    assert!(!spared && told.holds.is_empty() && told.stalls.is_empty());

    caller.enqueued(key("a"), &["one", "two"]).await;
    one_of(&caller, "a").await;
    let told = explained(&caller, key("a")).await;
    let expected = [
        (pb::HoldKind::Lease, 1),
        (pb::HoldKind::InFlight, 1),
        (pb::HoldKind::Pending, 1),
    ];
    assert_eq!(holds(&told), expected);
    assert_eq!(told.holds[0].worker, "w");
    let by = [pb::HoldKind::InFlight, pb::HoldKind::Pending].map(i32::from);
    let spared_by = |kind| deadline(&told, kind).expect("told").spared_by.clone();
    assert_eq!(spared_by(pb::DeadlineKind::Idle), by);
    assert_eq!(spared_by(pb::DeadlineKind::Lifetime), by);
    assert!(spared_by(pb::DeadlineKind::HardLifetime).is_empty());
    assert!(spared_by(pb::DeadlineKind::Owner).is_empty());
}

#[tokio::test]
async fn a_limit_that_is_off_is_no_deadline() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let asked = pb::OpenSessionRequest {
        idle_timeout: never(),
        max_lifetime: never(),
        owner_timeout: never(),
        ..open("a")
    };
    caller.open(asked).await.expect("opened");
    assert!(explained(&caller, key("a")).await.deadlines.is_empty());
}

/// Proves: G8, B5.
#[tokio::test]
async fn work_that_nobody_takes_says_so_and_work_behind_a_retry_says_until_when() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["one", "two", "three"]).await;
    let told = explained(&caller, key("a")).await;
    assert_eq!(stalls(&told), [(pb::StallReason::NoWorker, 3)]);

    let mut worker = WorkStream::worker(&caller, "w", 1).await;
    worker.attached_to(key("a")).await;
    let out = worker.delivered(1).await;
    let told = explained(&caller, key("a")).await;
    assert_eq!(stalls(&told), [(pb::StallReason::WindowFull, 2)]);

    let later = nack(&out[0], pb::NackKind::Retry, Some(60_000));
    assert_eq!(worker.code(later).await, pb::SettleCode::Ok);
    let told = explained(&caller, key("a")).await;
    let expected = [(pb::StallReason::Order, 2), (pb::StallReason::NotDue, 1)];
    assert_eq!(stalls(&told), expected);
    let due = deadline(&told, pb::DeadlineKind::Message).expect("the retry's time");
    assert_eq!(due.effect(), pb::DeadlineEffect::HandsOut);
    assert_eq!(told.stalls[0].until_time, due.time);
    assert_eq!(told.stalls[1].until_time, due.time);
    let wait = millis_of(due.time) - millis_of(told.time);
    assert!((1..=60_000).contains(&wait), "{wait} ms");
}

/// Proves: G8, B5.
#[tokio::test]
async fn a_worker_that_is_away_a_claim_and_a_full_session_are_told_apart() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("claimed").await;
    caller.enqueued(key("claimed"), &["one", "two"]).await;
    one_of(&caller, "claimed").await;
    let told = explained(&caller, key("claimed")).await;
    assert_eq!(stalls(&told), [(pb::StallReason::NotClaimed, 1)]);

    let serial = pb::OpenSessionRequest {
        ordering: pb::Ordering::Serial.into(),
        ..open("serial")
    };
    caller.open(serial).await.expect("opened");
    caller.enqueued(key("serial"), &["one", "two"]).await;
    let mut worker = WorkStream::worker(&caller, "v", 9).await;
    worker.attached_to(key("serial")).await;
    worker.delivered(1).await;
    let told = explained(&caller, key("serial")).await;
    assert_eq!(stalls(&told), [(pb::StallReason::InFlightFull, 1)]);

    caller.opened("away").await;
    worker.attached_to(key("away")).await;
    drop(worker);
    while !workers(&caller).await.is_empty() {}
    caller.enqueued(key("away"), &["one"]).await;
    let told = explained(&caller, key("away")).await;
    assert_eq!(stalls(&told), [(pb::StallReason::WorkerAway, 1)]);
    let lapse = deadline(&told, pb::DeadlineKind::Lease).expect("the lease's end");
    assert_eq!(lapse.effect(), pb::DeadlineEffect::ReturnsDeliveries);
}

/// Proves: B5.
#[tokio::test]
async fn a_draining_session_says_what_it_ends_as_and_a_held_queue_how_long_it_waits() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    caller.enqueued(key("a"), &["one", "two"]).await;
    let out = one_of(&caller, "a").await;
    let graceful = pb::EndSessionRequest {
        end_grace: millis(60_000),
        ..end(id(&session), pb::EndReason::Reset, pb::EndMode::Graceful)
    };
    caller.end(graceful).await.expect("an end");
    let told = explained(&caller, key("a")).await;
    assert_eq!(
        told.session.as_ref().expect("a session").session_id,
        session
    );
    let grace = deadline(&told, pb::DeadlineKind::EndGrace).expect("its grace");
    assert_eq!(grace.end_reason(), pb::EndReason::Reset);
    assert_eq!(stalls(&told), [(pb::StallReason::Draining, 1)]);
    assert_eq!(told.stalls[0].until_time, grace.time);

    assert_eq!(caller.code(ack(&out[0])).await, pb::SettleCode::Ok);
    let told = explained(&caller, key("a")).await;
    let held = deadline(&told, pb::DeadlineKind::HeldQueue).expect("its wait");
    assert_eq!(held.effect(), pb::DeadlineEffect::DeadLetters);
    assert_eq!(stalls(&told), [(pb::StallReason::Held, 1)]);
    assert!(told.holds.is_empty(), "an ended session is held by nothing");
}

#[tokio::test]
async fn an_ended_session_says_when_it_is_deleted_and_one_with_dead_letters_when_they_are() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let week: i64 = 7 * 24 * 3_600 * 1_000;
    let after_its_end = |told: &pb::ExplainSessionResponse, kind| {
        let end = told
            .session
            .as_ref()
            .and_then(|session| session.end.as_ref());
        let ended = millis_of(end.expect("an end").end_time);
        deadline(told, kind).map(|one| {
            // By the wall clock, which counts its milliseconds for itself.
            let late = millis_of(one.time) - ended - week;
            assert!(late.abs() < 1_000, "{late} ms late");
            one.effect()
        })
    };
    for name in ["bare", "left"] {
        caller.opened(name).await;
    }
    caller.enqueued(key("left"), &["one"]).await;
    for name in ["bare", "left"] {
        let over = end(key(name), pb::EndReason::Completed, pb::EndMode::Immediate);
        caller.end(over).await.expect("an end");
    }
    let told = explained(&caller, key("bare")).await;
    let deleted = Some(pb::DeadlineEffect::Deletes);
    assert_eq!(after_its_end(&told, pb::DeadlineKind::Retention), deleted);
    assert_eq!(after_its_end(&told, pb::DeadlineKind::DeadLetters), None);
    let told = explained(&caller, key("left")).await;
    assert_eq!(after_its_end(&told, pb::DeadlineKind::DeadLetters), deleted);
    assert_eq!(
        after_its_end(&told, pb::DeadlineKind::Retention),
        None,
        "it stays as long as its letters"
    );
}

/// Proves: B5.
#[tokio::test]
async fn what_is_told_of_a_session_and_of_who_would_end_is_the_same_after_a_sigkill() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    for name in ["bare", "works"] {
        caller.opened(name).await;
    }
    caller.enqueued(key("works"), &["one", "two"]).await;
    let out = one_of(&caller, "works").await;
    let later = nack(&out[0], pb::NackKind::Retry, Some(600_000));
    assert_eq!(caller.code(later).await, pb::SettleCode::Ok);
    let both = async |caller: &Caller| {
        let told = explained(caller, key("works")).await;
        let dry = pb::SweepRequest {
            idle_timeout: millis(1),
            validate_only: true,
            ..pb::SweepRequest::default()
        };
        caller.a_millisecond_later().await;
        let found = caller.sweep(dry).await.expect("a dry run").results;
        let found: Vec<_> = found
            .into_iter()
            .map(|one| (one.key, one.outcome))
            .collect();
        (holds(&told), stalls(&told), found)
    };
    let before = both(&caller).await;
    let stalls = [(pb::StallReason::Order, 1), (pb::StallReason::NotDue, 1)];
    assert_eq!(before.1, stalls);
    let would = pb::SweepOutcome::WouldEnd.into();
    assert_eq!(before.2, [("bare".to_owned(), would)]);
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    assert_eq!(both(&caller).await, before);
}

#[tokio::test]
async fn asking_why_is_no_activity_and_nobody_is_refused_by_name() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let before = caller.opened("a").await;
    let told = explained(&caller, key("a")).await;
    assert_eq!(told.session.as_ref(), Some(&before));
    assert_eq!(told.revision, before.revision);
    let nobody = pb::ExplainSessionRequest { r#ref: key("b") };
    caller
        .explain(nobody)
        .await
        .expect_err("no session")
        .is(Code::NotFound, Reason::SessionNotFound);
}

#[tokio::test]
async fn a_closed_window_is_a_reason() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let mut worker = WorkStream::worker(&caller, "w", 4).await;
    worker.attached_to(key("a")).await;
    worker.say(Said::Window(pb::Window {
        max_messages: Some(0),
        ..pb::Window::default()
    }));
    // The frames of a stream are taken in their order: when this is answered, the window is closed.
    let unknown = pb::Settlement {
        queue_id: 999,
        seq: 1,
        delivery_id: 1,
        ..pb::Settlement::default()
    };
    let settle = pb::Settlement {
        outcome: Some(pb::settlement::Outcome::Ack(pb::Ack::default())),
        ..unknown
    };
    worker.code(settle).await;
    caller.enqueued(key("a"), &["one"]).await;
    let told = explained(&caller, key("a")).await;
    assert_eq!(stalls(&told), [(pb::StallReason::WindowFull, 1)]);
}
