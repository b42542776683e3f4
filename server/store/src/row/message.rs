//! Message headers: of messages that wait or are in flight, and of those that were given up.

use std::collections::BTreeMap;

use sessiond_core::ids::{DeliveryId, Epoch, QueueId, Seq};
use sessiond_core::message as domain;
use sessiond_core::time::{EngineTime, Span, WallTime};

use crate::row::event::Cause;
use crate::row::field::put_field;
use crate::row::numbers::Numbered;
use crate::row::text::{text, text_if};
use crate::row::{DecodeError, need};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Header {
    #[prost(uint64, tag = "1")]
    queue: u64,
    #[prost(uint64, tag = "2")]
    seq: u64,
    #[prost(string, tag = "3")]
    kind: String,
    #[prost(string, tag = "4")]
    content_type: String,
    #[prost(btree_map = "string, string", tag = "5")]
    attributes: BTreeMap<String, String>,
    #[prost(string, tag = "6")]
    agent_id: String,
    #[prost(string, tag = "7")]
    agent_type: String,
    #[prost(uint32, tag = "8")]
    prompt_number: u32,
    #[prost(uint64, optional, tag = "9")]
    occurred_time: Option<u64>,
    #[prost(uint64, tag = "10")]
    enqueue_time: u64,
    #[prost(uint64, tag = "11")]
    enqueued_at: u64,
    #[prost(string, optional, tag = "12")]
    idempotency_key: Option<String>,
    #[prost(uint64, optional, tag = "13")]
    not_before_time: Option<u64>,
    #[prost(string, tag = "14")]
    trace_parent: String,
    #[prost(uint64, tag = "15")]
    bytes: u64,
    #[prost(uint32, tag = "16")]
    attempt: u32,
    #[prost(uint64, optional, tag = "17")]
    latest: Option<u64>,
    #[prost(string, tag = "18")]
    last_error: String,
    #[prost(oneof = "Standing", tags = "19, 20, 21, 22, 72")]
    standing: Option<Standing>,
    /// Left out for FOLLOW_UP, which is what nearly all are.
    #[prost(uint32, tag = "70")]
    mode: u32,
    #[prost(string, optional, tag = "71")]
    coalesce_key: Option<String>,
    #[prost(message, optional, tag = "73")]
    debounce: Option<Debounce>,
    #[prost(message, optional, tag = "74")]
    cause: Option<Cause>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Standing {
    /// Its rank.
    #[prost(uint32, tag = "19")]
    Ready(u32),
    #[prost(message, tag = "20")]
    Waiting(Waiting),
    /// Its lease.
    #[prost(uint64, tag = "21")]
    InFlight(u64),
    #[prost(message, tag = "22")]
    Dead(Dead),
    #[prost(message, tag = "72")]
    Debounced(()),
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Debounce {
    #[prost(uint64, tag = "1")]
    quiet: u64,
    #[prost(uint64, tag = "2")]
    max_wait: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Waiting {
    #[prost(uint64, tag = "1")]
    due: u64,
    #[prost(uint32, tag = "2")]
    turn: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Dead {
    #[prost(uint32, tag = "1")]
    reason: u32,
    #[prost(uint64, tag = "2")]
    time: u64,
    #[prost(uint64, optional, tag = "50")]
    until: Option<u64>,
}

/// Writes a header down as `Header` would, field by field: to make one first would copy every text of it, and this is
/// what is written most.
pub(crate) fn encode(row: &domain::MessageRow) -> Vec<u8> {
    use prost::encoding::{btree_map, message, string, uint32, uint64};
    let mut out = Vec::with_capacity(ENCODED_USUAL);
    put_number(1, row.queue.0, &mut out);
    put_number(2, row.seq.0, &mut out);
    put_text(3, row.kind.as_str(), &mut out);
    put_text(4, &row.content_type, &mut out);
    btree_map::encode(
        string::encode,
        string::encoded_len,
        string::encode,
        string::encoded_len,
        5,
        &row.attributes,
        &mut out,
    );
    put_text(6, &row.agent_id, &mut out);
    put_text(7, &row.agent_type, &mut out);
    put_number(8, u64::from(row.prompt_number), &mut out);
    put_number_if(9, row.occurred_time.map(|time| time.0), &mut out);
    put_number(10, row.enqueue_time.0, &mut out);
    put_number(11, row.enqueued_at.0, &mut out);
    if let Some(key) = &row.idempotency_key {
        put_field(12, key.as_str().as_bytes(), &mut out);
    }
    put_number_if(13, row.not_before_time.map(|time| time.0), &mut out);
    put_text(14, &row.trace_parent, &mut out);
    put_number(15, row.bytes, &mut out);
    put_number(16, u64::from(row.attempt), &mut out);
    put_number_if(17, row.latest.map(|delivery| delivery.0), &mut out);
    put_text(18, &row.last_error, &mut out);
    match row.standing.into() {
        Standing::Ready(rank) => uint32::encode(19, &rank, &mut out),
        Standing::Waiting(waiting) => message::encode(20, &waiting, &mut out),
        Standing::InFlight(epoch) => uint64::encode(21, &epoch, &mut out),
        Standing::Dead(dead) => message::encode(22, &dead, &mut out),
        Standing::Debounced(()) => message::encode(72, &(), &mut out),
    }
    put_number(70, u64::from(mode_number(row.mode)), &mut out);
    if let Some(key) = &row.coalesce_key {
        put_field(71, key.as_str().as_bytes(), &mut out);
    }
    if let Some(debounce) = &row.debounce {
        let debounce = Debounce {
            quiet: debounce.quiet.0,
            max_wait: debounce.max_wait.0,
        };
        message::encode(73, &debounce, &mut out);
    }
    if let Some(cause) = row.cause {
        message::encode(74, &Cause::from(cause), &mut out);
    }
    out
}

/// Zero is a message whose turn comes in order.
fn mode_number(mode: domain::DeliveryMode) -> u32 {
    match mode {
        domain::DeliveryMode::FollowUp => 0,
        domain::DeliveryMode::Steer => 1,
        domain::DeliveryMode::Interrupt => 2,
        domain::DeliveryMode::Collect => 3,
    }
}

fn mode_of(number: u32) -> Result<domain::DeliveryMode, DecodeError> {
    match number {
        0 => Ok(domain::DeliveryMode::FollowUp),
        1 => Ok(domain::DeliveryMode::Steer),
        2 => Ok(domain::DeliveryMode::Interrupt),
        3 => Ok(domain::DeliveryMode::Collect),
        number => Err(DecodeError::UnknownNumber {
            what: "the delivery mode",
            number,
        }),
    }
}

/// What a header without attributes takes, in bytes.
const ENCODED_USUAL: usize = 128;

/// A number that is left out when it is zero; 32 and 64 bits look alike.
fn put_number(tag: u32, number: u64, out: &mut Vec<u8>) {
    put_number_if(tag, (number != 0).then_some(number), out);
}

fn put_number_if(tag: u32, number: Option<u64>, out: &mut Vec<u8>) {
    if let Some(number) = number {
        prost::encoding::uint64::encode(tag, &number, out);
    }
}

/// A text that is left out when it is empty.
fn put_text(tag: u32, text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() {
        put_field(tag, text.as_bytes(), out);
    }
}

impl TryFrom<Header> for domain::MessageRow {
    type Error = DecodeError;

    fn try_from(row: Header) -> Result<Self, DecodeError> {
        Ok(Self {
            queue: QueueId(row.queue),
            seq: Seq(row.seq),
            kind: text(row.kind)?,
            content_type: row.content_type,
            attributes: row.attributes,
            agent_id: row.agent_id,
            agent_type: row.agent_type,
            prompt_number: row.prompt_number,
            mode: mode_of(row.mode)?,
            coalesce_key: text_if(row.coalesce_key)?,
            debounce: row.debounce.map(|debounce| domain::Debounce {
                quiet: Span(debounce.quiet),
                max_wait: Span(debounce.max_wait),
            }),
            occurred_time: row.occurred_time.map(WallTime),
            enqueue_time: WallTime(row.enqueue_time),
            enqueued_at: EngineTime(row.enqueued_at),
            idempotency_key: text_if(row.idempotency_key)?,
            not_before_time: row.not_before_time.map(WallTime),
            trace_parent: row.trace_parent,
            bytes: row.bytes,
            attempt: row.attempt,
            latest: row.latest.map(DeliveryId),
            last_error: row.last_error,
            cause: row.cause.map(Into::into),
            standing: need(row.standing, "the standing of a message")?.try_into()?,
        })
    }
}

impl From<domain::Standing> for Standing {
    fn from(standing: domain::Standing) -> Self {
        match standing {
            domain::Standing::Ready(rank) => Self::Ready(rank.number()),
            domain::Standing::Waiting { due, turn } => Self::Waiting(Waiting {
                due: due.0,
                turn: turn.number(),
            }),
            domain::Standing::Debounced => Self::Debounced(()),
            domain::Standing::InFlight(epoch) => Self::InFlight(epoch.0),
            domain::Standing::Dead {
                reason,
                time,
                until,
            } => Self::Dead(Dead {
                reason: reason.number(),
                time: time.0,
                until: until.map(|until| until.0),
            }),
        }
    }
}

impl TryFrom<Standing> for domain::Standing {
    type Error = DecodeError;

    fn try_from(standing: Standing) -> Result<Self, DecodeError> {
        Ok(match standing {
            Standing::Ready(rank) => Self::Ready(Numbered::of_number(rank)?),
            Standing::Waiting(waiting) => Self::Waiting {
                due: EngineTime(waiting.due),
                turn: Numbered::of_number(waiting.turn)?,
            },
            Standing::Debounced(()) => Self::Debounced,
            Standing::InFlight(epoch) => Self::InFlight(Epoch(epoch)),
            Standing::Dead(dead) => Self::Dead {
                reason: Numbered::of_number(dead.reason)?,
                time: WallTime(dead.time),
                until: dead.until.map(EngineTime),
            },
        })
    }
}
