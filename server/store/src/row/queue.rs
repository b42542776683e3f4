//! Queues: the hot row, rewritten with nearly every commit, so it stays small.

use sessiond_core::ids::{DeliveryId, Epoch, QueueId, Seq, SessionNo};
use sessiond_core::queue as domain;
use sessiond_core::time::{EngineTime, WallTime};

use crate::row::tally::Depth;
use crate::row::text::text;
use crate::row::{DecodeError, need};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Queue {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    namespace: String,
    #[prost(uint64, tag = "3")]
    owner: u64,
    #[prost(oneof = "Disposition", tags = "4, 5, 6, 7, 8, 50")]
    disposition: Option<Disposition>,
    #[prost(uint64, optional, tag = "9")]
    lease: Option<u64>,
    #[prost(uint64, tag = "10")]
    next_seq: u64,
    #[prost(uint64, tag = "11")]
    next_delivery: u64,
    #[prost(message, optional, tag = "12")]
    depth: Option<Depth>,
    #[prost(message, optional, tag = "13")]
    oldest: Option<Oldest>,
    /// Of a queue that was given up.
    #[prost(uint64, optional, tag = "51")]
    dead_until: Option<u64>,
    /// When it was given up, for display; with `DeadSince` only.
    #[prost(uint64, tag = "60")]
    dead_time: u64,
    #[prost(bool, tag = "80")]
    suspended: bool,
    #[prost(message, optional, tag = "70")]
    pause: Option<Pause>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Pause {
    #[prost(uint64, tag = "1")]
    until: u64,
    #[prost(uint64, tag = "2")]
    latest: u64,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Disposition {
    #[prost(message, tag = "4")]
    Serving(()),
    #[prost(message, tag = "5")]
    Quiet(()),
    #[prost(uint64, tag = "6")]
    HeldUntil(u64),
    #[prost(uint64, tag = "7")]
    DeadSince(u64),
    #[prost(uint64, tag = "8")]
    DiscardedNext(u64),
    #[prost(uint64, tag = "50")]
    PurgedNext(u64),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Oldest {
    #[prost(uint64, tag = "1")]
    seq: u64,
    #[prost(uint64, tag = "2")]
    at: u64,
    #[prost(uint64, tag = "60")]
    time: u64,
}

impl From<&domain::QueueRow> for Queue {
    fn from(row: &domain::QueueRow) -> Self {
        Self {
            id: row.id.0,
            namespace: row.namespace.as_str().to_owned(),
            owner: row.owner.0,
            disposition: Some(row.disposition.into()),
            lease: row.lease.map(|epoch| epoch.0),
            next_seq: row.next_seq.0,
            next_delivery: row.next_delivery.0,
            depth: Some((&row.depth).into()),
            oldest: row.oldest.map(|oldest| Oldest {
                seq: oldest.seq.0,
                at: oldest.at.0,
                time: oldest.time.0,
            }),
            dead_until: dead_until(row.disposition),
            dead_time: dead_time(row.disposition),
            suspended: row.suspended,
            pause: row.pause.map(|pause| Pause {
                until: pause.until.0,
                latest: pause.latest.0,
            }),
        }
    }
}

impl TryFrom<Queue> for domain::QueueRow {
    type Error = DecodeError;

    fn try_from(row: Queue) -> Result<Self, DecodeError> {
        Ok(Self {
            id: QueueId(row.id),
            namespace: text(row.namespace)?,
            owner: SessionNo(row.owner),
            disposition: need(row.disposition, "the disposition")?
                .since(row.dead_time, row.dead_until),
            lease: row.lease.map(Epoch),
            next_seq: Seq(row.next_seq),
            next_delivery: DeliveryId(row.next_delivery),
            depth: need(row.depth, "the depth")?.into(),
            oldest: row.oldest.map(|oldest| domain::Oldest {
                seq: Seq(oldest.seq),
                at: EngineTime(oldest.at),
                time: WallTime(oldest.time),
            }),
            suspended: row.suspended,
            pause: row.pause.map(|pause| domain::Pause {
                until: EngineTime(pause.until),
                latest: EngineTime(pause.latest),
            }),
        })
    }
}

impl From<domain::Disposition> for Disposition {
    fn from(disposition: domain::Disposition) -> Self {
        match disposition {
            domain::Disposition::Serving => Self::Serving(()),
            domain::Disposition::Quiet => Self::Quiet(()),
            domain::Disposition::Held { until } => Self::HeldUntil(until.0),
            domain::Disposition::Dead { since, .. } => Self::DeadSince(since.0),
            domain::Disposition::Discarded { next } => Self::DiscardedNext(next.0),
            domain::Disposition::Purged { next } => Self::PurgedNext(next.0),
        }
    }
}

impl Disposition {
    /// The disposition of a queue that was given up at `dead_time` and is kept until `dead_until`, if it was.
    fn since(self, dead_time: u64, dead_until: Option<u64>) -> domain::Disposition {
        match self {
            Self::Serving(()) => domain::Disposition::Serving,
            Self::Quiet(()) => domain::Disposition::Quiet,
            Self::HeldUntil(until) => domain::Disposition::Held {
                until: EngineTime(until),
            },
            Self::DeadSince(since) => domain::Disposition::Dead {
                since: EngineTime(since),
                time: WallTime(dead_time),
                until: dead_until.map(EngineTime),
            },
            Self::DiscardedNext(next) => domain::Disposition::Discarded {
                next: EngineTime(next),
            },
            Self::PurgedNext(next) => domain::Disposition::Purged {
                next: EngineTime(next),
            },
        }
    }
}

fn dead_time(disposition: domain::Disposition) -> u64 {
    match disposition {
        domain::Disposition::Dead { time, .. } => time.0,
        domain::Disposition::Serving
        | domain::Disposition::Quiet
        | domain::Disposition::Held { .. }
        | domain::Disposition::Discarded { .. }
        | domain::Disposition::Purged { .. } => 0,
    }
}

fn dead_until(disposition: domain::Disposition) -> Option<u64> {
    match disposition {
        domain::Disposition::Dead { until, .. } => until.map(|until| until.0),
        domain::Disposition::Serving
        | domain::Disposition::Quiet
        | domain::Disposition::Held { .. }
        | domain::Disposition::Discarded { .. }
        | domain::Disposition::Purged { .. } => None,
    }
}
