//! How a draft reads and writes subscriptions, with their index entries.

use std::sync::Arc;

use super::{Draft, Stop};
use crate::index::{Entries, entries_of_subscription};
use crate::rows::{Row, RowKey};
use crate::subscription::{SubscriptionKey, SubscriptionRow};

impl Draft<'_> {
    pub(crate) fn subscription(
        &self,
        key: &SubscriptionKey,
    ) -> Result<Option<Arc<SubscriptionRow>>, Stop> {
        Ok(self.subscription_row(&key.0, &key.1)?.cloned())
    }

    pub(crate) fn put_subscription(&mut self, row: Arc<SubscriptionRow>) -> Result<(), Stop> {
        let before = self.entries_before(&row.key())?;
        self.reindex(&before, entries_of_subscription(&row));
        let (namespace, name) = row.key();
        self.put(
            RowKey::Subscription(namespace, name),
            Row::Subscription(row),
        );
        Ok(())
    }

    pub(crate) fn remove_subscription(&mut self, key: &SubscriptionKey) -> Result<(), Stop> {
        let before = self.entries_before(key)?;
        self.reindex(&before, Entries::default());
        self.remove(RowKey::Subscription(key.0.clone(), key.1.clone()));
        Ok(())
    }

    fn entries_before(&self, key: &SubscriptionKey) -> Result<Entries, Stop> {
        let before = self.subscription_row(&key.0, &key.1)?;
        Ok(before.map_or_else(Entries::default, |row| entries_of_subscription(row)))
    }
}
