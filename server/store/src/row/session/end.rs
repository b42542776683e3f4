//! How a session is ending, and how it ended.

use sessiond_core::session as domain;
use sessiond_core::time::{EngineTime, Span, WallTime};

use crate::row::event::Actor;
use crate::row::numbers::Numbered;
use crate::row::tally::{Counts, Usage};
use crate::row::text::text_if;
use crate::row::{DecodeError, need};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct EndIntent {
    #[prost(uint32, tag = "1")]
    reason: u32,
    #[prost(string, tag = "2")]
    detail: String,
    #[prost(message, optional, tag = "3")]
    actor: Option<Actor>,
    #[prost(uint32, tag = "4")]
    mode: u32,
    #[prost(uint64, tag = "5")]
    deadline: u64,
    #[prost(uint32, tag = "6")]
    pending: u32,
    #[prost(uint64, tag = "7")]
    create_time: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SessionEnd {
    #[prost(uint32, tag = "1")]
    reason: u32,
    #[prost(string, tag = "2")]
    detail: String,
    #[prost(message, optional, tag = "3")]
    actor: Option<Actor>,
    #[prost(uint64, tag = "4")]
    create_time: u64,
    #[prost(uint64, tag = "5")]
    end_time: u64,
    #[prost(uint64, tag = "6")]
    duration: u64,
    #[prost(message, optional, tag = "7")]
    counts: Option<Counts>,
    #[prost(message, optional, tag = "8")]
    usage: Option<Usage>,
    #[prost(uint64, tag = "9")]
    pending_kept: u64,
    #[prost(uint64, tag = "10")]
    pending_discarded: u64,
    #[prost(string, optional, tag = "11")]
    successor: Option<String>,
    #[prost(string, tag = "12")]
    transcript_path: String,
}

impl From<&domain::EndIntent> for EndIntent {
    fn from(intent: &domain::EndIntent) -> Self {
        Self {
            reason: intent.reason.number(),
            detail: intent.detail.clone(),
            actor: Some((&intent.actor).into()),
            mode: intent.mode.number(),
            deadline: intent.deadline.0,
            pending: intent.pending.number(),
            create_time: intent.create_time.0,
        }
    }
}

impl TryFrom<EndIntent> for domain::EndIntent {
    type Error = DecodeError;

    fn try_from(intent: EndIntent) -> Result<Self, DecodeError> {
        Ok(Self {
            reason: Numbered::of_number(intent.reason)?,
            detail: intent.detail,
            actor: need(intent.actor, "the actor")?.try_into()?,
            mode: Numbered::of_number(intent.mode)?,
            deadline: EngineTime(intent.deadline),
            pending: Numbered::of_number(intent.pending)?,
            create_time: WallTime(intent.create_time),
        })
    }
}

impl From<&domain::SessionEnd> for SessionEnd {
    fn from(end: &domain::SessionEnd) -> Self {
        Self {
            reason: end.reason.number(),
            detail: end.detail.clone(),
            actor: Some((&end.actor).into()),
            create_time: end.create_time.0,
            end_time: end.end_time.0,
            duration: end.duration.0,
            counts: Some((&end.counts).into()),
            usage: Some((&end.usage).into()),
            pending_kept: end.pending_kept,
            pending_discarded: end.pending_discarded,
            successor: end.successor.as_ref().map(|id| id.as_str().to_owned()),
            transcript_path: end.transcript_path.clone(),
        }
    }
}

impl TryFrom<SessionEnd> for domain::SessionEnd {
    type Error = DecodeError;

    fn try_from(end: SessionEnd) -> Result<Self, DecodeError> {
        Ok(Self {
            reason: Numbered::of_number(end.reason)?,
            detail: end.detail,
            actor: need(end.actor, "the actor")?.try_into()?,
            create_time: WallTime(end.create_time),
            end_time: WallTime(end.end_time),
            duration: Span(end.duration),
            counts: need(end.counts, "the counts")?.try_into()?,
            usage: need(end.usage, "the usage")?.into(),
            pending_kept: end.pending_kept,
            pending_discarded: end.pending_discarded,
            successor: text_if(end.successor)?,
            transcript_path: end.transcript_path,
        })
    }
}
