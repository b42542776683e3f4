//! A disk below the low-water mark: the process serves, says so once, and refuses nothing but what adds.

use rustix::process::Signal;
use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_store::data_dir::BALLAST_FILE;
use sessiond_tests::binaries;
use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{end, key, open};
use tonic::Code;

use super::run::{Run, command};

/// The variable of the mark.
const MARK: &str = "SESSIOND_STORE_MIN_FREE_BYTES";
/// More than any disk has: a pebibyte.
const NEVER_FREE: &str = "1048576GiB";

/// Proves: B17.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_disk_has_less_than_the_mark_serves_and_takes_nothing_more() {
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let directory = temporary.path().join("data");
    let path = directory.to_str().expect("a temporary path is UTF-8");
    let arguments = ["--listen", "127.0.0.1:0", "--data-dir", path];
    let start = |mark: &str| {
        let mut command = command(&arguments);
        command.env(MARK, mark);
        Run::start(command)
    };
    let mut run = start("never");
    let caller = Caller::at(&format!("http://{}", run.listening())).await;
    caller.opened("a").await;
    drop(caller);
    run.signal(Signal::TERM);
    let (status, said) = run.ended();
    assert_eq!(status.code(), Some(0), "{said:?}");
    // It may have been made, if this machine has room for it.
    drop(std::fs::remove_file(directory.join(BALLAST_FILE)));

    let mut run = start(NEVER_FREE);
    let address = run.listening();
    let caller = Caller::at(&format!("http://{address}")).await;
    let refusal = caller.open(open("b")).await.expect_err("there is no room");
    let refusal = refusal
        .is(Code::ResourceExhausted, Reason::StoreFull)
        .with("limit", &(1_u64 << 50).to_string());
    let free: u64 = refusal.metadata["free"].parse().expect("a number");
    assert!(free > 0 && free < 1 << 50, "{free}");
    let said_by_client = sessionctl(&address);
    assert!(
        said_by_client.contains("reason: STORE_FULL"),
        "{said_by_client}"
    );
    assert!(
        said_by_client.contains("retry_after: 10s"),
        "{said_by_client}"
    );
    let over = end(key("a"), pb::EndReason::Completed, pb::EndMode::Immediate);
    caller.end(over).await.expect("an end");
    drop(caller);
    run.signal(Signal::TERM);
    let (status, said) = run.ended();
    assert_eq!(status.code(), Some(0), "{said:?}");
    let told = said.iter().filter(|line| line.contains("short of room"));
    assert_eq!(told.count(), 1, "{said:?}");
    assert!(!directory.join(BALLAST_FILE).exists(), "it would take room");
}

/// What a person is told who opens a session there.
fn sessionctl(address: &str) -> String {
    let output = std::process::Command::new(binaries::sessionctl())
        .args(["--addr", address, "session", "open", "--key", "b"])
        .output()
        .expect("sessionctl can be run");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}
