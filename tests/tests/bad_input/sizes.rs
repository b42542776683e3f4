//! Sizes: exactly the limit is taken, one more is not.

use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_tests::requests::{ack, enqueue, key, message};
use tonic::Code;

use super::table::World;

const MEBIBYTE: usize = 1_024 * 1_024;

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
    assert_ne!(refused.code, Code::Ok);
    world.is_unchanged().await;
    world
        .caller
        .enqueue(sized(&[1]))
        .await
        .expect("the same connection");
}
