//! The view: what the engine holds while it decides a batch.
//!
//! It has the rows loaded for the batch, the changes of the decisions already taken in it, and
//! presence. Rows and changes are dropped when the batch is committed; presence stays. A row is
//! either known (also as absent) or must be loaded; the view never guesses.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::change::{Change, Membership};
use crate::index::{Extent, IndexDelta, IndexEntry, LoadedIndexes, Scan};
use crate::limits::Policy;
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
    pub(crate) indexes: LoadedIndexes,
    pub(crate) index_delta: IndexDelta,
}

impl View {
    /// A view that knows nothing yet.
    #[must_use]
    pub fn new(policy: Arc<Policy>) -> Self {
        Self {
            policy,
            presence: Presence::default(),
            rows: BTreeMap::new(),
            indexes: LoadedIndexes::default(),
            index_delta: IndexDelta::new(),
        }
    }

    /// The row under a key: unknown, known to be absent, or known.
    #[must_use]
    pub fn row(&self, key: &RowKey) -> Option<Option<&Row>> {
        self.rows.get(key).map(Option::as_ref)
    }

    /// Takes a row as the store has it, unless this batch has already changed it.
    pub fn load_row(&mut self, key: RowKey, row: Option<Row>) {
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
                    self.rows.insert(key.clone(), row.clone());
                }
                Change::Index(entry, membership) => {
                    self.index_delta
                        .insert(entry.clone(), *membership == Membership::In);
                }
            }
        }
        for change in presence {
            self.presence.apply(change);
        }
    }

    /// Forgets all rows after the batch is committed. Presence stays.
    pub fn forget_rows(&mut self) {
        self.rows.clear();
        self.indexes = LoadedIndexes::default();
        self.index_delta.clear();
    }
}
