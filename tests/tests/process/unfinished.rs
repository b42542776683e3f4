//! Messages that are begun and not finished: what the server keeps of them is bounded, and nobody else waits for them.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use sessiond_tests::caller::Caller;
use sessiond_tests::requests::{enqueue, key};
use sessiond_tests::server::Server;

/// What one says that it has, in bytes: just what is read.
const SAID: u32 = 17 * 1_024 * 1_024;

/// What is sent of it.
const SENT: usize = SAID as usize - 1;

/// Of so many at a time: more than 256 MiB.
const COUNT: usize = 16;

/// In time for a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends a message but for its last byte. Fails when the server does not read on, which it does not once it has refused it.
fn begin(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).expect("the port listens");
    let head = format!(
        "POST /sessiond.v1.MessageService/EnqueueMessages HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: application/grpc-web+proto\r\nContent-Length: {}\r\n\r\n",
        5 + SAID
    );
    let bound = Some(PATIENCE);
    stream.set_write_timeout(bound).expect("a bound can be set");
    stream.write_all(head.as_bytes()).expect("it reads");
    let prefix = [&[0][..], &SAID.to_be_bytes()].concat();
    let part = vec![0; SENT];
    // Refused before all of it was sent is refused as well.
    drop(
        stream
            .write_all(&prefix)
            .and_then(|()| stream.write_all(&part)),
    );
    stream.set_nonblocking(true).expect("it can be set");
    stream
}

/// What the server has said by now, if anything.
fn said(stream: &mut TcpStream) -> Option<String> {
    let mut answer = [0; 4_096];
    match stream.read(&mut answer) {
        Ok(length) => Some(String::from_utf8_lossy(&answer[..length]).into_owned()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("it is not told why: {error}"),
    }
}

#[tokio::test]
async fn what_is_kept_of_unfinished_messages_is_bounded() {
    let server = Server::start();
    let caller = Caller::at(&server.url()).await;
    caller.opened("a").await;
    let mut begun: Vec<TcpStream> = (0..COUNT).map(|_| begin(&server)).collect();
    let began = Instant::now();
    let told = loop {
        if let Some(told) = begun.iter_mut().find_map(said) {
            break told;
        }
        assert!(began.elapsed() < PATIENCE, "all of them are kept");
        caller.a_moment().await;
    };
    assert!(told.contains("grpc-status: 8"), "{told}");
    assert!(told.contains("unfinished"), "{told}");
    // What comes in one piece needs no room.
    caller.enqueued(key("a"), &["m"]).await;
    drop(begun);
    // Once it was noticed that they are gone, there is room again.
    let large = "x".repeat(1_024 * 1_024);
    while caller.enqueue(enqueue(key("a"), &[&large])).await.is_err() {
        assert!(began.elapsed() < PATIENCE, "the room is not given back");
        caller.a_moment().await;
    }
}
