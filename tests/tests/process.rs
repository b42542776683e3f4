//! The server as a process: what it refuses to start on, what it prints, how it stops, and what its one
//! port says to those who do not speak its contract.

#[path = "process/abuse.rs"]
mod abuse;
#[path = "process/audit.rs"]
mod audit;
#[path = "process/bound.rs"]
mod bound;
#[path = "process/bound_tmux.rs"]
mod bound_tmux;
#[path = "process/cleanup_log.rs"]
mod cleanup_log;
#[path = "process/config.rs"]
mod config;
#[path = "process/connections.rs"]
mod connections;
#[path = "process/disk.rs"]
mod disk;
#[path = "process/drain_announced.rs"]
mod drain_announced;
#[path = "process/drained_by_call.rs"]
mod drained_by_call;
#[path = "process/drained_often.rs"]
mod drained_often;
#[path = "process/drains.rs"]
mod drains;
#[path = "process/drains_heard.rs"]
mod drains_heard;
#[path = "process/drains_hung.rs"]
mod drains_hung;
#[path = "process/drains_weighed.rs"]
mod drains_weighed;
#[path = "process/enclosed.rs"]
mod enclosed;
#[path = "process/exports.rs"]
mod exports;
#[path = "process/full.rs"]
mod full;
#[path = "process/killed_at_flush.rs"]
mod killed_at_flush;
#[path = "process/letters.rs"]
mod letters;
#[path = "process/metrics.rs"]
mod metrics;
#[path = "process/nodes.rs"]
mod nodes;
#[path = "process/notices.rs"]
mod notices;
#[path = "process/old_connections.rs"]
mod old_connections;
#[path = "process/permission.rs"]
mod permission;
#[path = "process/reflection.rs"]
mod reflection;
#[path = "process/resource_commands.rs"]
mod resource_commands;
#[path = "process/resources.rs"]
mod resources;
#[path = "process/run.rs"]
mod run;
#[path = "process/soak.rs"]
mod soak;
#[path = "process/starting.rs"]
mod starting;
#[path = "process/stopping.rs"]
mod stopping;
#[path = "process/stuck_watchers.rs"]
mod stuck_watchers;
#[path = "process/subscription_commands.rs"]
mod subscription_commands;
#[path = "process/tls.rs"]
mod tls;
#[path = "process/unfinished.rs"]
mod unfinished;
#[path = "process/web.rs"]
mod web;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use sessiond_proto::v1 as pb;
use sessiond_tests::binaries;
use sessiond_tests::caller::Caller;
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::WatchStream;
use sessiond_tests::work_stream::WorkStream;

/// The bound of a stop with streams and silent connections open: 2 s and 2 s, 5 s for the store, and
/// 5 s to spare on a busy machine.
const STOP_WITHIN: Duration = Duration::from_secs(14);

/// Runs a server that must refuse to start.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let output: Output = Command::new(binaries::sessiond())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the server can be run");
    assert!(output.stdout.is_empty(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("listening on"), "{said}");
    (output.status.code(), said)
}

/// A data directory that is refused: exit code 3, one line, and nothing in it changed.
fn directory_refused(directory: &Path) -> String {
    let path = directory.to_str().expect("a temporary path is UTF-8");
    let (code, said) = refused(&["serve", "--listen", "127.0.0.1:0", "--data-dir", path]);
    assert_eq!(code, Some(3), "{said}");
    assert_eq!(said.lines().count(), 1, "one sentence: {said}");
    said
}

#[test]
fn a_data_directory_in_use_is_refused_and_the_first_server_goes_on() {
    let server = Server::start();
    let said = directory_refused(server.directory());
    assert!(said.contains("in use"), "{said}");
    assert!(
        http(&server, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n").starts_with("HTTP/1.1 200")
    );
}

#[test]
fn what_is_no_store_is_refused_untouched() {
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let file = temporary.path().join("file");
    std::fs::write(&file, "not a directory").expect("a file can be written");
    directory_refused(&file);
    let directory = temporary.path().join("data");
    std::fs::create_dir(&directory).expect("a directory can be made");
    let private = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(&directory, private).expect("permissions can be set");
    let store = directory.join("state.redb");
    let garbage = b"this is somebody's letter, and not a database at all".repeat(200);
    std::fs::write(&store, &garbage).expect("a file can be written");
    directory_refused(&directory);
    let after = std::fs::read(&store).expect("the file is still there");
    assert!(after == garbage, "a refused file is not touched");
}

#[test]
fn a_directory_open_to_others_is_refused_with_the_fix() {
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let directory = temporary.path().join("data");
    std::fs::create_dir(&directory).expect("a directory can be made");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&directory, open).expect("permissions can be set");
    let said = directory_refused(&directory);
    assert!(said.contains("chmod"), "{said}");
}

#[test]
fn a_new_directory_is_private() {
    let server = Server::start();
    let mode = |path: &Path| {
        let metadata = std::fs::metadata(path).expect("it is there");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode(server.directory()), 0o700);
    assert_eq!(mode(&server.directory().join("state.redb")), 0o600);
}

#[test]
fn bad_flags_are_usage_and_name_the_flag() {
    for (arguments, word) in [
        (&["--listen", "0.0.0.0:7377"][..], "loopback"),
        (&["--listen", "7377"], "--listen"),
        (&["--listen", "unix:"], "--listen"),
        (&["--no-such-flag"], "--no-such-flag"),
        (&["--namespaces", "a\u{7}b"], "--namespaces"),
        (&["--log-level", "=,="], "--log-level"),
    ] {
        let (code, said) = refused(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(word), "{arguments:?}: {said}");
    }
}

#[test]
fn a_taken_address_is_refused() {
    let server = Server::start();
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let directory = temporary.path().join("data");
    let directory = directory.to_str().expect("a temporary path is UTF-8");
    let (code, said) = refused(&["--listen", server.address(), "--data-dir", directory]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains(server.address()), "{said}");
}

/// Sends a request over HTTP/1 and reads the whole answer.
fn http(server: &Server, head: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).expect("the server accepts");
    let request = format!("{head}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

#[test]
fn probes_answer_and_pages_of_other_sites_are_kept_out() {
    let server = Server::start();
    for path in ["/healthz", "/readyz"] {
        let answer = http(
            &server,
            &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n"),
        );
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    for head in [
        "GET /healthz HTTP/1.1\r\nHost: evil.example\r\n",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n",
        "POST /sessiond.v1.AdminService/GetServerInfo HTTP/1.1\r\nHost: evil.example\r\n\
         Content-Type: application/grpc-web+proto\r\nContent-Length: 0\r\n",
    ] {
        let answer = http(&server, head);
        assert!(answer.starts_with("HTTP/1.1 403"), "{head}: {answer}");
    }
}

#[test]
fn a_page_of_this_machine_can_call_over_grpc_web() {
    let server = Server::start();
    let mut stream = TcpStream::connect(server.address()).expect("the server accepts");
    let head = "POST /sessiond.v1.AdminService/GetServerInfo HTTP/1.1\r\nHost: localhost\r\n\
                Origin: http://localhost:8080\r\nContent-Type: application/grpc-web+proto\r\n\
                X-Grpc-Web: 1\r\nContent-Length: 5\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("it reads");
    // One empty message: no compression, no bytes.
    stream.write_all(&[0; 5]).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert!(text.contains("grpc-status:0"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_file_is_private_and_a_dead_one_is_replaced() {
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let socket = temporary.path().join("s");
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("a socket can be bound"));
    let address = format!("unix:{}", socket.display());
    let mut server = Command::new(binaries::sessiond())
        .args(["--listen", &address, "--log-level", "error", "--data-dir"])
        .arg(temporary.path().join("data"))
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server can be started");
    let stderr = server.stderr.take().expect("stderr is piped");
    let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
    let listening = lines.next();
    assert_eq!(listening, Some(format!("listening on {address}")));
    let mode = std::fs::metadata(&socket)
        .expect("it is there")
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let caller = Caller::at(&address).await;
    assert_eq!(caller.revision().await, 0);
    server.kill().expect("a child can be killed");
    server.wait().expect("a child can be waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_clean_and_bounded_whoever_holds_on() {
    let mut server = Server::configured("[session]\ncleanup_on_shutdown = false\n");
    let caller = Caller::to(&server).await;
    let session = caller.opened("held").await;
    let mut watch = WatchStream::from_the_start(&caller).await;
    watch
        .event(pb::EventType::SessionOpened, &session.session_id)
        .await;
    // A worker that never says another word, and a connection that never said one.
    let worker = WorkStream::worker(&caller, "silent", 4).await;
    let silent = TcpStream::connect(server.address()).expect("the server accepts");
    let begun = Instant::now();
    let stopping = tokio::task::spawn_blocking(move || (server.terminate(), server));
    let (_, closing) = watch.bookmark(pb::BookmarkCause::Closing).await;
    assert_eq!(closing.lag_events, 0, "everything was sent before");
    let (status, mut server) = stopping.await.expect("a server can be stopped");
    assert!(status.success(), "{status}");
    assert!(begun.elapsed() < STOP_WITHIN, "{:?}", begun.elapsed());
    drop((worker, silent, watch));
    // The session lives on.
    server.restart();
    let caller = Caller::to(&server).await;
    let after = caller.session(sessiond_tests::requests::key("held")).await;
    assert_eq!(after.session_id, session.session_id);
    assert_eq!(after.state(), pb::SessionState::Active);
}
