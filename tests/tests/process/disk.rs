//! A disk that takes no more, or fails: the process stops, says so, and what it acknowledged is there
//! afterwards.
//!
//! The disk is so for one process only. It is full by a limit on the size of its files, with the signal
//! for it ignored, which makes growth fail like a disk does; and it fails by a filter of the kernel, which
//! any user may put before a process of its own, and which answers writes behind a place with EIO. What
//! this deliberately does not do: fail at each of the places where a disk can; the crash tests do.

use std::process::Command;

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

/// Where a failing disk fails, in bytes from the beginning of a file: as far as a full one reaches.
const FAILS_AT: u32 = 8 * 1_024 * 1_024;
/// Puts the filter before a command and becomes it. Perl, because it is on every Linux and can make a
/// call of the system by its number.
const FILTER: &str = r#"
my ($arch, $prctl, $pwrite, $at) = map { $_ + 0 } splice @ARGV, 0, 4;
my ($load, $equal, $at_least, $return) = (0x20, 0x15, 0x35, 0x06);
my ($eio, $allow) = (0x00050000 | 5, 0x7fff0000);
my $filter = join '', map { pack 'SCCL', @$_ } (
    [$load, 0, 0, 4],              # the architecture
    [$equal, 0, 5, $arch],
    [$load, 0, 0, 0],              # the number of the call
    [$equal, 0, 3, $pwrite],
    [$load, 0, 0, 40],             # its fourth argument: where in the file
    [$at_least, 0, 1, $at],
    [$return, 0, 0, $eio],
    [$return, 0, 0, $allow],
);
my $program = pack 'Sx6P', 8, $filter;
my ($no_new_privileges, $seccomp, $by_filter) = (38, 22, 2);
syscall($prctl, $no_new_privileges, 1, 0, 0, 0) == 0 or die "no_new_privs: $!";
syscall($prctl, $seccomp, $by_filter, $program) == 0 or die "seccomp: $!";
exec @ARGV or die "exec: $!";
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_server_and_loses_nothing_acknowledged() {
    stops_and_loses_nothing(|server| {
        let mut limited = Command::new("sh");
        limited
            .args(["-c", "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"", BLOCKS])
            .arg(server.get_program())
            .args(server.get_args());
        limited
    })
    .await;
}

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
#[tokio::test(flavor = "multi_thread")]
async fn a_failing_disk_stops_the_server_and_loses_nothing_acknowledged() {
    // How the kernel calls the machine, prctl and pwrite64.
    let numbers: [u32; 3] = if cfg!(target_arch = "x86_64") {
        [0xc000_003e, 157, 18]
    } else {
        [0xc000_00b7, 167, 68]
    };
    stops_and_loses_nothing(|server| {
        let mut failing = Command::new("perl");
        failing
            .args(["-e", FILTER])
            .args(numbers.map(|number| number.to_string()))
            .arg(FAILS_AT.to_string())
            .arg(server.get_program())
            .args(server.get_args());
        failing
    })
    .await;
}

/// Fills a server on a disk that `worsens` until it stops, and looks for what it acknowledged.
async fn stops_and_loses_nothing(worsens: impl Fn(&Command) -> Command) {
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let directory = temporary.path().join("data");
    let directory = directory.to_str().expect("a temporary path is UTF-8");
    let arguments = ["--listen", "127.0.0.1:0", "--data-dir", directory];
    let mut run = Run::start(worsens(&command(&arguments)));
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
