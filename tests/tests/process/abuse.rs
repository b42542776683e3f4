//! Connections that abuse HTTP/2: each is ended or ignored, what they take is bounded, and everybody else is served.
//!
//! What is said on them is written by hand, because no library says it. A connection says all that it has to as long as the
//! server reads, and is then read until it is closed or nothing more comes.

use std::net::SocketAddr;
use std::time::Duration;

use sessiond_tests::caller::Caller;
use sessiond_tests::scale::Scale;
use sessiond_tests::server::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::run::{Run, command};

/// What every HTTP/2 connection begins with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What all of them together may take.
const TAKEN_MAX: u64 = 64 << 20;

/// Connections at the same time.
const AT_ONCE: usize = 64;

/// How long one may go on talking, and how long the server may be silent before it is left.
const TALKS: Duration = Duration::from_secs(3);
const SILENT: Duration = Duration::from_millis(300);

/// Frames of one burst.
const BURST: u32 = 2_000;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame is short");
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header, spelled out and not to be remembered.
fn header(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        assert!(text.len() < 127, "its length is one byte");
        bytes.push(u8::try_from(text.len()).expect("it is short"));
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// The headers of a call that waits for its message.
fn call() -> Vec<u8> {
    let path = "/sessiond.v1.SessionService/OpenSession";
    [
        header(":method", "POST"),
        header(":scheme", "http"),
        header(":path", path),
        header(":authority", "localhost"),
        header("content-type", "application/grpc"),
        header("te", "trailers"),
    ]
    .concat()
}

/// The numbers of streams that a client opens.
fn streams() -> impl Iterator<Item = u32> {
    (0..BURST).map(|number| 2 * number + 1)
}

fn begun(frames: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    frames.for_each(|frame| bytes.extend(frame));
    bytes
}

/// A kind of abuse: its name, and what is said.
type Abuse = (&'static str, Vec<u8>);

/// The frame that opens a stream for a call.
fn opened(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &call())
}

/// Too much of what is allowed: its name, and what is said.
fn floods() -> Vec<Abuse> {
    let repeated = |bytes: Vec<u8>| begun((0..BURST).map(move |_| bytes.clone()));
    let after = |first: Vec<u8>, rest: Vec<u8>| {
        begun(std::iter::once(first).chain((0..BURST).map(move |_| rest.clone())))
    };
    vec![
        (
            "rapid reset",
            begun(streams().map(|stream| {
                [
                    opened(stream),
                    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()),
                ]
                .concat()
            })),
        ),
        (
            "streams that the server resets",
            begun(
                streams().map(|stream| {
                    [opened(stream), frame(WINDOW_UPDATE, 0, stream, &[0; 4])].concat()
                }),
            ),
        ),
        (
            "more streams than there may be",
            begun(streams().map(opened)),
        ),
        (
            "continuations without an end",
            after(
                frame(HEADERS, 0, 1, &call()),
                frame(CONTINUATION, 0, 1, &header("x", &"y".repeat(100))),
            ),
        ),
        ("pings", repeated(frame(PING, 0, 0, &[7; 8]))),
        ("settings", repeated(frame(SETTINGS, 0, 0, &[]))),
        (
            "priorities",
            repeated(frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 9])),
        ),
        ("data of no bytes", after(opened(1), frame(DATA, 0, 1, &[]))),
    ]
}

/// What is larger than it may be, or says it is.
fn bombs() -> Vec<Abuse> {
    let bomb: Vec<u8> = (0..140)
        .flat_map(|number| header(&format!("x-{number}"), &"y".repeat(100)))
        .collect();
    // Refers 4,000 times to one long header that is remembered.
    let mut references = vec![0x40, 1, b'x', 126];
    references.extend([b'y'; 126]);
    references.extend([0xbe; 4_000]);
    let mut lying = vec![0];
    lying.extend(u32::MAX.to_be_bytes());
    vec![
        (
            "headers that are too large",
            begun(std::iter::once(frame(
                HEADERS,
                END_HEADERS,
                1,
                &[call(), bomb].concat(),
            ))),
        ),
        (
            "headers that become large",
            begun(std::iter::once(frame(
                HEADERS,
                END_HEADERS,
                1,
                &[call(), references].concat(),
            ))),
        ),
        (
            "a message that says it has 4 GiB",
            begun(std::iter::once(
                [opened(1), frame(DATA, 0, 1, &lying)].concat(),
            )),
        ),
        (
            "a message that breaks off",
            begun(std::iter::once(
                [opened(1), frame(DATA, END_STREAM, 1, &[0, 0, 0, 9, 9, 1])].concat(),
            )),
        ),
    ]
}

/// Each kind of abuse.
fn abuses() -> Vec<Abuse> {
    let garbage = vec![
        ("half of a preface", PREFACE[..12].to_vec()),
        ("nothing that is HTTP", vec![0xa5; 64 * 1_024]),
        (
            "frames that are none",
            [PREFACE, &[0xff; 64 * 1_024]].concat(),
        ),
    ];
    [floods(), bombs(), garbage].concat()
}

/// Says it all, as long as the server reads, and reads what comes.
async fn say(address: SocketAddr, words: &[u8]) {
    let Ok(stream) = TcpStream::connect(address).await else {
        panic!("the port does not accept");
    };
    let (mut reader, mut writer) = stream.into_split();
    let talk = async {
        // Who is cut off cannot say the rest.
        drop(writer.write_all(words).await);
        writer
    };
    let hear = async {
        let mut heard = vec![0; 16 * 1_024];
        while let Ok(Ok(1..)) = tokio::time::timeout(SILENT, reader.read(&mut heard)).await {}
    };
    drop(tokio::time::timeout(TALKS, async { tokio::join!(talk, hear) }).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_abuses_the_protocol_takes_little_and_nobody_elses_time() {
    let count = Scale::from_env().pick(300, 2_000, 20_000);
    let temporary = tempfile::tempdir().expect("a temporary directory can be made");
    let data = temporary.path().join("data");
    let data = data.to_str().expect("UTF-8");
    let flags = ["--log-level", "error", "--listen", "127.0.0.1:0"];
    let mut run = Run::start(command(&[&flags[..], &["--data-dir", data]].concat()));
    let address: SocketAddr = run.listening().parse().expect("an address");
    let caller = Caller::at(&format!("http://{address}")).await;
    caller.opened("before").await;
    let before = run.resident_bytes();
    let abuses: &'static _ = Vec::leak(abuses());
    let mut under_way = JoinSet::new();
    let mut most = before;
    for number in 0..count {
        if under_way.len() >= AT_ONCE {
            under_way.join_next().await;
        }
        let (_, words) = &abuses[number % abuses.len()];
        under_way.spawn(say(address, words));
        if number % AT_ONCE == 0 {
            // Served as ever, on a connection that was there and on a new one.
            caller.opened(&format!("there-{number}")).await;
            let newcomer = Caller::at(&format!("http://{address}")).await;
            newcomer.opened(&format!("new-{number}")).await;
            most = most.max(run.resident_bytes());
        }
    }
    under_way.join_all().await;
    most = most.max(run.resident_bytes());
    println!("{before} bytes, at most {most} while {count} connections abused it");
    assert!(most <= before + TAKEN_MAX, "{before} bytes became {most}");
    caller.opened("afterwards").await;
}

#[tokio::test]
async fn no_kind_of_abuse_ends_the_server_or_hangs_it() {
    let server = Server::start();
    let address: SocketAddr = server.address().parse().expect("an address");
    let caller = Caller::at(&server.url()).await;
    for (name, words) in abuses() {
        say(address, &words).await;
        let session = name.replace(' ', "-");
        let opened = tokio::time::timeout(TALKS, caller.opened(&session));
        assert!(opened.await.is_ok(), "{name}");
    }
}
