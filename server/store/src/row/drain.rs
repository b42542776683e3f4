//! The newest drain of the server, and what came of it.

use sessiond_core::drain::{DrainEnd, DrainRow, DrainWarning};
use sessiond_core::time::{EngineTime, Span, WallTime};

use crate::row::DecodeError;
use crate::row::numbers::Numbered;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Drain {
    #[prost(uint32, tag = "1")]
    reason: u32,
    #[prost(uint32, tag = "2")]
    sessions: u32,
    #[prost(uint64, tag = "3")]
    begin_time: u64,
    #[prost(uint64, tag = "4")]
    begun_at: u64,
    #[prost(message, optional, tag = "5")]
    end: Option<End>,
    #[prost(uint64, tag = "6")]
    ended: u64,
    #[prost(uint64, tag = "7")]
    late: u64,
    #[prost(uint64, tag = "8")]
    left: u64,
    #[prost(bool, tag = "9")]
    recovered: bool,
    #[prost(message, repeated, tag = "10")]
    warnings: Vec<Warning>,
    #[prost(uint64, optional, tag = "11")]
    notice_until: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct End {
    #[prost(uint64, tag = "1")]
    time: u64,
    #[prost(uint64, tag = "2")]
    duration: u64,
    #[prost(bool, tag = "3")]
    cancelled: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Warning {
    #[prost(uint32, tag = "1")]
    code: u32,
    #[prost(string, tag = "2")]
    subject: String,
    #[prost(uint64, tag = "3")]
    count: u64,
}

impl From<&DrainRow> for Drain {
    fn from(row: &DrainRow) -> Self {
        let warning = |one: &DrainWarning| Warning {
            code: one.code.number(),
            subject: one.subject.clone(),
            count: one.count,
        };
        Self {
            reason: row.reason.number(),
            sessions: row.sessions.number(),
            begin_time: row.begin_time.0,
            begun_at: row.begun_at.0,
            end: row.end.map(|end| End {
                time: end.time.0,
                duration: end.duration.0,
                cancelled: end.cancelled,
            }),
            ended: row.ended,
            late: row.late,
            left: row.left,
            recovered: row.recovered,
            warnings: row.warnings.iter().map(warning).collect(),
            notice_until: row.notice_until.map(|until| until.0),
        }
    }
}

impl TryFrom<Drain> for DrainRow {
    type Error = DecodeError;

    fn try_from(row: Drain) -> Result<Self, DecodeError> {
        let warning = |one: Warning| {
            Ok(DrainWarning {
                code: Numbered::of_number(one.code)?,
                subject: one.subject,
                count: one.count,
            })
        };
        let warnings = row.warnings.into_iter().map(warning);
        Ok(Self {
            reason: Numbered::of_number(row.reason)?,
            sessions: Numbered::of_number(row.sessions)?,
            begin_time: WallTime(row.begin_time),
            begun_at: EngineTime(row.begun_at),
            notice_until: row.notice_until.map(WallTime),
            end: row.end.map(|end| DrainEnd {
                time: WallTime(end.time),
                duration: Span(end.duration),
                cancelled: end.cancelled,
            }),
            ended: row.ended,
            late: row.late,
            left: row.left,
            recovered: row.recovered,
            warnings: warnings.collect::<Result<_, DecodeError>>()?,
        })
    }
}
