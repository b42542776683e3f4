//! "The disk was full, and then nothing worked any more": neither ending what ran nor saying that work was done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_store::data_dir::{BALLAST_BYTES, BALLAST_FILE};
use sessiond_tests::caller::Caller;
use sessiond_tests::refusal::Refusal;
use sessiond_tests::requests::{
    ack, claim, dead_letters, end, enqueue, id, key, message, nack, open, payloads,
};
use sessiond_tests::simulated::Simulated;
use sessiond_tests::small_disk::SmallDisk;
use sessiond_tests::watch_stream::WatchStream;
use sessiond_tests::work_stream::WorkStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

const MIB: u64 = 1 << 20;
/// The low-water mark that nobody changed.
const MARK: u64 = 1_024 * MIB;
/// With as much as this free a shortage is over: an eighth more.
const ENOUGH: u64 = 1_152 * MIB;
const PLENTY: u64 = 4_096 * MIB;
const LITTLE: u64 = 512 * MIB;

async fn server(free: u64) -> (Arc<SmallDisk>, Simulated, Caller) {
    let disk = Arc::new(SmallDisk::with(free));
    let server = Simulated::start_on(Arc::clone(&disk) as Arc<_>, |_| {}).await;
    let caller = server.caller();
    (disk, server, caller)
}

/// Checks that a refusal is that of a full disk, with every fact it has.
#[track_caller]
fn is_full(refusal: Refusal, free: u64) {
    let refusal = refusal.is(Code::ResourceExhausted, Reason::StoreFull);
    let facts = [
        ("scope", "free bytes of the server's disk".to_owned()),
        ("limit", MARK.to_string()),
        ("enough", ENOUGH.to_string()),
        ("free", free.to_string()),
    ];
    assert_eq!(refusal.metadata.len(), facts.len(), "{refusal:?}");
    facts
        .iter()
        .fold(refusal, |refusal, (key, value)| refusal.with(key, value))
        .retries_within(Duration::from_secs(10));
}

fn named(payload: &str) -> pb::Message {
    pb::Message {
        idempotency_key: payload.to_owned(),
        ..message(payload)
    }
}

fn sends(
    session: Option<pb::SessionRef>,
    messages: Vec<pb::Message>,
) -> pb::EnqueueMessagesRequest {
    pb::EnqueueMessagesRequest {
        messages,
        ..enqueue(session, &[])
    }
}

fn opening(of: &str) -> pb::EnqueueMessagesRequest {
    pb::EnqueueMessagesRequest {
        open_if_missing: Some(pb::OpenSessionRequest::default()),
        ..enqueue(key(of), &["m"])
    }
}

fn once(of: &str) -> pb::OpenSessionRequest {
    pb::OpenSessionRequest {
        request_id: format!("open {of}"),
        ..open(of)
    }
}

/// Three sessions: `a` with a message in flight under `hand`, one that was given up and one pending; `b` and `c` with one
/// pending each.
async fn busy(caller: &Caller) -> (WorkStream, Vec<pb::Delivery>) {
    for of in ["a", "b", "c"] {
        caller.open(once(of)).await.expect("opened");
        let first = sends(key(of), vec![named("first")]);
        caller.enqueue(first).await.expect("enqueued");
    }
    let mut worker = WorkStream::worker(caller, "hand", 2).await;
    worker.attached_to(key("a")).await;
    caller.enqueued(key("a"), &["second", "third"]).await;
    let out = worker.delivered(2).await;
    let given_up = nack(&out[1], pb::NackKind::Permanent, None);
    assert_eq!(worker.code(given_up).await, pb::SettleCode::Ok);
    let third = worker.delivered(1).await;
    assert_eq!(payloads(&third), ["third"]);
    (worker, vec![out[0].clone(), third[0].clone()])
}

/// Proves: B17.
#[tokio::test]
async fn what_adds_is_refused_and_what_was_accepted_before_is_answered_as_before() {
    let (disk, _server, caller) = server(PLENTY).await;
    let (_worker, _out) = busy(&caller).await;
    let before = caller.stats(pb::GetStatsRequest::default()).await;
    disk.leave(LITTLE).await;
    let revision = caller.revision().await;
    // A message, alone and beside one that is known.
    is_full(
        caller.enqueue(enqueue(key("a"), &["m"])).await.unwrap_err(),
        LITTLE,
    );
    let mixed = sends(key("a"), vec![named("first"), named("new")]);
    is_full(caller.enqueue(mixed).await.unwrap_err(), LITTLE);
    // A session, by itself and with its first message.
    is_full(caller.open(open("d")).await.unwrap_err(), LITTLE);
    is_full(caller.open(open("")).await.unwrap_err(), LITTLE);
    is_full(caller.enqueue(opening("d")).await.unwrap_err(), LITTLE);
    // What is wrong whatever the disk is told as such.
    let unknown = caller.enqueue(enqueue(key("d"), &["m"])).await;
    let unknown = unknown.unwrap_err();
    unknown.is(Code::NotFound, Reason::SessionNotFound);
    assert_eq!(caller.revision().await, revision, "nothing happened");
    let after = caller.stats(pb::GetStatsRequest::default()).await;
    let live = |stats: Result<pb::GetStatsResponse, Refusal>| stats.expect("counts").sessions;
    assert_eq!(live(after), live(before));
    // What was accepted before is answered as before.
    let again = caller.enqueue(sends(key("a"), vec![named("first")])).await;
    let again = again.expect("a duplicate").results;
    assert_eq!(again[0].status(), pb::EnqueueStatus::Duplicate);
    let again = caller.open(once("a")).await.expect("a repeat");
    assert!(again.duplicate);
    let found = caller.open(open("a")).await.expect("it is there");
    assert!(!found.created);
    let there = pb::EnqueueMessagesRequest {
        messages: vec![named("first")],
        ..opening("b")
    };
    let there = caller.enqueue(there).await.expect("a duplicate");
    assert!(!there.opened);
}

/// Proves: B17.
#[tokio::test]
async fn work_that_is_there_is_done_and_sessions_end_on_a_full_disk() {
    let (disk, server, caller) = server(PLENTY).await;
    let (mut worker, out) = busy(&caller).await;
    let mut watch = WatchStream::from_now(&caller).await;
    disk.leave(LITTLE).await;
    // Settled on a stream, claimed and settled without one.
    assert_eq!(worker.code(ack(&out[0])).await, pb::SettleCode::Ok);
    let claimed = caller.claimed(key("b"), "other").await;
    assert_eq!(payloads(&claimed), ["first"]);
    assert_eq!(caller.code(ack(&claimed[0])).await, pb::SettleCode::Ok);
    let retried = nack(&out[1], pb::NackKind::Retry, Some(1_000));
    assert_eq!(worker.code(retried).await, pb::SettleCode::Ok);
    server.advance(Duration::from_secs(1)).await;
    assert_eq!(payloads(&worker.delivered(1).await), ["third"]);
    use_and_clear(&caller).await;
    // Reset, replaced, ended, and all of it told to whoever watches.
    let reset = pb::ResetSessionRequest {
        r#ref: key("b"),
        ..pb::ResetSessionRequest::default()
    };
    let reset = caller.reset(reset).await.expect("reset");
    let successor = reset.successor.expect("a successor").session_id;
    let replace = pb::OpenSessionRequest {
        conflict_policy: pb::ConflictPolicy::Replace.into(),
        ..open("c")
    };
    let replaced = caller.open(replace).await.expect("replaced");
    assert!(replaced.created);
    let over = end(
        id(&successor),
        pb::EndReason::Completed,
        pb::EndMode::Immediate,
    );
    caller.end(over).await.expect("ended");
    watch.event(pb::EventType::SessionEnd, &successor).await;
    let purge = pb::PurgeSessionsRequest {
        session_ids: vec![successor],
        ..pb::PurgeSessionsRequest::default()
    };
    let purged = caller.purge(purge).await.expect("purged").results;
    assert_eq!(purged[0].outcome(), pb::PurgeOutcome::Purged);
    is_full(caller.open(open("b")).await.unwrap_err(), LITTLE);
}

/// Uses `a` and looks at it, brings its dead letter back and throws the message of `c` away.
async fn use_and_clear(caller: &Caller) {
    let touch = pb::TouchSessionRequest {
        r#ref: key("a"),
        ..pb::TouchSessionRequest::default()
    };
    caller.touch(touch).await.expect("touched");
    let update = pb::UpdateSessionRequest {
        r#ref: key("a"),
        project: "p".to_owned(),
        ..pb::UpdateSessionRequest::default()
    };
    caller.update(update).await.expect("updated");
    let begin = pb::BeginRequestRequest {
        r#ref: key("a"),
        ..pb::BeginRequestRequest::default()
    };
    let begun = caller.begin_request(begin).await.expect("begun");
    let over = pb::EndRequestRequest {
        r#ref: key("a"),
        request_token: begun.request_token,
    };
    caller.end_request(over).await.expect("ended");
    caller
        .list(pb::ListSessionsRequest::default())
        .await
        .expect("a list");
    assert_eq!(caller.messages_of(key("c")).await.len(), 1);
    let letters = caller.list_dead_letters(dead_letters(key("a"))).await;
    assert_eq!(letters.expect("a list").dead_letters.len(), 1);
    let requeue = pb::RequeueDeadLettersRequest {
        filter: Some(pb::DeadLetterFilter::default()),
        ..pb::RequeueDeadLettersRequest::default()
    };
    let requeued = caller.requeue(requeue).await.expect("requeued");
    assert_eq!(requeued.requeued, 1);
    let discard = pb::DiscardMessagesRequest {
        r#ref: key("c"),
        seqs: vec![1],
        ..pb::DiscardMessagesRequest::default()
    };
    let discarded = caller.discard(discard).await.expect("discarded");
    assert_eq!(discarded.discarded, 1);
}

/// Proves: B17.
#[tokio::test]
async fn it_is_over_when_there_is_room_again_and_the_server_is_ready_all_the_time() {
    let (disk, _server, caller) = server(PLENTY).await;
    caller.opened("a").await;
    disk.leave(MARK).await;
    caller.enqueued(key("a"), &["at the mark"]).await;
    disk.leave(MARK - 1).await;
    let refused = || caller.enqueue(enqueue(key("a"), &["m"]));
    is_full(refused().await.unwrap_err(), MARK - 1);
    let mut health = HealthClient::new(caller.channel());
    for service in [
        "",
        "sessiond.v1.SessionService",
        "sessiond.v1.MessageService",
    ] {
        let service = service.to_owned();
        let answer = health.check(HealthCheckRequest { service }).await;
        let status = answer.expect("a known name").into_inner().status();
        assert_eq!(status, ServingStatus::Serving);
    }
    // A few bytes more are no reason to begin again, and what is told is what is.
    disk.leave(ENOUGH - 1).await;
    is_full(refused().await.unwrap_err(), ENOUGH - 1);
    disk.leave(ENOUGH).await;
    assert_eq!(caller.enqueued(key("a"), &["m"]).await, [2]);
    caller.opened("b").await;
}

/// A stream goes on: each of its frames has its own answer.
///
/// Proves: B17.
#[tokio::test]
async fn a_stream_of_messages_is_told_frame_by_frame() {
    let (disk, _server, caller) = server(PLENTY).await;
    caller.opened("a").await;
    let known = caller.enqueue(sends(key("a"), vec![named("known")])).await;
    known.expect("enqueued");
    disk.leave(LITTLE).await;
    let frame = |messages| pb::EnqueueStreamRequest {
        r#ref: key("a"),
        messages,
        ..pb::EnqueueStreamRequest::default()
    };
    let frames = [vec![message("m")], vec![named("known")], vec![message("n")]].map(frame);
    let mut messages = caller.messages();
    let answers = messages.enqueue_stream(tokio_stream::iter(frames)).await;
    let mut answers = answers.expect("a stream").into_inner();
    for refused in [true, false, true] {
        let answer = answers.message().await.expect("it goes on");
        let answer = answer.expect("it goes on");
        let status = answer.status.map(|status| status.reason);
        let expected = refused.then(|| Reason::StoreFull.as_str().to_owned());
        assert_eq!(status, expected);
    }
}

/// The names of what lies in the data directory.
fn files(server: &Simulated) -> BTreeSet<String> {
    let entries = std::fs::read_dir(server.directory()).expect("it can be listed");
    entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect()
}

/// Proves: B17.
#[tokio::test]
async fn a_full_disk_starts_again_on_its_ballast_and_refuses_from_the_first_call_on() {
    let (disk, mut server, caller) = server(PLENTY).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["m"]).await;
    disk.leave(PLENTY).await;
    assert!(
        files(&server).contains(BALLAST_FILE),
        "{:?}",
        files(&server)
    );
    disk.leave(BALLAST_BYTES - 1).await;
    assert!(
        files(&server).contains(BALLAST_FILE),
        "a start needs it, and no other"
    );
    server.restart().await;
    assert!(!files(&server).contains(BALLAST_FILE));
    let caller = server.caller();
    is_full(caller.open(open("b")).await.unwrap_err(), BALLAST_BYTES - 1);
    let out = caller.claim(claim(key("a"), "w")).await.expect("claimed");
    assert_eq!(
        caller.code(ack(&out.deliveries[0])).await,
        pb::SettleCode::Ok
    );
    // Made again where neither the mark nor the next start would take it back.
    disk.leave(ENOUGH + BALLAST_BYTES - 1).await;
    caller.opened("b").await;
    assert!(!files(&server).contains(BALLAST_FILE));
    disk.leave(ENOUGH + BALLAST_BYTES).await;
    disk.leave(ENOUGH + BALLAST_BYTES).await;
    assert!(files(&server).contains(BALLAST_FILE));
}
