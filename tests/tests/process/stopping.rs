//! Stopping where sessions stay: who is told what, what is refused meanwhile, and how a second signal ends it.

use std::net::TcpStream;

use rustix::process::Signal;
use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::work_response::Frame;
use sessiond_tests::caller::Caller;
use sessiond_tests::refusal::Refusal;
use sessiond_tests::requests::{ack, claim_within, key, message, open};
use sessiond_tests::work_stream::WorkStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::run::{KEEPS, Run, command};

/// A server that leaves sessions as they are, on a new directory, and the place that directory is in.
fn server() -> (tempfile::TempDir, Run, String) {
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let directory = temporary.path().join("data");
    let directory = directory.to_str().expect("a temporary path is UTF-8");
    let mut command = command(&["--listen", "127.0.0.1:0", "--data-dir", directory]);
    command.env(KEEPS, "false");
    let mut run = Run::start(command);
    let address = run.listening();
    (temporary, run, address)
}

async fn ended(run: Run) -> (Option<i32>, Vec<String>) {
    let ended = tokio::task::spawn_blocking(|| run.ended()).await;
    let (status, said) = ended.expect("it ends");
    (status.code(), said)
}

fn service(name: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: name.to_owned(),
    }
}

#[tokio::test]
async fn health_tells_liveness_and_readiness_by_name() {
    let (_temporary, _run, address) = server();
    let caller = Caller::at(&format!("http://{address}")).await;
    let mut health = HealthClient::new(caller.channel());
    for name in [
        "",
        "sessiond.v1.SessionService",
        "sessiond.v1.WorkerService",
        "sessiond.v1.MessageService",
    ] {
        let answer = health.check(service(name)).await.expect("a known name");
        assert_eq!(
            answer.into_inner().status(),
            ServingStatus::Serving,
            "{name:?}"
        );
    }
    let unknown = health.check(service("sessiond.v1.Nothing")).await;
    assert_eq!(unknown.expect_err("an unknown name").code(), Code::NotFound);
}

async fn next(
    watch: &mut tonic::Streaming<HealthCheckResponse>,
) -> Result<Option<ServingStatus>, tonic::Status> {
    let within = std::time::Duration::from_secs(14);
    let next = tokio::time::timeout(within, watch.message()).await;
    let next = next.expect("health is told in time")?;
    Ok(next.map(|answer| answer.status()))
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_flips_first_and_liveness_does_not_when_the_server_stops() {
    let (_temporary, run, address) = server();
    let caller = Caller::at(&format!("http://{address}")).await;
    let mut health = HealthClient::new(caller.channel());
    let ready = health.watch(service("sessiond.v1.WorkerService")).await;
    let live = health.watch(service("")).await;
    let (mut ready, mut live) = (ready.unwrap().into_inner(), live.unwrap().into_inner());
    assert_eq!(
        next(&mut ready).await.unwrap(),
        Some(ServingStatus::Serving)
    );
    assert_eq!(next(&mut live).await.unwrap(), Some(ServingStatus::Serving));
    run.signal(Signal::TERM);
    assert_eq!(
        next(&mut ready).await.unwrap(),
        Some(ServingStatus::NotServing)
    );
    // It is never told as dead while it stops; the stream ends with the connection.
    while let Ok(Some(status)) = next(&mut live).await {
        assert_eq!(status, ServingStatus::Serving);
    }
    let (code, said) = ended(run).await;
    assert_eq!(code, Some(0), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_told_to_finish_and_a_waiting_claim_is_answered() {
    let (_temporary, run, address) = server();
    let caller = Caller::at(&format!("http://{address}")).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["m"]).await;
    caller.opened("idle").await;
    let mut worker = WorkStream::worker(&caller, "w", 4).await;
    worker.attached_to(key("a")).await;
    worker.delivered(1).await;
    let waits = claim_within(key("idle"), "other", 60_000);
    let stops = async {
        run.signal(Signal::TERM);
        let Frame::Quiesce(quiesce) = worker.next().await else {
            panic!("`quiesce` comes first");
        };
        assert!(quiesce.deadline.is_some());
        let Frame::GoAway(away) = worker.next().await else {
            panic!("then a go-away");
        };
        assert_eq!(away.reason(), pb::GoAwayReason::ServerDraining);
        worker.closed().await;
    };
    let (claimed, ()) = tokio::join!(caller.claim(waits), stops);
    assert_eq!(claimed.expect("answered, not cut").deliveries, []);
    drop(worker);
    let (code, said) = ended(run).await;
    assert_eq!(code, Some(0), "{said:?}");
}

/// A connection that never says a word holds a stop open for its bound: time enough to ask.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_new_begins_on_a_stop_and_what_is_settled_counts() {
    let (_temporary, run, address) = server();
    let silent = TcpStream::connect(&address).expect("the server accepts");
    let caller = Caller::at(&format!("http://{address}")).await;
    caller.opened("a").await;
    caller.enqueued(key("a"), &["m"]).await;
    let out = caller.claimed(key("a"), "w").await;
    let (frames, queue) = mpsc::unbounded_channel();
    let mut messages = caller.messages();
    let stream = messages
        .enqueue_stream(UnboundedReceiverStream::new(queue))
        .await;
    let mut answers = stream.expect("a stream").into_inner();
    let frame = |name: &str| pb::EnqueueStreamRequest {
        stream_id: name.to_owned(),
        r#ref: key("a"),
        messages: vec![message("m")],
        ..pb::EnqueueStreamRequest::default()
    };
    frames.send(frame("one")).expect("it takes frames");
    let answer = answers
        .message()
        .await
        .expect("it goes on")
        .expect("it goes on");
    assert_eq!(answer.stream_id, "one");
    run.signal(Signal::TERM);
    let refused = Refusal::from(answers.message().await.expect_err("no more frames"));
    refused.is(Code::Unavailable, Reason::ServerDraining);
    let ends = pb::EndSessionsRequest {
        key_glob: "nobody".to_owned(),
        ..pb::EndSessionsRequest::default()
    };
    // What is said on a connection that is closing may be cut, but is never taken and refused at once.
    let told = [
        caller.open(open("b")).await.map(drop),
        WorkStream::open(&caller).await.map(drop),
        caller.end_many(ends).await.map(drop),
    ];
    for refusal in told.into_iter().filter_map(Result::err) {
        // Cut by the connection, which has no reason to give, or refused with ours.
        let cut = refusal.reason.is_empty();
        assert!(cut || refusal.code == Code::Unavailable, "{refusal:?}");
    }
    if let Ok(settled) = caller
        .settle(pb::SettleMessagesRequest {
            settlements: vec![ack(&out[0])],
        })
        .await
    {
        assert_eq!(settled.results[0].code(), pb::SettleCode::Ok);
    }
    drop((frames, answers, messages, caller));
    let (code, said) = ended(run).await;
    assert_eq!(code, Some(0), "{said:?}");
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once_and_what_was_acknowledged_is_kept() {
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let directory = temporary.path().join("data");
    let directory = directory.to_str().expect("a temporary path is UTF-8");
    let arguments = ["--listen", "127.0.0.1:0", "--data-dir", directory];
    let start = || {
        let mut command = command(&arguments);
        command.env(KEEPS, "false");
        Run::start(command)
    };
    let mut run = start();
    let address = run.listening();
    let silent = TcpStream::connect(&address).expect("the server accepts");
    let caller = Caller::at(&format!("http://{address}")).await;
    caller.opened("a").await;
    let mut health = HealthClient::new(caller.channel());
    let ready = health.watch(service("sessiond.v1.SessionService")).await;
    let mut ready = ready.unwrap().into_inner();
    assert_eq!(
        next(&mut ready).await.unwrap(),
        Some(ServingStatus::Serving)
    );
    run.signal(Signal::TERM);
    assert_eq!(
        next(&mut ready).await.unwrap(),
        Some(ServingStatus::NotServing)
    );
    run.signal(Signal::TERM);
    let (code, said) = ended(run).await;
    assert_eq!(code, Some(1), "{said:?}");
    drop(silent);
    let mut run = start();
    let address = run.listening();
    let caller = Caller::at(&format!("http://{address}")).await;
    assert_eq!(
        caller.session(key("a")).await.state(),
        pb::SessionState::Active
    );
}
