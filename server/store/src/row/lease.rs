//! Leases: the durable half, and the lease as an event shows it.

use sessiond_core::ids::{Epoch, QueueId, SessionNo};
use sessiond_core::lease as domain;
use sessiond_core::time::{EngineTime, Span, WallTime};

use crate::row::numbers::Numbered;
use crate::row::text::text;
use crate::row::{DecodeError, need};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Lease {
    #[prost(uint64, tag = "1")]
    epoch: u64,
    #[prost(string, tag = "2")]
    namespace: String,
    #[prost(uint64, tag = "3")]
    session: u64,
    #[prost(uint64, tag = "4")]
    queue: u64,
    #[prost(string, tag = "5")]
    worker: String,
    #[prost(string, tag = "6")]
    instance: String,
    #[prost(uint32, tag = "7")]
    mode: u32,
    #[prost(uint64, tag = "8")]
    acquire_time: u64,
    #[prost(uint64, tag = "9")]
    duration: u64,
    #[prost(oneof = "Standing", tags = "10, 11")]
    standing: Option<Standing>,
    #[prost(uint64, optional, tag = "70")]
    cancel_by: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Standing {
    #[prost(message, tag = "10")]
    Current(()),
    #[prost(uint64, tag = "11")]
    SupersededUntil(u64),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LeaseView {
    #[prost(string, tag = "1")]
    worker: String,
    #[prost(string, tag = "2")]
    instance: String,
    #[prost(uint64, tag = "3")]
    epoch: u64,
    #[prost(uint64, tag = "4")]
    acquire_time: u64,
    #[prost(uint64, tag = "5")]
    expire_time: u64,
}

impl From<&domain::LeaseRow> for Lease {
    fn from(row: &domain::LeaseRow) -> Self {
        Self {
            epoch: row.epoch.0,
            namespace: row.namespace.as_str().to_owned(),
            session: row.session.0,
            queue: row.queue.0,
            worker: row.worker.as_str().to_owned(),
            instance: row.instance.as_str().to_owned(),
            mode: row.mode.number(),
            acquire_time: row.acquire_time.0,
            duration: row.duration.0,
            standing: Some(match row.standing {
                domain::LeaseStanding::Current => Standing::Current(()),
                domain::LeaseStanding::Superseded { until } => Standing::SupersededUntil(until.0),
            }),
            cancel_by: row.cancel_by.map(|by| by.0),
        }
    }
}

impl TryFrom<Lease> for domain::LeaseRow {
    type Error = DecodeError;

    fn try_from(row: Lease) -> Result<Self, DecodeError> {
        Ok(Self {
            epoch: Epoch(row.epoch),
            namespace: text(row.namespace)?,
            session: SessionNo(row.session),
            queue: QueueId(row.queue),
            worker: text(row.worker)?,
            instance: text(row.instance)?,
            mode: Numbered::of_number(row.mode)?,
            acquire_time: WallTime(row.acquire_time),
            duration: Span(row.duration),
            cancel_by: row.cancel_by.map(EngineTime),
            standing: match need(row.standing, "the standing of a lease")? {
                Standing::Current(()) => domain::LeaseStanding::Current,
                Standing::SupersededUntil(until) => domain::LeaseStanding::Superseded {
                    until: EngineTime(until),
                },
            },
        })
    }
}

impl From<&domain::LeaseView> for LeaseView {
    fn from(lease: &domain::LeaseView) -> Self {
        Self {
            worker: lease.worker.as_str().to_owned(),
            instance: lease.instance.as_str().to_owned(),
            epoch: lease.epoch.0,
            acquire_time: lease.acquire_time.0,
            expire_time: lease.expire_time.0,
        }
    }
}

impl TryFrom<LeaseView> for domain::LeaseView {
    type Error = DecodeError;

    fn try_from(lease: LeaseView) -> Result<Self, DecodeError> {
        Ok(Self {
            worker: text(lease.worker)?,
            instance: text(lease.instance)?,
            epoch: Epoch(lease.epoch),
            acquire_time: WallTime(lease.acquire_time),
            expire_time: WallTime(lease.expire_time),
        })
    }
}
