//! The view: what the engine holds while it decides a batch.
//!
//! It has rows that were loaded, with the changes of the decisions already taken laid over them, and
//! presence. A row is either known (also as absent) or must be loaded; the view never guesses. Whoever
//! decides is the only one that writes, so what is known stays known from batch to batch; what is not
//! asked for twice, and everything when it is too much, is forgotten when a batch is committed.

use std::sync::Arc;

use foldhash::fast::RandomState;
use indexmap::IndexMap;

use crate::change::{Change, Membership};
use crate::ids::QueueId;
use crate::index::known::KnownIndexes;
use crate::index::{Extent, IndexEntry, Scan};
use crate::key_window::{BlockNo, KeyBlock, KeyWindow};
use crate::limits::{Policy, VIEW_KEYS_MAX, VIEW_ROWS_MAX};
use crate::presence::{Presence, PresenceChange};
use crate::rows::{Row, RowKey};

/// Everything a decision may look at.
#[derive(Debug)]
pub struct View {
    /// The limits in force.
    pub policy: Arc<Policy>,
    /// Who is here.
    pub presence: Presence,
    /// Callers choose some of the keys, so the hasher has a seed that they do not know.
    rows: IndexMap<RowKey, Option<Row>, RandomState>,
    pub(crate) indexes: KnownIndexes,
    /// What queues remember of idempotency keys, of each all or nothing.
    windows: IndexMap<QueueId, KeyWindow, RandomState>,
    /// What all windows weigh together, in keys.
    keys: usize,
    /// Rows that are not kept when the batch is committed.
    passing: Vec<RowKey>,
    /// How often rows were forgotten that may have been changed; see [`View::forgot`].
    forgot: u64,
}

impl View {
    /// A view that knows nothing yet.
    #[must_use]
    pub fn new(policy: Arc<Policy>) -> Self {
        Self {
            policy,
            presence: Presence::default(),
            rows: IndexMap::default(),
            indexes: KnownIndexes::default(),
            windows: IndexMap::default(),
            keys: 0,
            passing: Vec::new(),
            forgot: 0,
        }
    }

    /// Grows whenever a row of a session (its cold and warm row, id, key and queue) is forgotten that may have been
    /// changed. While it stays the same, every such row that a decision has changed is known as it became.
    #[must_use]
    pub fn forgot(&self) -> u64 {
        self.forgot
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

    /// Takes all blocks of idempotency keys of a queue, oldest first, as the store has them.
    pub fn load_key_blocks(&mut self, queue: QueueId, blocks: Vec<(BlockNo, Arc<KeyBlock>)>) {
        self.windows.entry(queue).or_insert_with(|| {
            let window = KeyWindow::of(blocks);
            self.keys += window.weight();
            window
        });
    }

    /// What a queue remembers, if that is known.
    pub(crate) fn window(&self, queue: QueueId) -> Option<&KeyWindow> {
        self.windows.get(&queue)
    }

    /// Lays a decision over what is known, so that the next one sees it.
    pub fn apply(&mut self, changes: &[Change], presence: Vec<PresenceChange>) {
        for change in changes {
            match change {
                Change::Row(RowKey::KeyBlock(queue, number), row) => {
                    self.change_window(*queue, *number, row.as_ref());
                }
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

    /// A decision adds to a window that is known, or to that of a queue that had no message yet.
    fn change_window(&mut self, queue: QueueId, number: BlockNo, row: Option<&Row>) {
        let window = self.windows.entry(queue).or_insert_with(|| {
            let window = KeyWindow::default();
            self.keys += window.weight();
            window
        });
        let before = window.weight();
        match row {
            Some(Row::KeyBlock(block)) => window.write(number, Arc::clone(block)),
            Some(other) => panic!("a block of keys is written as {other:?}"),
            None => window.drop_block(number),
        }
        self.keys += window.weight() - before;
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
                self.rows.swap_remove(&key);
                self.forgot += u64::from(is_of_session(&key));
            }
        }
        if self.rows.len() + self.indexes.len() > VIEW_ROWS_MAX {
            self.rows.clear();
            self.forgot += 1;
            self.indexes = KnownIndexes::default();
        }
        if self.keys > VIEW_KEYS_MAX {
            self.forget_windows();
        }
    }

    /// Forgets what queues remember that were not used since this was done last; all, if that is not enough.
    fn forget_windows(&mut self) {
        self.windows.retain(|_, window| window.was_used());
        self.keys = self.windows.values().map(KeyWindow::weight).sum();
        if self.keys > VIEW_KEYS_MAX / 2 {
            self.windows.clear();
            self.keys = 0;
        }
    }

    /// Forgets all rows, those that are not committed as well. Presence stays.
    pub fn forget_rows(&mut self) {
        self.rows.clear();
        self.forgot += 1;
        self.passing.clear();
        self.indexes = KnownIndexes::default();
        self.windows.clear();
        self.keys = 0;
    }
}

/// Whether it is one of the rows of a session that somebody may have read ahead.
fn is_of_session(key: &RowKey) -> bool {
    match key {
        RowKey::Session(_)
        | RowKey::Activity(_)
        | RowKey::Queue(_)
        | RowKey::Key(..)
        | RowKey::SessionId(..) => true,
        RowKey::Counters
        | RowKey::Message(..)
        | RowKey::DeadLetter(..)
        | RowKey::Payload(..)
        | RowKey::Lease(_)
        | RowKey::KeyBlock(..)
        | RowKey::Request(..)
        | RowKey::Pool(..)
        | RowKey::Resources(_)
        | RowKey::Node(..)
        | RowKey::Drain
        | RowKey::Subscription(..)
        | RowKey::Event(_) => false,
    }
}

/// Whether a row is needed for one decision and hardly for another: what is not there, what is large, what is written
/// once.
fn is_passing(key: &RowKey, row: Option<&Row>) -> bool {
    match key {
        RowKey::Payload(..) | RowKey::Event(_) | RowKey::KeyBlock(..) | RowKey::Request(..) => true,
        RowKey::Counters
        | RowKey::Session(_)
        | RowKey::Activity(_)
        | RowKey::Queue(_)
        | RowKey::Message(..)
        | RowKey::DeadLetter(..)
        | RowKey::Lease(_)
        | RowKey::Key(..)
        | RowKey::SessionId(..)
        | RowKey::Resources(_)
        | RowKey::Node(..)
        | RowKey::Drain
        | RowKey::Subscription(..)
        | RowKey::Pool(..) => row.is_none(),
    }
}
