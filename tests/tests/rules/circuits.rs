//! Circuits: a kind of message that fails again and again is skipped for a while, and says so.

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::EnqueueStatus as Status;
use sessiond_proto::v1::reset_circuit_request::Target;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{ack, end, id, key, message, nack, open};
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;
use tonic::Code;

fn summary(payload: &str) -> pb::Message {
    pb::Message {
        kind: "summarize".to_owned(),
        ..message(payload)
    }
}

/// Sends messages, and answers with what became of each.
async fn sent(caller: &Caller, messages: Vec<pb::Message>) -> Vec<(u64, Status)> {
    caller.sent(key("a"), messages).await
}

/// Sends three summaries at a time until the first of them is let through.
async fn until_let_through(caller: &Caller) {
    let skipped = Status::SkippedCircuitOpen;
    loop {
        let sent = sent(caller, vec![summary("probe"); 3]).await;
        let statuses: Vec<Status> = sent.into_iter().map(|(_, status)| status).collect();
        if statuses == [Status::Enqueued, skipped, skipped] {
            return;
        }
        assert_eq!(statuses, [skipped; 3], "one is let through, no more");
    }
}

/// Claims one message and says that it failed. The next claim may take it again at once.
async fn fail(caller: &Caller, kind: pb::NackKind) {
    let out = caller.claimed(key("a"), "w").await;
    let delay = (kind != pb::NackKind::Permanent).then_some(1);
    caller.settled(vec![nack(&out[0], kind, delay)]).await;
}

/// A summary that cannot succeed.
async fn hopeless(caller: &Caller) {
    sent(caller, vec![summary("hopeless")]).await;
    fail(caller, pb::NackKind::Permanent).await;
}

/// A session `a` whose summaries failed three times in a row.
async fn broken(caller: &Caller) -> pb::Session {
    let session = caller.opened("a").await;
    for _ in 0..3 {
        hopeless(caller).await;
    }
    session
}

async fn circuits(caller: &Caller) -> Vec<pb::Circuit> {
    caller.session(key("a")).await.circuits
}

/// Kind, state and failures of each circuit.
async fn states(caller: &Caller) -> Vec<(String, pb::CircuitState, u32)> {
    let circuits = circuits(caller).await.into_iter();
    let state = |circuit: pb::Circuit| (circuit.kind.clone(), circuit.state(), circuit.failures);
    circuits.map(state).collect()
}

fn named(state: pb::CircuitState, failures: u32) -> Vec<(String, pb::CircuitState, u32)> {
    vec![("summarize".to_owned(), state, failures)]
}

fn reset(kind: &str) -> pb::ResetCircuitRequest {
    pb::ResetCircuitRequest {
        r#ref: key("a"),
        target: Some(Target::Kind(kind.to_owned())),
        ..pb::ResetCircuitRequest::default()
    }
}

/// Proves: F41, F58.
#[tokio::test]
async fn three_failures_in_a_row_open_a_circuit_and_other_kinds_go_on() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let session = caller.opened("a").await;
    for failures in 1..=3 {
        let status = sent(&caller, vec![summary("s")]).await[0].1;
        assert_eq!(status, Status::Enqueued, "before failure {failures}");
        fail(&caller, pb::NackKind::Permanent).await;
        let state = if failures == 3 {
            pb::CircuitState::Open
        } else {
            pb::CircuitState::Closed
        };
        assert_eq!(states(&caller).await, named(state, failures));
    }
    let opened = watch
        .event(pb::EventType::CircuitOpened, &session.session_id)
        .await;
    assert_eq!(opened.attributes["kind"], "summarize");
    assert_eq!(opened.attributes["failures"], "3");
    assert_eq!(opened.message_ref.unwrap().seq, 3);
    let shown = opened.session.unwrap().circuits;
    assert_eq!(shown[0].state(), pb::CircuitState::Open);
    assert!(shown[0].retry_time.is_some());
    let mixed = vec![summary("s"), message("o"), summary("s")];
    let skipped = (0, Status::SkippedCircuitOpen);
    assert_eq!(
        sent(&caller, mixed).await,
        [skipped, (4, Status::Enqueued), skipped],
        "a skipped message takes no number"
    );
    let counts = caller.session(key("a")).await.counts.unwrap();
    assert_eq!((counts.enqueued, counts.pending), (4, 1));
}

#[tokio::test]
async fn a_retry_counts_and_a_deferral_and_a_lapse_do_not() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    sent(&caller, vec![summary("s")]).await;
    let brief = pb::ClaimMessagesRequest {
        lease_duration: sessiond_tests::requests::millis(1_000),
        wait: sessiond_tests::requests::millis(20_000),
        ..sessiond_tests::requests::claim(key("a"), "gone")
    };
    let claimed = caller.claim(brief.clone()).await.expect("claimed");
    let deferred = nack(&claimed.deliveries[0], pb::NackKind::Defer, Some(1));
    assert_eq!(caller.code(deferred).await, pb::SettleCode::Ok);
    assert_eq!(states(&caller).await, []);
    // The lease of the next claim lapses, and the message is handed out again.
    let claimed = caller.claim(brief.clone()).await.expect("claimed");
    assert_eq!(claimed.deliveries.len(), 1);
    let other = pb::ClaimMessagesRequest {
        worker: "w".to_owned(),
        ..brief
    };
    let again = loop {
        match caller.claim(other.clone()).await {
            Ok(answer) if !answer.deliveries.is_empty() => break answer.deliveries,
            Ok(_) => {}
            Err(refused) => assert_eq!(refused.reason, "LEASE_HELD"),
        }
    };
    assert_eq!(states(&caller).await, []);
    caller
        .settled(vec![nack(&again[0], pb::NackKind::Retry, Some(1))])
        .await;
    assert_eq!(states(&caller).await, named(pb::CircuitState::Closed, 1));
}

#[tokio::test]
async fn observations_have_no_circuit() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    for _ in 0..4 {
        assert_eq!(
            sent(&caller, vec![message("o")]).await[0].1,
            Status::Enqueued
        );
        fail(&caller, pb::NackKind::Permanent).await;
    }
    assert_eq!(states(&caller).await, []);
}

/// Proves: F58.
#[tokio::test]
async fn an_ack_forgets_failures_and_closes_an_open_circuit() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let session = caller.opened("a").await;
    hopeless(&caller).await;
    hopeless(&caller).await;
    sent(&caller, vec![summary("fine")]).await;
    let out = caller.claimed(key("a"), "w").await;
    caller.settled(vec![ack(&out[0])]).await;
    assert_eq!(states(&caller).await, [], "failures in a row only");
    // One waits when the circuit opens: it is handed out all the same.
    sent(&caller, vec![summary("s"); 4]).await;
    let out = caller.claimed(key("a"), "w").await;
    assert_eq!(out.len(), 4);
    for delivery in &out[..3] {
        let failed = nack(delivery, pb::NackKind::Permanent, None);
        caller.settled(vec![failed]).await;
    }
    assert_eq!(
        sent(&caller, vec![summary("s")]).await,
        [(0, Status::SkippedCircuitOpen)]
    );
    caller.settled(vec![ack(&out[3])]).await;
    assert_eq!(states(&caller).await, []);
    let closed = watch
        .event(pb::EventType::CircuitClosed, &session.session_id)
        .await;
    assert_eq!(closed.attributes["kind"], "summarize");
    assert_eq!(closed.attributes["cause"], "ack");
    assert_eq!(closed.actor.unwrap().name, "w");
    assert_eq!(closed.session.unwrap().circuits, []);
    assert_eq!(
        sent(&caller, vec![summary("s")]).await[0].1,
        Status::Enqueued
    );
}

#[tokio::test]
async fn a_skipped_message_leaves_its_idempotency_key_unused_and_a_duplicate_is_told_first() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let with = |name: &str| pb::Message {
        idempotency_key: name.to_owned(),
        ..summary("s")
    };
    sent(&caller, vec![with("known")]).await;
    fail(&caller, pb::NackKind::Permanent).await;
    hopeless(&caller).await;
    hopeless(&caller).await;
    assert_eq!(
        sent(&caller, vec![with("known"), with("new")]).await,
        [(1, Status::Duplicate), (0, Status::SkippedCircuitOpen)]
    );
    caller
        .reset_circuit(reset("summarize"))
        .await
        .expect("reset");
    assert_eq!(
        sent(&caller, vec![with("new")]).await,
        [(4, Status::Enqueued)],
        "the key was not used up"
    );
}

/// Proves: F58.
#[tokio::test]
async fn an_open_circuit_is_as_it_was_after_a_sigkill() {
    let mut server = Server::start();
    let caller = Caller::to(&server).await;
    broken(&caller).await;
    let before = circuits(&caller).await;
    server.kill();
    server.restart();
    let caller = Caller::to(&server).await;
    let after = circuits(&caller).await;
    let parts = |all: &[pb::Circuit]| (all[0].kind.clone(), all[0].state, all[0].failures);
    assert_eq!(parts(&after), parts(&before));
    assert!(after[0].retry_time.is_some());
    assert_eq!(
        sent(&caller, vec![summary("s")]).await,
        [(0, Status::SkippedCircuitOpen)]
    );
}

#[tokio::test]
async fn a_successor_begins_without_circuits() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    broken(&caller).await;
    let replace = pb::OpenSessionRequest {
        conflict_policy: pb::ConflictPolicy::Replace.into(),
        ..open("a")
    };
    let successor = caller.opened_as(replace).await;
    assert_eq!(successor.circuits, []);
    assert_eq!(
        sent(&caller, vec![summary("s")]).await[0].1,
        Status::Enqueued
    );
}

/// Proves: F58.
#[tokio::test]
async fn when_the_pause_is_over_one_message_is_let_through_to_see_whether_it_succeeds() {
    let server = Server::configured("[retry]\ncircuit_cool_down = \"3s\"\n");
    let caller = Caller::to(&server).await;
    broken(&caller).await;
    until_let_through(&caller).await;
    assert_eq!(states(&caller).await, named(pb::CircuitState::Probing, 3));
    // It fails, and the pause begins anew.
    fail(&caller, pb::NackKind::Permanent).await;
    assert_eq!(states(&caller).await, named(pb::CircuitState::Open, 4));
    until_let_through(&caller).await;
    // Nothing is heard of this one, so another is let through a pause later.
    until_let_through(&caller).await;
    let out = caller.claimed(key("a"), "w").await;
    assert_eq!(out.len(), 2);
    caller.settled(vec![ack(&out[1])]).await;
    assert_eq!(states(&caller).await, []);
    let failed = nack(&out[0], pb::NackKind::Permanent, None);
    caller.settled(vec![failed]).await;
    assert_eq!(states(&caller).await, named(pb::CircuitState::Closed, 1));
}

#[tokio::test]
async fn an_operator_says_which_kinds_are_watched_and_how_closely() {
    let server =
        Server::configured("[retry]\ncircuit_kinds = \"observation\"\ncircuit_failures = 1\n");
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    hopeless(&caller).await;
    assert_eq!(states(&caller).await, []);
    sent(&caller, vec![message("o")]).await;
    fail(&caller, pb::NackKind::Retry).await;
    let again = sent(&caller, vec![message("o"), summary("s")]).await;
    assert_eq!(
        again,
        [(0, Status::SkippedCircuitOpen), (3, Status::Enqueued)]
    );
}

// === ResetCircuit ===

/// Proves: F58.
#[tokio::test]
async fn a_reset_closes_the_circuit_of_a_kind_and_is_harmless_twice() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut watch = WatchStream::from_now(&caller).await;
    let session = broken(&caller).await;
    let other = caller.reset_circuit(reset("observation")).await;
    let other = other.expect("nothing to do").session.unwrap();
    assert_eq!(other.circuits[0].state(), pb::CircuitState::Open);
    let before = caller.revision().await;
    let asked = pb::ResetCircuitRequest {
        request_id: "r".to_owned(),
        ..reset("summarize")
    };
    let first = caller.reset_circuit(asked.clone()).await.expect("reset");
    assert_eq!(first.session.unwrap().circuits, []);
    assert_eq!((first.duplicate, first.revision), (false, before + 1));
    let closed = watch
        .event(pb::EventType::CircuitClosed, &session.session_id)
        .await;
    assert_eq!(closed.attributes["cause"], "reset");
    assert_eq!(closed.actor.unwrap().kind(), pb::ActorKind::Api);
    for _ in 0..3 {
        hopeless(&caller).await;
    }
    let second = caller.reset_circuit(asked.clone()).await.expect("a repeat");
    assert!(second.duplicate);
    let shown = second.session.unwrap().circuits;
    assert_eq!(
        shown[0].state(),
        pb::CircuitState::Open,
        "it is not done twice"
    );
    let reused = pb::ResetCircuitRequest {
        target: Some(Target::Kind("other".to_owned())),
        ..asked
    };
    let refused = caller.reset_circuit(reused).await.expect_err("reused");
    assert_eq!(refused.reason, "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn a_reset_means_a_live_session() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let missing = caller.reset_circuit(reset("summarize")).await;
    assert_eq!(missing.expect_err("none").code, Code::NotFound);
    let session = caller.opened("a").await;
    let over = end(key("a"), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(over).await.expect("ended");
    let by_id = pb::ResetCircuitRequest {
        r#ref: id(&session.session_id),
        ..reset("summarize")
    };
    let refused = caller.reset_circuit(by_id).await.expect_err("over");
    assert_eq!(refused.reason, "SESSION_ENDED");
}
