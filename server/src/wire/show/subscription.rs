//! Subscriptions.

use sessiond_core::event::EventRow;
use sessiond_core::ids::Revision;
use sessiond_core::rows::Counters;
use sessiond_core::subscription::{SubscriptionRow, SubscriptionStanding};
use sessiond_core::time::EngineTime;
use sessiond_proto::v1 as pb;

use super::time::{duration, timestamp};
use crate::wire::parse;

/// What is known of a subscription beside its row.
#[derive(Clone, Debug)]
pub(crate) struct Around<'a> {
    /// Whether its consumer has a watch open.
    pub(crate) connected: bool,
    /// How far that was sent the log.
    pub(crate) delivered: Revision,
    /// Those of the store.
    pub(crate) counters: &'a Counters,
    /// The first event that it did not acknowledge, if there is one and it is kept.
    pub(crate) first: Option<&'a EventRow>,
    /// The present.
    pub(crate) now: EngineTime,
}

/// A subscription.
pub(crate) fn subscription(row: &SubscriptionRow, around: &Around<'_>) -> pb::Subscription {
    let settings = &row.settings;
    let filter = parse::subscription::filter_of(settings);
    let consumer = row.consumer.as_ref();
    let (state, stale_time) = match row.standing {
        SubscriptionStanding::Active => (pb::SubscriptionState::Active, None),
        SubscriptionStanding::Stale { time } => {
            (pb::SubscriptionState::Stale, Some(timestamp(time)))
        }
    };
    pb::Subscription {
        name: row.name.to_string(),
        namespace: row.namespace.to_string(),
        filter: (!settings.filter.is_empty()).then_some(filter),
        required: settings.required,
        max_lag: Some(duration(settings.max_lag.age)),
        max_lag_bytes: settings.max_lag.bytes,
        state: state.into(),
        stale_time,
        acked_revision: row.acked.0,
        epoch: row.epoch.0,
        consumer: consumer.map_or_else(String::new, ToString::to_string),
        connected: around.connected,
        delivered_revision: around.delivered.max(row.acked).0,
        lag: Some(lag(row, around)),
        create_time: Some(timestamp(row.create_time)),
    }
}

fn lag(row: &SubscriptionRow, around: &Around<'_>) -> pb::SubscriptionLag {
    let Counters {
        revision,
        log_bytes,
        ..
    } = around.counters;
    let age = around.first.filter(|first| first.at != EngineTime(0));
    pb::SubscriptionLag {
        events: revision.0.saturating_sub(row.acked.0),
        bytes: around.first.map_or(0, |first| log_bytes - first.offset),
        age: age.map(|first| duration(around.now.since(first.at))),
    }
}
