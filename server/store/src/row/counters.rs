//! The one row of store-wide counters.

use sessiond_core::drain as domain_drain;
use sessiond_core::ids::{Epoch, QueueId, Revision, SessionNo};
use sessiond_core::rows as domain;
use sessiond_core::time::{CalendarDay, EngineTime};

use crate::row::DecodeError;
use crate::row::numbers::Numbered;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Counters {
    #[prost(uint64, tag = "1")]
    revision: u64,
    #[prost(uint64, tag = "2")]
    session: u64,
    #[prost(uint64, tag = "3")]
    queue: u64,
    #[prost(uint64, tag = "4")]
    epoch: u64,
    #[prost(uint64, tag = "5")]
    engine_time: u64,
    #[prost(uint64, tag = "6")]
    requests: u64,
    #[prost(uint64, tag = "7")]
    active: u64,
    #[prost(uint64, tag = "8")]
    draining: u64,
    #[prost(uint64, tag = "9")]
    ended: u64,
    #[prost(uint64, tag = "10")]
    pending: u64,
    #[prost(uint64, tag = "11")]
    in_flight: u64,
    #[prost(uint64, tag = "12")]
    dead_lettered: u64,
    #[prost(uint64, tag = "40")]
    queued: u64,
    #[prost(uint32, optional, tag = "50")]
    calendar_day: Option<u32>,
    #[prost(uint64, optional, tag = "51")]
    calendar_outstanding: Option<u64>,
    #[prost(uint64, tag = "52")]
    compacted: u64,
    #[prost(uint64, tag = "53")]
    nodes: u64,
    #[prost(message, optional, tag = "54")]
    drain: Option<Drain>,
    #[prost(bool, tag = "55")]
    serving: bool,
    #[prost(uint64, tag = "56")]
    log_bytes: u64,
    #[prost(uint64, tag = "57")]
    subscriptions: u64,
}

/// A drain of the server that is open.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Drain {
    #[prost(uint32, tag = "1")]
    reason: u32,
    #[prost(uint64, tag = "2")]
    through: u64,
}

impl Drain {
    fn open(self) -> Result<domain_drain::Drain, DecodeError> {
        Ok(domain_drain::Drain {
            reason: Numbered::of_number(self.reason)?,
            through: SessionNo(self.through),
        })
    }
}

impl From<&domain::Counters> for Counters {
    fn from(row: &domain::Counters) -> Self {
        Self {
            revision: row.revision.0,
            session: row.session.0,
            queue: row.queue.0,
            epoch: row.epoch.0,
            engine_time: row.engine_time.0,
            requests: row.requests,
            active: row.active,
            draining: row.draining,
            ended: row.ended,
            pending: row.pending,
            in_flight: row.in_flight,
            dead_lettered: row.dead_lettered,
            queued: row.queued,
            calendar_day: row.calendar.day.map(|day| day.0),
            calendar_outstanding: row.calendar.outstanding.map(|no| no.0),
            compacted: row.compacted.0,
            nodes: row.nodes,
            drain: row.drain.map(|drain| Drain {
                reason: drain.reason.number(),
                through: drain.through.0,
            }),
            serving: row.serving,
            log_bytes: row.log_bytes,
            subscriptions: row.subscriptions,
        }
    }
}

impl TryFrom<Counters> for domain::Counters {
    type Error = DecodeError;

    fn try_from(row: Counters) -> Result<Self, DecodeError> {
        Ok(Self {
            revision: Revision(row.revision),
            session: SessionNo(row.session),
            queue: QueueId(row.queue),
            epoch: Epoch(row.epoch),
            engine_time: EngineTime(row.engine_time),
            requests: row.requests,
            active: row.active,
            draining: row.draining,
            ended: row.ended,
            pending: row.pending,
            in_flight: row.in_flight,
            dead_lettered: row.dead_lettered,
            queued: row.queued,
            calendar: domain::Calendar {
                day: row.calendar_day.map(CalendarDay),
                outstanding: row.calendar_outstanding.map(SessionNo),
            },
            compacted: Revision(row.compacted),
            nodes: row.nodes,
            drain: row.drain.map(Drain::open).transpose()?,
            serving: row.serving,
            log_bytes: row.log_bytes,
            subscriptions: row.subscriptions,
        })
    }
}
