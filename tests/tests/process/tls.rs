//! TLS: who is let in, what becomes of certificates that change while the server runs, and which settings are refused.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;
use sessiond_proto::v1 as pb;
use sessiond_tests::binaries;
use sessiond_tests::caller::Caller;
use sessiond_tests::certificates::{Authority, Signed};
use sessiond_tests::requests::{end, key};
use sessiond_tests::watch_stream::WatchStream;
use tempfile::TempDir;

use super::connections::{CUT_WITHIN, connect_to, is_closed};
use super::run::{Run, command};

/// An authority, and a server that shows a certificate of it and asks for one.
struct Secured {
    authority: Authority,
    directory: TempDir,
    run: Run,
    address: String,
}

/// Writes the files of a server, whose clients' authority is the same.
fn write(directory: &Path, authority: &Authority) {
    authority.server().write(directory, "server");
    let ca = directory.join("ca.pem");
    std::fs::write(ca, authority.certificate()).expect("it can be written");
}

/// The flags and variables of a server with files in this directory.
fn with_tls(directory: &Path, listen: &str) -> std::process::Command {
    let data = directory.join("data");
    let data = data.to_str().expect("a temporary path is text");
    let mut command = command(&["--listen", listen, "--data-dir", data]);
    for (variable, file) in [
        ("SESSIOND_TLS_CERTIFICATE", "server.pem"),
        ("SESSIOND_TLS_KEY", "server.key"),
        ("SESSIOND_TLS_CLIENT_CA", "ca.pem"),
    ] {
        command.env(variable, directory.join(file));
    }
    command
}

impl Secured {
    fn start(listen: &str) -> Self {
        Self::start_with(listen, &[])
    }

    fn start_with(listen: &str, variables: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let authority = Authority::new();
        write(directory.path(), &authority);
        let mut command = with_tls(directory.path(), listen);
        command.envs(variables.iter().copied());
        let mut run = Run::start(command);
        let address = run.listening();
        Self {
            authority,
            directory,
            run,
            address,
        }
    }

    fn url(&self) -> String {
        let (_, port) = self.address.rsplit_once(':').expect("a port");
        format!("https://localhost:{port}")
    }

    /// Somebody who is let in.
    async fn caller(&self) -> Caller {
        let client = self.authority.client();
        let ca = self.authority.certificate();
        let caller = Caller::in_tls(&self.url(), ca, Some(&client)).await;
        caller.expect("a connection")
    }

    /// Whether somebody with this gets an answer.
    async fn lets_in(&self, ca: &str, shown: Option<&Signed>) -> bool {
        match Caller::in_tls(&self.url(), ca, shown).await {
            Ok(caller) => caller.info(pb::GetServerInfoRequest {}).await.is_ok(),
            Err(_) => false,
        }
    }

    /// The files of somebody who is let in, as `sessionctl` takes them.
    fn client_files(&self) -> [(&'static str, PathBuf); 3] {
        let directory = self.directory.path();
        let (certificate, key) = self.authority.client().write(directory, "client");
        [
            ("SESSIOND_CA", directory.join("ca.pem")),
            ("SESSIOND_CLIENT_CERTIFICATE", certificate),
            ("SESSIOND_CLIENT_KEY", key),
        ]
    }
}

/// For somebody who may not call.
async fn a_moment() {
    let never = std::future::pending::<()>();
    drop(tokio::time::timeout(Duration::from_millis(50), never).await);
}

#[tokio::test]
async fn who_shows_no_certificate_of_the_authority_is_not_let_in() {
    let server = Secured::start("127.0.0.1:0");
    let (ours, theirs) = (&server.authority, Authority::new());
    let ca = ours.certificate();
    assert!(server.lets_in(ca, Some(&ours.client())).await);
    assert!(!server.lets_in(ca, None).await);
    assert!(!server.lets_in(ca, Some(&theirs.client())).await);
    let yesterday = SystemTime::now() - Duration::from_secs(24 * 3_600);
    let over = ours.client_until(yesterday);
    assert!(!server.lets_in(ca, Some(&over)).await);
    // One for servers says nothing about a client.
    assert!(!server.lets_in(ca, Some(&ours.server())).await);
    let client = ours.client();
    assert!(!server.lets_in(theirs.certificate(), Some(&client)).await);
    server.caller().await.opened("a").await;
}

/// It comes back with what it has of the first connection, and shows its certificate again.
#[tokio::test]
async fn a_certificate_that_is_over_is_not_let_in_again() {
    let server = Secured::start_with(
        "127.0.0.1:0",
        &[("SESSIOND_SERVER_MAX_CONNECTION_AGE", "1s")],
    );
    let ca = server.authority.certificate();
    let shown = server
        .authority
        .client_until(SystemTime::now() + Duration::from_secs(6));
    let began = Instant::now();
    let caller = Caller::in_tls(&server.url(), ca, Some(&shown)).await;
    let caller = caller.expect("a connection");
    // Over by then, as are all connections that were made before.
    while began.elapsed() < Duration::from_secs(10) {
        // One that meets a connection just then is refused at any time.
        drop(caller.info(pb::GetServerInfoRequest {}).await);
        a_moment().await;
    }
    for _ in 0..20 {
        let refused = caller.info(pb::GetServerInfoRequest {}).await;
        refused.expect_err("it is over");
        a_moment().await;
    }
}

#[tokio::test]
async fn who_does_not_finish_with_tls_in_time_is_cut() {
    let server = Secured::start("127.0.0.1:0");
    let began = Instant::now();
    // Nothing, the begin of a handshake of 512 bytes, and what is not TLS.
    let handshake = [0x16, 3, 1, 2, 0, 1];
    for first in [
        &b""[..],
        &handshake,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /",
    ] {
        let mut stream = connect_to(&server.address);
        stream.write_all(first).expect("it is accepted");
        is_closed(stream);
    }
    // One after the other, and the mute ones have 5 s each.
    let took = began.elapsed();
    assert!(took < CUT_WITHIN * 2, "{took:?}");
    server.caller().await.opened("a").await;
}

#[tokio::test]
async fn what_is_not_loopback_is_served_to_those_with_certificates() {
    let server = Secured::start("0.0.0.0:0");
    server.caller().await.opened("a").await;
    let ca = server.authority.certificate();
    assert!(!server.lets_in(ca, None).await);
}

#[tokio::test]
async fn certificates_change_and_no_stream_ends() {
    let server = Secured::start("127.0.0.1:0");
    let (before, ours) = (server.caller().await, server.authority.client());
    let mut watch = WatchStream::from_now(&before).await;
    let next = Authority::new();
    write(server.directory.path(), &next);
    server.run.signal(Signal::HUP);
    let theirs = next.client();
    let began = Instant::now();
    while !server.lets_in(next.certificate(), Some(&theirs)).await {
        assert!(began.elapsed() < CUT_WITHIN, "the new ones are not taken");
        before.a_moment().await;
    }
    let ca = server.authority.certificate();
    assert!(!server.lets_in(ca, Some(&ours)).await);
    // Whoever is connected goes on.
    let session = before.opened("a").await;
    let opened = pb::EventType::SessionOpened;
    watch.event(opened, &session.session_id).await;
    // What cannot be used is told, and changes nothing.
    std::fs::write(server.directory.path().join("server.key"), "no key").expect("it is written");
    server.run.signal(Signal::HUP);
    let mut server = server;
    server.run.says("[tls] key: has no private key in PEM");
    assert!(server.lets_in(next.certificate(), Some(&theirs)).await);
}

#[tokio::test]
async fn who_called_is_on_record_by_the_name_in_its_certificate() {
    let mut server = Secured::start("127.0.0.1:0");
    let caller = server.caller().await;
    let mut watch = WatchStream::from_now(&caller).await;
    let session = caller.opened("a").await;
    let opened = pb::EventType::SessionOpened;
    let event = watch.event(opened, &session.session_id).await;
    let actor = event.actor.expect("an event has one");
    assert_eq!(
        (actor.kind(), actor.name.as_str()),
        (pb::ActorKind::Api, "worker-1")
    );
    server.run.says(r#""actor":"api","actor_name":"worker-1""#);
    let refused = caller.end(end(
        key("none"),
        pb::EndReason::Deleted,
        pb::EndMode::Graceful,
    ));
    refused.await.expect_err("there is no such session");
    server
        .run
        .says(r#""actor_name":"worker-1","refused":"SESSION_NOT_FOUND""#);
}

#[test]
fn files_that_cannot_be_used_are_refused_all_at_once() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    write(directory.path(), &Authority::new());
    for file in ["server.pem", "server.key"] {
        std::fs::remove_file(directory.path().join(file)).expect("it was written");
    }
    let (status, said) = Run::start(with_tls(directory.path(), "127.0.0.1:0")).ended();
    assert_eq!(status.code(), Some(2), "{said:?}");
    let begin = |line: usize| said[line].split(" cannot be read").next().expect("a line");
    let file = |name: &str| directory.path().join(name).display().to_string();
    let expected = [
        ("CERTIFICATE", "certificate", "server.pem"),
        ("KEY", "key", "server.key"),
    ];
    for (line, (variable, key, name)) in expected.into_iter().enumerate() {
        let words = format!("SESSIOND_TLS_{variable}: [tls] {key}: {}", file(name));
        assert_eq!(begin(line), words, "{said:?}");
    }
    let last = "error: 2 problems in the configuration; nothing was started";
    assert_eq!(said.last().map(String::as_str), Some(last));
}

#[tokio::test]
async fn the_command_line_speaks_tls() {
    let server = Secured::start("127.0.0.1:0");
    let sessionctl = |url: &str, files: &[(&str, PathBuf)]| {
        let output = std::process::Command::new(binaries::sessionctl())
            .args(["--addr", url, "session", "open", "--key", "a"])
            .envs(files.iter().cloned())
            .output();
        let output = output.expect("it can be run");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let files = server.client_files();
    let (code, said) = sessionctl(&server.url(), &files);
    assert_eq!(code, Some(0), "{said}");
    // Why not is told, and what to do about a file.
    let (code, said) = sessionctl(&server.url(), &files[..1]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("CertificateRequired"), "{said}");
    let (code, said) = sessionctl(&server.url(), &[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("UnknownIssuer"), "{said}");
    let (code, said) = sessionctl(&server.url().replace("https", "http"), &files);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("only `https://` has TLS"), "{said}");
}

/// What a command calls by itself, as its hooks do, finds the same server.
#[tokio::test]
async fn a_bound_command_is_told_the_files() {
    let server = Secured::start("127.0.0.1:0");
    let [(_, ca), (_, certificate), (_, key)] = server.client_files();
    let sessionctl = binaries::sessionctl();
    let output = std::process::Command::new(binaries::sessiond())
        .args(["run", "--key", "a", "--addr", &server.url(), "--ca"])
        .arg(ca)
        .arg("--client-certificate")
        .arg(certificate)
        .arg("--client-key")
        .arg(key)
        .arg("--")
        .arg(sessionctl)
        .args(["--output", "json", "session", "get", "--key", "a"])
        .output();
    let output = output.expect("it can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("ACTIVE"));
}

#[tokio::test]
async fn a_hangup_ends_no_server() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let data = directory.path().join("data");
    let data = data.to_str().expect("a temporary path is text");
    let mut run = Run::start(command(&["--listen", "127.0.0.1:0", "--data-dir", data]));
    let address = run.listening();
    run.signal(Signal::HUP);
    run.says("SIGHUP: there are no files of TLS to read again");
    Caller::at(&format!("http://{address}"))
        .await
        .opened("a")
        .await;
}
