//! Whatever bytes decode to, parsing ends in a command or in faults, never in a panic.
//!
//! Requests are made of well-formed fields with random numbers, lengths and contents: unlike plain
//! noise they nearly always decode, and they reach the enums, durations, maps and nested messages.

use prost::Message;
use sessiond_core::limits::Policy;
use sessiond_proto::v1 as pb;

use super::{caller, drawn, namespace};
use crate::wire::faults::Invalid;
use crate::wire::parse;
use crate::wire::status::Refusal;
use crate::wire::token::ResumeToken;

/// Requests of each sort. Each takes microseconds.
const ROUNDS: u64 = 3_000;

/// Numbers at which something changes.
const EDGES: [u64; 12] = [
    0,
    1,
    2,
    3,
    60,
    256,
    999_999_999,
    1_000_000_000,
    253_402_300_800,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

const TEXTS: [&str; 6] = ["", "a", "labels", "\n", "agent:main", "ü"];

fn random_message(random: &mut fastrand::Rng, depth: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.usize(0..8) {
        let field = random.u64(1..21);
        match random.u8(0..4) {
            0 => {
                varint(&mut bytes, field << 3);
                varint(&mut bytes, EDGES[random.usize(0..EDGES.len())]);
            }
            1 => {
                let text = TEXTS[random.usize(0..TEXTS.len())];
                let times = if random.u8(0..16) == 0 { 300 } else { 1 };
                delimited(&mut bytes, field, text.repeat(times).as_bytes());
            }
            2 if depth > 0 => {
                let inner = random_message(random, depth - 1);
                delimited(&mut bytes, field, &inner);
            }
            _ => {
                let noise: Vec<u8> = (0..random.usize(0..4)).map(|_| random.u8(..)).collect();
                delimited(&mut bytes, field, &noise);
            }
        }
    }
    bytes
}

fn delimited(bytes: &mut Vec<u8>, field: u64, content: &[u8]) {
    varint(bytes, field << 3 | 2);
    varint(bytes, content.len() as u64);
    bytes.extend(content);
}

fn varint(bytes: &mut Vec<u8>, number: u64) {
    prost::encoding::encode_varint(number, bytes);
}

/// Parses random requests of one sort. Most must decode and some must be of either outcome, or the
/// test would show nothing.
fn check<R: Message + Default, T>(name: &str, parse: impl Fn(R) -> Result<T, Invalid>) {
    let (mut taken, mut refused) = (0, 0);
    for seed in 0..ROUNDS {
        let mut random = fastrand::Rng::with_seed(seed);
        let bytes = random_message(&mut random, 3);
        let Ok(request) = R::decode(&bytes[..]) else {
            continue;
        };
        match parse(request) {
            Ok(_) => taken += 1,
            Err(invalid) => {
                refused += 1;
                let status = tonic::Status::from(Refusal::invalid(&invalid));
                assert_ne!(status.code(), tonic::Code::Ok, "{name} {seed}");
                assert!(!status.message().is_empty(), "{name} {seed}");
            }
        }
    }
    assert!(refused > 0, "{name}: {taken} taken, {refused} refused");
}

#[test]
fn random_session_requests_never_panic() {
    let policy = Policy::default();
    check("open", |r| {
        parse::open::open(&namespace(), r, drawn(), caller())
    });
    check("get", parse::get::get);
    check("update", |r| {
        parse::update::update(&namespace(), r, caller(), &policy)
    });
    check("touch", |r| parse::touch::touch(&namespace(), r));
    check("end", |r| parse::end::end(&namespace(), r, caller()));
    check("watch", |r| parse::watch::watch(&namespace(), r));
    check("list_sessions", |r| {
        parse::list_sessions::list_sessions(&namespace(), r, "log")
    });
}

#[test]
fn random_message_requests_never_panic() {
    let policy = Policy::default();
    check("enqueue", |r| {
        parse::enqueue::enqueue(&namespace(), r, drawn, caller(), &policy)
    });
    check("enqueue_stream", |r| {
        parse::enqueue::frame(&namespace(), r, drawn, caller(), &policy)
    });
    check("claim", |r| parse::claim::claim(&namespace(), r, &policy));
    check("settle", |r| parse::settle::settle(&namespace(), r));
    check("list_messages", |r| {
        parse::list_messages::list_messages(&namespace(), r, "log")
    });
}

#[test]
fn random_frames_never_panic() {
    check("work", parse::work::frame);
    check("reset_circuit", |r| {
        parse::reset_circuit::reset_circuit(&namespace(), r, caller())
    });
    check("list_workers", |r: pb::ListWorkersRequest| {
        parse::list_workers::list_workers(&namespace(), &r, "log")
    });
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..ROUNDS {
        let text: String = (0..random.usize(0..80)).map(|_| random.char(..)).collect();
        assert_eq!(ResumeToken::decode(&text), None, "{text}");
    }
}
