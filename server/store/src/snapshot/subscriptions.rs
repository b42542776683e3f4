//! Subscriptions, as they are on record.
//!
//! What this deliberately does not do: say who consumes one, which is presence.

use std::sync::Arc;

use sessiond_core::ids::{Namespace, Revision, SubscriptionName};
use sessiond_core::index::{IndexEntry, Scan};
use sessiond_core::purging::FurthestBehind;
use sessiond_core::rows::RowKey;
use sessiond_core::subscription::{SubscriptionKey, SubscriptionRow};

use super::{Rows, of_kind};
use crate::fault::Fault;
use crate::row;

impl Rows {
    /// A subscription, if it is on record.
    pub fn subscription(
        &self,
        (namespace, name): &SubscriptionKey,
    ) -> Result<Option<Arc<SubscriptionRow>>, Fault> {
        let row = self.row(&RowKey::Subscription(namespace.clone(), name.clone()))?;
        Ok(row.map(|row| of_kind!(row, Subscription)))
    }

    /// The subscriptions of a namespace behind `after`, in the order of their names.
    pub fn subscriptions_after(
        &self,
        namespace: &Namespace,
        after: Option<&SubscriptionName>,
        limit: usize,
    ) -> Result<Vec<Arc<SubscriptionRow>>, Fault> {
        let range = row::subscriptions_after(namespace, after, limit);
        self.decoded(&range, |key, value| {
            let row = row::decode_row(&row::decode_key(range.table, key)?, value)?;
            Ok(of_kind!(row, Subscription))
        })
    }

    /// The active subscriptions of all namespaces, the one furthest behind first.
    pub fn holding(&self, limit: usize) -> Result<Vec<SubscriptionKey>, Fault> {
        let (entries, _) = self.scan(&Scan::Holding, limit)?;
        let held = entries.iter().filter_map(IndexEntry::holds_after);
        Ok(held.map(|(_, key)| key).collect())
    }

    /// Behind which event active subscriptions need the log; none if there is none.
    pub fn held_behind(&self) -> Result<Option<Revision>, Fault> {
        let (entries, _) = self.scan(&Scan::Holding, 1)?;
        let held = entries.first().and_then(IndexEntry::holds_after);
        Ok(held.map(|(after, _)| after))
    }

    /// The required subscription of a namespace that is furthest behind, and what it acknowledged.
    pub fn furthest_behind(&self, namespace: &Namespace) -> Result<Option<FurthestBehind>, Fault> {
        let (entries, _) = self.scan(&Scan::Required(namespace.clone()), 1)?;
        Ok(entries.first().and_then(IndexEntry::acked))
    }
}
