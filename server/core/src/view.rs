//! The view: what the engine holds while it decides a batch.
//!
//! It has rows that were loaded, with the changes of the decisions already taken laid over them, and
//! presence. A row is either known (also as absent) or must be loaded; the view never guesses. Whoever
//! decides is the only one that writes, so what is known stays known from batch to batch; what is not
//! asked for twice, and everything when it is too much, is forgotten when a batch is committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::change::{Change, Membership};
use crate::index::{Extent, IndexEntry, KnownIndexes, Scan};
use crate::limits::{Policy, VIEW_ROWS_MAX};
use crate::presence::{Presence, PresenceChange};
use crate::rows::{Row, RowKey};

/// Everything a decision may look at.
#[derive(Debug)]
pub struct View {
    /// The limits in force.
    pub policy: Arc<Policy>,
    /// Who is here.
    pub presence: Presence,
    rows: BTreeMap<RowKey, Option<Row>>,
    pub(crate) indexes: KnownIndexes,
    /// Rows that are not kept when the batch is committed.
    passing: Vec<RowKey>,
}

impl View {
    /// A view that knows nothing yet.
    #[must_use]
    pub fn new(policy: Arc<Policy>) -> Self {
        Self {
            policy,
            presence: Presence::default(),
            rows: BTreeMap::new(),
            indexes: KnownIndexes::default(),
            passing: Vec::new(),
        }
    }

    /// The row under a key: unknown, known to be absent, or known.
    #[must_use]
    pub fn row(&self, key: &RowKey) -> Option<Option<&Row>> {
        self.rows.get(key).map(Option::as_ref)
    }

    /// Takes a row as the store has it, unless this batch has already changed it.
    pub fn load_row(&mut self, key: RowKey, row: Option<Row>) {
        if is_passing(&key, row.as_ref()) {
            self.passing.push(key.clone());
        }
        self.rows.entry(key).or_insert(row);
    }

    /// Takes the beginning of a group as the store has it.
    pub fn load_scan(&mut self, scan: Scan, entries: Vec<IndexEntry>, extent: Extent) {
        self.indexes.load(scan, entries, extent);
    }

    /// Lays a decision over what is known, so that the next one sees it.
    pub fn apply(&mut self, changes: &[Change], presence: Vec<PresenceChange>) {
        for change in changes {
            match change {
                Change::Row(key, row) => {
                    if is_passing(key, row.as_ref()) {
                        self.passing.push(key.clone());
                    }
                    self.rows.insert(key.clone(), row.clone());
                }
                Change::Index(entry, membership) => {
                    self.indexes.apply(entry, *membership == Membership::In);
                }
            }
        }
        for change in presence {
            self.presence.apply(change);
        }
    }

    /// The batch is in the store: from here on what is loaded has it too. Forgets what is not asked for
    /// twice, and all that is known when it is more than [`VIEW_ROWS_MAX`].
    pub fn committed(&mut self) {
        self.indexes.committed();
        for key in self.passing.drain(..) {
            if self
                .rows
                .get(&key)
                .is_some_and(|row| is_passing(&key, row.as_ref()))
            {
                self.rows.remove(&key);
            }
        }
        if self.rows.len() + self.indexes.len() > VIEW_ROWS_MAX {
            self.forget_rows();
        }
    }

    /// Forgets all rows, those that are not committed as well. Presence stays.
    pub fn forget_rows(&mut self) {
        self.rows.clear();
        self.passing.clear();
        self.indexes = KnownIndexes::default();
    }
}

/// Whether a row is needed for one decision and hardly for another: what is not there, what is large, what is written
/// once.
fn is_passing(key: &RowKey, row: Option<&Row>) -> bool {
    match key {
        RowKey::Payload(..) | RowKey::Event(_) | RowKey::Idempotency(..) | RowKey::Request(..) => {
            true
        }
        RowKey::Counters
        | RowKey::Session(_)
        | RowKey::Activity(_)
        | RowKey::Queue(_)
        | RowKey::Message(..)
        | RowKey::DeadLetter(..)
        | RowKey::Lease(_)
        | RowKey::Key(..)
        | RowKey::SessionId(..)
        | RowKey::Pool(..) => row.is_none(),
    }
}
