//! A subscription: a durable place in the log.

use bytes::Bytes;
use sessiond_core::ids::{Epoch, Revision};
use sessiond_core::subscription::{
    MaxLag, SubscriptionRow, SubscriptionSettings, SubscriptionStanding,
};
use sessiond_core::time::{Span, WallTime};

use crate::row::DecodeError;
use crate::row::text::{text, text_if};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Subscription {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(bytes = "bytes", tag = "3")]
    filter: Bytes,
    #[prost(bool, tag = "4")]
    required: bool,
    #[prost(uint64, tag = "5")]
    max_lag: u64,
    #[prost(uint64, tag = "6")]
    max_lag_bytes: u64,
    #[prost(uint64, tag = "7")]
    acked: u64,
    #[prost(uint64, tag = "8")]
    holds_after: u64,
    /// When it was found too far behind; none while it is active.
    #[prost(uint64, optional, tag = "9")]
    stale_time: Option<u64>,
    #[prost(uint64, tag = "10")]
    epoch: u64,
    #[prost(string, optional, tag = "11")]
    consumer: Option<String>,
    #[prost(uint64, tag = "12")]
    create_time: u64,
}

impl From<&SubscriptionRow> for Subscription {
    fn from(row: &SubscriptionRow) -> Self {
        let SubscriptionSettings {
            filter,
            required,
            max_lag,
        } = &row.settings;
        Self {
            namespace: row.namespace.as_str().to_owned(),
            name: row.name.as_str().to_owned(),
            filter: filter.clone(),
            required: *required,
            max_lag: max_lag.age.0,
            max_lag_bytes: max_lag.bytes,
            acked: row.acked.0,
            holds_after: row.holds_after.0,
            stale_time: match row.standing {
                SubscriptionStanding::Active => None,
                SubscriptionStanding::Stale { time } => Some(time.0),
            },
            epoch: row.epoch.0,
            consumer: row.consumer.as_ref().map(|id| id.as_str().to_owned()),
            create_time: row.create_time.0,
        }
    }
}

impl TryFrom<Subscription> for SubscriptionRow {
    type Error = DecodeError;

    fn try_from(row: Subscription) -> Result<Self, DecodeError> {
        Ok(Self {
            namespace: text(row.namespace)?,
            name: text(row.name)?,
            settings: SubscriptionSettings {
                filter: row.filter,
                required: row.required,
                max_lag: MaxLag {
                    age: Span(row.max_lag),
                    bytes: row.max_lag_bytes,
                },
            },
            acked: Revision(row.acked),
            holds_after: Revision(row.holds_after),
            standing: match row.stale_time {
                None => SubscriptionStanding::Active,
                Some(time) => SubscriptionStanding::Stale {
                    time: WallTime(time),
                },
            },
            epoch: Epoch(row.epoch),
            consumer: text_if(row.consumer)?,
            create_time: WallTime(row.create_time),
        })
    }
}
