//! A place in the log as a row: where it is, how far it is behind, and who reads.
//!
//! Invariant: what is behind is counted as the server counts it. What this deliberately does not do: show the filter.

use jiff::Timestamp;
use sessiond_client::pb;

use super::Row;
use crate::output::age::wire_length;
use crate::values;

impl Row for pb::Subscription {
    type Document = Self;

    const HEADERS: &'static [&'static str] = &[
        "NAME",
        "STATE",
        "REQUIRED",
        "ACKED",
        "DELIVERED",
        "BEHIND",
        "BYTES",
        "SINCE",
        "CONSUMER",
        "CONNECTED",
    ];
    const WIDTHS: &'static [usize] = &[24, 6, 8, 8, 9, 8, 10, 6, 24, 9];

    fn cells(&self, _now: Timestamp) -> Vec<String> {
        let lag = self.lag.unwrap_or_default();
        let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
        vec![
            self.name.clone(),
            values::enum_name::<pb::SubscriptionState>(self.state),
            yes(self.required),
            self.acked_revision.to_string(),
            self.delivered_revision.to_string(),
            lag.events.to_string(),
            lag.bytes.to_string(),
            wire_length(lag.age),
            self.consumer.clone(),
            yes(self.connected),
        ]
    }

    fn id(&self) -> String {
        self.name.clone()
    }

    fn document(&self) -> &Self::Document {
        self
    }
}
