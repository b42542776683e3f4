//! What a page in a browser could say to the port: streams over gRPC-Web, and hosts that only look local.

use std::io::{Read, Write};
use std::net::TcpStream;

use prost::Message;
use sessiond_proto::v1::watch_session_events_request::Start;
use sessiond_tests::caller::Caller;
use sessiond_tests::server::Server;
use sessiond_tests::watch_stream::watch_from;

/// Sends the head of a request, and a body, over HTTP/1.
fn send(server: &Server, head: &[&str], body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).expect("the server accepts");
    let within = std::time::Duration::from_secs(14);
    stream
        .set_read_timeout(Some(within))
        .expect("a timeout can be set");
    let head = format!("{}\r\n\r\n", head.join("\r\n"));
    stream.write_all(head.as_bytes()).expect("it reads");
    stream.write_all(body).expect("it reads");
    stream
}

/// The first line of the answer.
fn status(server: &Server, head: &[&str]) -> String {
    let mut answer = Vec::new();
    let mut stream = send(server, head, b"");
    stream.read_to_end(&mut answer).expect("it answers");
    let text = String::from_utf8_lossy(&answer);
    text.lines().next().unwrap_or_default().to_owned()
}

/// What a page of `origin`, if there is one, is told when it names the server `host`.
fn asked(server: &Server, host: &str, origin: Option<&str>) -> String {
    let host = format!("Host: {host}");
    let origin = origin.map(|origin| format!("Origin: {origin}"));
    let mut head = vec!["GET /healthz HTTP/1.1", &host, "Connection: close"];
    head.extend(origin.as_deref());
    status(server, &head)
}

#[test]
fn hosts_and_origins_that_only_look_local_are_refused() {
    let server = Server::start();
    let address = server.address().to_owned();
    let port = address.rsplit(':').next().expect("a port");
    let asked = |host: &str, origin: Option<&str>| asked(&server, host, origin);
    for host in [
        address.as_str(),
        "localhost",
        &format!("localhost:{port}"),
        "[::1]",
        "127.0.0.1",
    ] {
        assert_eq!(asked(host, None), "HTTP/1.1 200 OK", "{host}");
    }
    for host in [
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example",
        "evil.example:80",
        "0.0.0.0",
        "localhost@evil.example",
    ] {
        let told = asked(host, None);
        assert!(
            told.contains("403") || told.contains("400"),
            "{host}: {told}"
        );
    }
    for origin in [
        "http://localhost:3000",
        "https://127.0.0.1",
        "http://[::1]:1",
    ] {
        assert_eq!(
            asked("localhost", Some(origin)),
            "HTTP/1.1 200 OK",
            "{origin}"
        );
    }
    for origin in [
        "null",
        "",
        "http://evil.example",
        "http://localhost.evil.example",
        "file://",
        "localhost",
        "http://localhost:3000.evil.example",
    ] {
        let told = asked("localhost", Some(origin));
        assert!(told.contains("403"), "{origin:?}: {told}");
    }
    let hostless = status(&server, &["GET /readyz HTTP/1.0"]);
    assert!(
        hostless.contains("403") || hostless.contains("400"),
        "{hostless}"
    );
    let elsewhere = [
        "GET http://evil.example/readyz HTTP/1.1",
        "Host: localhost",
        "Connection: close",
    ];
    assert!(
        status(&server, &elsewhere).contains("403"),
        "the request line counts"
    );
}

#[test]
fn a_path_that_is_nobodys_is_not_found() {
    let server = Server::start();
    let head = [
        "GET /secrets HTTP/1.1",
        "Host: localhost",
        "Connection: close",
    ];
    let told = status(&server, &head);
    assert!(told.contains("404") || told.contains("400"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_streams_over_grpc_web() {
    let server = Server::start();
    let caller = Caller::to(&server).await;
    let session = caller.opened("a").await.session_id;
    let request = watch_from(Start::AfterRevision(0)).encode_to_vec();
    let mut body = vec![0];
    body.extend(
        u32::try_from(request.len())
            .expect("it is short")
            .to_be_bytes(),
    );
    body.extend(&request);
    let length = format!("Content-Length: {}", body.len());
    let head = [
        "POST /sessiond.v1.SessionService/WatchSessionEvents HTTP/1.1",
        "Host: localhost",
        "Origin: http://localhost:8080",
        "Content-Type: application/grpc-web+proto",
        &length,
    ];
    let mut stream = send(&server, &head, &body);
    let reads = tokio::task::spawn_blocking(move || {
        let (mut answer, mut part) = (Vec::new(), [0; 4_096]);
        // The stream goes on: what is awaited is that the event comes while it is open.
        while !holds(&answer, session.as_bytes()) {
            let count = stream.read(&mut part).expect("the event comes in time");
            assert!(count > 0, "the stream goes on");
            answer.extend(&part[..count]);
        }
        answer
    });
    let answer = reads.await.expect("the event comes");
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

fn holds(answer: &[u8], wanted: &[u8]) -> bool {
    answer.windows(wanted.len()).any(|window| window == wanted)
}
