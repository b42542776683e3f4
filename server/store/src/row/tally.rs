//! Counts that several rows carry: tokens, message totals, depths.
//!
//! Plain numbers, all optional in the sense of proto3: an absent one is zero.

use sessiond_core::queue as domain_queue;
use sessiond_core::session as domain;

use crate::row::{DecodeError, need};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Usage {
    #[prost(uint64, tag = "1")]
    input_tokens: u64,
    #[prost(uint64, tag = "2")]
    output_tokens: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Totals {
    #[prost(uint64, tag = "1")]
    enqueued: u64,
    #[prost(uint64, tag = "2")]
    processed: u64,
    #[prost(uint64, tag = "3")]
    dead_lettered: u64,
    #[prost(uint64, tag = "4")]
    discarded: u64,
    #[prost(uint64, tag = "70")]
    superseded: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Counts {
    #[prost(message, optional, tag = "1")]
    totals: Option<Totals>,
    #[prost(uint64, tag = "2")]
    pending: u64,
    #[prost(uint64, tag = "3")]
    in_flight: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Depth {
    #[prost(uint64, tag = "1")]
    ready: u64,
    #[prost(uint64, tag = "2")]
    waiting: u64,
    #[prost(uint64, tag = "3")]
    in_flight: u64,
    #[prost(uint64, tag = "4")]
    dead: u64,
    #[prost(uint64, tag = "5")]
    bytes: u64,
}

impl From<&domain::Usage> for Usage {
    fn from(usage: &domain::Usage) -> Self {
        Self {
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
        }
    }
}

impl From<Usage> for domain::Usage {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
        }
    }
}

impl From<&domain::Totals> for Totals {
    fn from(totals: &domain::Totals) -> Self {
        Self {
            enqueued: totals.enqueued,
            processed: totals.processed,
            dead_lettered: totals.dead_lettered,
            discarded: totals.discarded,
            superseded: totals.superseded,
        }
    }
}

impl From<Totals> for domain::Totals {
    fn from(totals: Totals) -> Self {
        Self {
            enqueued: totals.enqueued,
            processed: totals.processed,
            dead_lettered: totals.dead_lettered,
            discarded: totals.discarded,
            superseded: totals.superseded,
        }
    }
}

impl From<&domain::Counts> for Counts {
    fn from(counts: &domain::Counts) -> Self {
        Self {
            totals: Some((&counts.totals).into()),
            pending: counts.pending,
            in_flight: counts.in_flight,
        }
    }
}

impl TryFrom<Counts> for domain::Counts {
    type Error = DecodeError;

    fn try_from(counts: Counts) -> Result<Self, DecodeError> {
        Ok(Self {
            totals: need(counts.totals, "totals")?.into(),
            pending: counts.pending,
            in_flight: counts.in_flight,
        })
    }
}

impl From<&domain_queue::Depth> for Depth {
    fn from(depth: &domain_queue::Depth) -> Self {
        Self {
            ready: depth.ready,
            waiting: depth.waiting,
            in_flight: depth.in_flight,
            dead: depth.dead,
            bytes: depth.bytes,
        }
    }
}

impl From<Depth> for domain_queue::Depth {
    fn from(depth: Depth) -> Self {
        Self {
            ready: depth.ready,
            waiting: depth.waiting,
            in_flight: depth.in_flight,
            dead: depth.dead,
            bytes: depth.bytes,
        }
    }
}
