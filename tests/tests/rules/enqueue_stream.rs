//! Enqueue streams: answers in the order of the frames, each after its commit, whatever one of them says.

use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::refusal::Refusal;
use sessiond_tests::requests::{end, id, key, message, open};
use sessiond_tests::server::Server;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;

/// How long an answer may take.
const ANSWER_WITHIN: std::time::Duration = std::time::Duration::from_secs(20);

struct Sender {
    frames: mpsc::UnboundedSender<pb::EnqueueStreamRequest>,
    answers: Streaming<pb::EnqueueStreamResponse>,
}

impl Sender {
    async fn open(caller: &Caller) -> Self {
        let (frames, queue) = mpsc::unbounded_channel();
        let mut messages = caller.messages();
        let answer = messages
            .enqueue_stream(UnboundedReceiverStream::new(queue))
            .await;
        let answers = answer.expect("a stream").into_inner();
        Self { frames, answers }
    }

    fn send(&self, frame: pb::EnqueueStreamRequest) {
        self.frames.send(frame).expect("the stream takes frames");
    }

    async fn answer(&mut self) -> Result<Option<pb::EnqueueStreamResponse>, Refusal> {
        let answer = tokio::time::timeout(ANSWER_WITHIN, self.answers.message()).await;
        answer.expect("an answer in time").map_err(Refusal::from)
    }

    async fn next(&mut self) -> pb::EnqueueStreamResponse {
        let answer = self.answer().await.expect("the stream goes on");
        answer.expect("the stream goes on")
    }
}

fn frame(
    name: &str,
    session: Option<pb::SessionRef>,
    payloads: &[&str],
) -> pb::EnqueueStreamRequest {
    pb::EnqueueStreamRequest {
        stream_id: name.to_owned(),
        r#ref: session,
        messages: payloads.iter().map(|payload| message(payload)).collect(),
        ..pb::EnqueueStreamRequest::default()
    }
}

fn seqs(answer: &pb::EnqueueStreamResponse) -> Vec<u64> {
    answer.results.iter().map(|result| result.seq).collect()
}

#[tokio::test]
async fn frames_are_answered_in_order_after_their_commit() {
    const FRAMES: u64 = 500;
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await;
    let mut sender = Sender::open(&caller).await;
    for at in 1..=FRAMES {
        sender.send(frame(&format!("f{at}"), key("a"), &["x", "y"]));
    }
    for at in 1..=FRAMES {
        let answer = sender.next().await;
        assert_eq!(answer.stream_id, format!("f{at}"));
        assert_eq!(seqs(&answer), [2 * at - 1, 2 * at]);
        assert!(answer.status.is_none() && !answer.opened);
        assert_eq!((answer.revision, answer.queue_id), (1, session.queue_id));
        assert_eq!(answer.session_id, session.session_id);
        if at == FRAMES / 2 {
            let counts = caller.session(key("a")).await.counts.unwrap();
            assert!(counts.enqueued >= 2 * at, "answered after the commit");
        }
    }
    drop(sender.frames);
    assert_eq!(
        sender.answers.message().await.expect("closed in order"),
        None
    );
    assert_eq!(
        caller.session(key("a")).await.counts.unwrap().pending,
        2 * FRAMES
    );
}

#[tokio::test]
async fn one_bad_frame_does_not_end_the_stream() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let ended = caller.opened("b").await.session_id;
    let over = end(key("b"), pb::EndReason::Failed, pb::EndMode::Immediate);
    caller.end(over).await.expect("ended");
    let mut sender = Sender::open(&caller).await;
    let kindless = pb::Message {
        kind: String::new(),
        ..message("x")
    };
    sender.send(frame("good 1", key("a"), &["one"]));
    sender.send(pb::EnqueueStreamRequest {
        messages: vec![message("fine"), kindless],
        ..frame("bad message", None, &[])
    });
    sender.send(frame("nobody", key("none"), &["two"]));
    sender.send(frame("ended", id(&ended), &["two"]));
    sender.send(frame("no messages", key("a"), &[]));
    sender.send(frame("good 2", key("a"), &["three"]));
    assert_eq!(seqs(&sender.next().await), [1]);
    let refused =
        |answer: pb::EnqueueStreamResponse, name: &str, reason: &str, code: tonic::Code| {
            assert_eq!(answer.stream_id, name);
            let told = (
                answer.results.len(),
                answer.revision,
                answer.queue_id,
                answer.session_id,
            );
            assert_eq!(told, (0, 0, 0, String::new()));
            let status = answer.status.expect("a status");
            assert_eq!((status.reason.as_str(), status.code), (reason, code as i32));
            status
        };
    let invalid = tonic::Code::InvalidArgument;
    let status = refused(sender.next().await, "bad message", "FIELD_INVALID", invalid);
    let fields: Vec<&str> = status
        .violations
        .iter()
        .map(|one| one.field.as_str())
        .collect();
    assert_eq!(fields, ["ref", "messages[1].kind"], "every fault at once");
    let status = refused(
        sender.next().await,
        "nobody",
        "SESSION_NOT_FOUND",
        tonic::Code::NotFound,
    );
    assert_eq!(status.metadata.get("key").map(String::as_str), Some("none"));
    let gone = tonic::Code::FailedPrecondition;
    let status = refused(sender.next().await, "ended", "SESSION_ENDED", gone);
    assert_eq!(
        status.metadata.get("end_reason").map(String::as_str),
        Some("FAILED")
    );
    refused(sender.next().await, "no messages", "FIELD_INVALID", invalid);
    let good = sender.next().await;
    assert_eq!((good.stream_id.as_str(), seqs(&good)), ("good 2", vec![2]));
}

#[tokio::test]
async fn a_frame_may_open_its_session() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let mut sender = Sender::open(&caller).await;
    let opening = || pb::EnqueueStreamRequest {
        open_if_missing: Some(open("")),
        request_id: "once".to_owned(),
        ..frame("f", key("a"), &["one"])
    };
    sender.send(opening());
    sender.send(opening());
    let first = sender.next().await;
    assert!(first.opened);
    assert_eq!(
        (first.results[0].status(), first.revision),
        (pb::EnqueueStatus::Enqueued, 1)
    );
    let second = sender.next().await;
    assert!(!second.opened);
    assert_eq!(second.results[0].status(), pb::EnqueueStatus::Duplicate);
    assert_eq!(second.session_id, first.session_id);
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answers_delays_nobody_else() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    caller.opened("a").await;
    let stuck = Sender::open(&caller).await;
    for at in 0..20_000 {
        stuck.send(frame(&format!("{at:0>200}"), key("a"), &["x"]));
    }
    let other = Caller::to(&server).await;
    let mut sender = Sender::open(&other).await;
    for at in 0..50 {
        sender.send(frame(&format!("f{at}"), key("a"), &["y"]));
        assert_eq!(sender.next().await.stream_id, format!("f{at}"));
    }
    drop(stuck);
}
