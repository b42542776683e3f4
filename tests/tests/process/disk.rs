//! A disk that takes no more: the process stops, says so, and what it acknowledged is there afterwards.
//!
//! The disk is full for one process only: a limit on the size of its files, with the signal for it
//! ignored, makes growth fail like a disk does.

use sessiond_proto::v1 as pb;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{enqueue, key, message};
use tonic::Code;

use super::run::{Run, command};

/// Blocks of 512 bytes that a file of the limited server may have: 8 MiB, or 16 where a shell counts in
/// KiB. A new store takes less, and what the test sends takes more.
const BLOCKS: &str = "16384";
/// Bytes of one message.
const PAYLOAD_BYTES: usize = 256 * 1_024;
/// Messages that no file of that size can hold.
const MESSAGES_MAX: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_stops_the_server_and_loses_nothing_acknowledged() {
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let directory = temporary.path().join("data");
    let directory = directory.to_str().expect("a temporary path is UTF-8");
    let arguments = ["--listen", "127.0.0.1:0", "--data-dir", directory];
    let server = command(&arguments);
    let mut limited = std::process::Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"", BLOCKS])
        .arg(server.get_program())
        .args(server.get_args());
    let mut run = Run::start(limited);
    let address = run.listening();
    let caller = Caller::at(&format!("http://{address}")).await;
    caller.opened("a").await;
    let large = || pb::EnqueueMessagesRequest {
        messages: vec![pb::Message {
            payload: vec![7; PAYLOAD_BYTES].into(),
            ..message("")
        }],
        ..enqueue(key("a"), &[])
    };
    let mut acknowledged = 0;
    let refusal = loop {
        match caller.enqueue(large()).await {
            Ok(answer) => acknowledged = answer.results[0].seq,
            Err(refusal) => break refusal,
        }
        assert!(acknowledged < MESSAGES_MAX as u64, "the disk is not full");
    };
    let lost = [Code::Unavailable, Code::Unknown, Code::Cancelled];
    assert!(
        lost.contains(&refusal.code),
        "the outcome is unknown: {refusal:?}"
    );
    drop(caller);
    let ended = tokio::task::spawn_blocking(|| run.ended()).await;
    let (status, said) = ended.expect("it ends");
    assert_eq!(status.code(), Some(5), "{said:?}");
    assert!(
        said.iter().any(|line| line.contains("the store failed")),
        "{said:?}"
    );
    assert!(acknowledged > 0, "something was acknowledged before");
    let mut run = Run::start(command(&arguments));
    let address = run.listening();
    let caller = Caller::at(&format!("http://{address}")).await;
    let kept = caller.messages_of(key("a")).await.len() as u64;
    assert!(kept >= acknowledged, "{kept} of {acknowledged}");
    assert!(
        kept <= acknowledged + 1,
        "and at most the one whose outcome was unknown"
    );
    caller.enqueue(large()).await.expect("there is room again");
}
