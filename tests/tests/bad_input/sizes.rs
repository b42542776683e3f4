//! Sizes: exactly the limit is taken, one more is not.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::work_request::Frame as Said;
use sessiond_tests::refusal::Refusal;
use sessiond_tests::requests::{ack, enqueue, key, message};
use sessiond_tests::work_stream::{WorkStream, hello};
use tonic::Code;

use super::table::World;

const MEBIBYTE: usize = 1_024 * 1_024;
/// Bytes of the largest request that is read.
const REQUEST_BYTES_MAX: usize = 17 * MEBIBYTE;

/// A request that is larger than the server reads: told as every refusal, with the bound.
#[track_caller]
fn not_read(refused: Refusal) {
    let limit = REQUEST_BYTES_MAX.to_string();
    let refused = refused
        .is(Code::InvalidArgument, Reason::MessageTooLarge)
        .with("limit", &limit);
    assert!(refused.message.contains(&limit), "{}", refused.message);
    assert_eq!(refused.fields, [""; 0], "nothing of it was looked at");
}

fn sized(payloads: &[usize]) -> pb::EnqueueMessagesRequest {
    let messages = payloads.iter().map(|bytes| pb::Message {
        payload: vec![7; *bytes].into(),
        ..message("")
    });
    pb::EnqueueMessagesRequest {
        messages: messages.collect(),
        ..enqueue(key("a"), &[])
    }
}

#[tokio::test]
async fn a_payload_of_exactly_the_limit_is_taken_and_one_byte_more_is_not() {
    let world = World::new().await;
    let caller = &world.caller;
    let refused = caller
        .enqueue(sized(&[1, 8 * MEBIBYTE + 1]))
        .await
        .expect_err("too large");
    let refused = refused
        .is(Code::InvalidArgument, Reason::MessageTooLarge)
        .with("limit", &(8 * MEBIBYTE).to_string());
    assert_eq!(refused.fields, ["messages[1].payload"]);
    world.is_unchanged().await;
    caller.settled(vec![ack(&world.delivery)]).await;
    caller.enqueue(sized(&[8 * MEBIBYTE])).await.expect("taken");
    let out = caller.claimed(key("a"), "w").await;
    let large = out.last().unwrap().message.as_ref().unwrap();
    assert_eq!(large.payload.len(), 8 * MEBIBYTE, "and it comes back whole");
}

#[tokio::test]
async fn a_batch_of_exactly_the_limit_is_taken_and_one_byte_more_is_not() {
    let world = World::new().await;
    let over = sized(&[8 * MEBIBYTE, 8 * MEBIBYTE - 1, 2]);
    let refused = world.caller.enqueue(over).await.expect_err("too large");
    let refused = refused.is(Code::InvalidArgument, Reason::MessageTooLarge);
    assert_eq!(refused.fields, ["messages"]);
    world.is_unchanged().await;
    world
        .caller
        .enqueue(sized(&[8 * MEBIBYTE, 8 * MEBIBYTE]))
        .await
        .expect("taken");
}

#[tokio::test]
async fn two_hundred_and_fifty_six_messages_are_taken_and_one_more_is_not() {
    let world = World::new().await;
    let refused = world
        .caller
        .enqueue(sized(&[0; 257]))
        .await
        .expect_err("too many");
    let refused = refused.is(Code::InvalidArgument, Reason::FieldInvalid);
    assert_eq!(refused.fields, ["messages"]);
    world.is_unchanged().await;
    let answer = world.caller.enqueue(sized(&[0; 256])).await.expect("taken");
    assert_eq!(answer.results.len(), 256);
}

#[tokio::test]
async fn a_request_larger_than_the_server_reads_is_refused_and_the_connection_goes_on() {
    let world = World::new().await;
    let refused = world
        .caller
        .enqueue(sized(&[8 * MEBIBYTE; 3]))
        .await
        .expect_err("24 MiB");
    not_read(refused);
    // Every service has the same bound.
    let long = "x".repeat(REQUEST_BYTES_MAX);
    let refused = world.caller.touch(pb::TouchSessionRequest {
        r#ref: key(&long),
        ..pb::TouchSessionRequest::default()
    });
    not_read(refused.await.expect_err("too large"));
    let workers = world.caller.list_workers(pb::ListWorkersRequest {
        page_token: long,
        ..pb::ListWorkersRequest::default()
    });
    not_read(workers.await.expect_err("too large"));
    world.is_unchanged().await;
    world
        .caller
        .enqueue(sized(&[1]))
        .await
        .expect("the same connection");
}

#[tokio::test]
async fn a_frame_larger_than_the_server_reads_ends_a_workers_stream_with_the_reason() {
    let world = World::new().await;
    let long = "x".repeat(REQUEST_BYTES_MAX);
    let mut first = WorkStream::open(&world.caller).await.expect("a stream");
    first.say(Said::Hello(hello(&long, 0)));
    not_read(first.refusal().await);
    let mut later = WorkStream::worker(&world.caller, "other", 0).await;
    later.say(Said::Goodbye(pb::Goodbye { detail: long }));
    not_read(later.refusal().await);
    world.is_unchanged().await;
    WorkStream::worker(&world.caller, "other", 0).await;
}

#[tokio::test]
async fn a_frame_larger_than_the_server_reads_ends_an_enqueue_stream_behind_the_answers_before_it()
{
    let world = World::new().await;
    let frame = |payloads: &[usize]| pb::EnqueueStreamRequest {
        stream_id: "s".to_owned(),
        r#ref: key("a"),
        messages: sized(payloads).messages,
        ..pb::EnqueueStreamRequest::default()
    };
    let frames = [frame(&[1]), frame(&[8 * MEBIBYTE; 3]), frame(&[1])];
    let mut messages = world.caller.messages();
    let answer = messages.enqueue_stream(tokio_stream::iter(frames)).await;
    let mut answers = answer.expect("a stream").into_inner();
    let first = answers.message().await.expect("an answer");
    assert_eq!(first.expect("an answer").stream_id, "s");
    not_read(answers.message().await.expect_err("too large").into());
    let session = world.caller.session(key("a")).await;
    let counts = session.counts.expect("counts");
    assert_eq!(counts.enqueued, 3, "the one before it, and none of it");
}
