//! Small rows that answer a name with a number: keys, ids, control mutations, pools.

use sessiond_core::ids::{QueueId, ResourceNo, Seq, SessionNo};
use sessiond_core::rows as domain;
use sessiond_core::time::EngineTime;

use crate::row::DecodeError;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Key {
    #[prost(uint64, optional, tag = "1")]
    live: Option<u64>,
    #[prost(uint64, repeated, tag = "2")]
    sessions: Vec<u64>,
    #[prost(uint64, optional, tag = "3")]
    held: Option<u64>,
    #[prost(uint64, optional, tag = "90")]
    unreleased: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SessionId {
    #[prost(uint64, tag = "1")]
    session: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Request {
    #[prost(bytes = "vec", tag = "1")]
    body: Vec<u8>,
    #[prost(uint64, tag = "2")]
    subject: u64,
    #[prost(bool, tag = "3")]
    flag: bool,
    #[prost(uint64, tag = "4")]
    at: u64,
    #[prost(message, optional, tag = "60")]
    tally: Option<Tally>,
    #[prost(uint64, optional, tag = "90")]
    resource: Option<u64>,
}

/// What a call did with messages.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Tally {
    #[prost(uint64, tag = "1")]
    done: u64,
    #[prost(uint64, tag = "2")]
    not_found: u64,
    #[prost(uint64, tag = "3")]
    in_flight: u64,
    #[prost(uint64, tag = "4")]
    without_session: u64,
    #[prost(uint64, tag = "5")]
    no_room: u64,
    #[prost(uint64, tag = "6")]
    duplicates: u64,
    #[prost(uint64, tag = "7")]
    not_reached: u64,
    #[prost(message, optional, tag = "8")]
    next: Option<Mark>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Mark {
    #[prost(uint64, tag = "1")]
    queue: u64,
    #[prost(uint64, tag = "2")]
    after: u64,
    #[prost(uint64, tag = "3")]
    until: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Pool {
    #[prost(uint64, tag = "1")]
    live: u64,
    #[prost(uint64, tag = "40")]
    queued: u64,
    #[prost(uint64, tag = "41")]
    draining: u64,
    #[prost(uint64, tag = "90")]
    releasing: u64,
    #[prost(uint64, tag = "91")]
    lingering: u64,
}

impl From<&domain::KeyRow> for Key {
    fn from(row: &domain::KeyRow) -> Self {
        Self {
            live: row.live.map(|no| no.0),
            sessions: row.sessions.iter().map(|no| no.0).collect(),
            held: row.held.map(|queue| queue.0),
            unreleased: row.unreleased.map(|no| no.0),
        }
    }
}

impl From<Key> for domain::KeyRow {
    fn from(row: Key) -> Self {
        Self {
            live: row.live.map(SessionNo),
            sessions: row.sessions.into_iter().map(SessionNo).collect(),
            held: row.held.map(QueueId),
            unreleased: row.unreleased.map(SessionNo),
        }
    }
}

impl From<&SessionNo> for SessionId {
    fn from(no: &SessionNo) -> Self {
        Self { session: no.0 }
    }
}

impl TryFrom<SessionId> for SessionNo {
    type Error = DecodeError;

    fn try_from(row: SessionId) -> Result<Self, DecodeError> {
        from_one(row.session, "the session of an id").map(Self)
    }
}

impl From<&domain::RequestRow> for Request {
    fn from(row: &domain::RequestRow) -> Self {
        Self {
            body: row.body.to_vec(),
            subject: row.subject.0,
            flag: row.flag,
            at: row.at.0,
            tally: row.tally.map(Into::into),
            resource: row.resource.map(|number| number.0),
        }
    }
}

impl TryFrom<Request> for domain::RequestRow {
    type Error = DecodeError;

    fn try_from(row: Request) -> Result<Self, DecodeError> {
        let body = row
            .body
            .try_into()
            .map_err(|body: Vec<u8>| DecodeError::Length {
                what: "the hash of a request",
                bytes: body.len(),
            })?;
        Ok(Self {
            body,
            subject: SessionNo(row.subject),
            flag: row.flag,
            at: EngineTime(row.at),
            tally: row.tally.map(Into::into),
            resource: row.resource.map(ResourceNo),
        })
    }
}

impl From<domain::MessageTally> for Tally {
    fn from(tally: domain::MessageTally) -> Self {
        Self {
            done: tally.done,
            not_found: tally.not_found,
            in_flight: tally.in_flight,
            without_session: tally.without_session,
            no_room: tally.no_room,
            duplicates: tally.duplicates,
            not_reached: tally.not_reached,
            next: tally.next.map(|mark| Mark {
                queue: mark.queue.0,
                after: mark.after.0,
                until: mark.until.0,
            }),
        }
    }
}

impl From<Tally> for domain::MessageTally {
    fn from(tally: Tally) -> Self {
        Self {
            done: tally.done,
            not_found: tally.not_found,
            in_flight: tally.in_flight,
            without_session: tally.without_session,
            no_room: tally.no_room,
            duplicates: tally.duplicates,
            not_reached: tally.not_reached,
            next: tally.next.map(|mark| domain::MessageMark {
                queue: QueueId(mark.queue),
                after: Seq(mark.after),
                until: Seq(mark.until),
            }),
        }
    }
}

impl From<&domain::PoolRow> for Pool {
    fn from(row: &domain::PoolRow) -> Self {
        Self {
            live: row.live,
            queued: row.queued,
            draining: row.draining,
            releasing: row.releasing,
            lingering: row.lingering,
        }
    }
}

impl From<Pool> for domain::PoolRow {
    fn from(row: Pool) -> Self {
        Self {
            live: row.live,
            queued: row.queued,
            draining: row.draining,
            releasing: row.releasing,
            lingering: row.lingering,
        }
    }
}

/// A number that counts from one: these rows hold little else, and an empty value must not pass for an answer.
fn from_one(number: u64, what: &'static str) -> Result<u64, DecodeError> {
    if number == 0 {
        return Err(DecodeError::Zero(what));
    }
    Ok(number)
}
