//! The store as the engine has it: loads what a decision misses, commits what decisions change.
//!
//! There is one `Store` per set of tables, in the hands of the one who decides, so what it loads is not changed by
//! anybody else before it commits. A commit is applied whole and durable when it returns, or the store has stopped for
//! good. Readers go round it. What the rows mean is the core's business; what they look like, `row`'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use sessiond_core::change::Change;
use sessiond_core::index::IndexEntry;
use sessiond_core::rows::{Read, RowKey};
use sessiond_core::view::View;

use crate::fault::Fault;
use crate::kv::{Kv, Op};
use crate::row;
use crate::snapshot::Reader;
use crate::stop::Stop;

/// The one writer.
#[derive(Debug)]
pub struct Store {
    kv: Arc<dyn Kv>,
    stop: Stop,
    reader: Reader,
}

impl Store {
    /// The store over tables that nobody else writes to.
    #[must_use]
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        let stop = Stop::default();
        let reader = Reader::new(Arc::clone(&kv), stop.clone());
        Self { kv, stop, reader }
    }

    /// Loads what a decision said it misses, all of it as of the last commit.
    ///
    /// # Errors
    ///
    /// What the tables report, or `Fault::Malformed` when a row cannot be decoded. Part of the reads may have been
    /// loaded by then.
    pub fn load(&self, view: &mut View, reads: &[Read]) -> Result<(), Fault> {
        let rows = self.reader.snapshot()?;
        for read in reads {
            match read {
                Read::Row(key) => view.load_row(key.clone(), rows.row(key)?),
                Read::Scan { scan, limit } => {
                    let (entries, extent) = rows.scan(scan, *limit)?;
                    view.load_scan(scan.clone(), entries, extent);
                }
            }
        }
        Ok(())
    }

    /// Commits the changes of a batch of decisions, in their order: of several about one row or entry, the last holds.
    /// Durable when it returns; no changes are no commit.
    ///
    /// # Errors
    ///
    /// What the tables report, or `Fault::Stopped` after an earlier fault of this store or any of its readers. Whether
    /// anything was written is then not known, and every later commit is refused.
    pub fn commit(&self, changes: &[Change]) -> Result<(), Fault> {
        self.stop.check()?;
        let ops = ops(changes);
        if ops.is_empty() {
            return Ok(());
        }
        self.stop.note(self.kv.commit(&ops))
    }

    /// Leaves the store so that its next opening is quick. For moments when there is nothing else to do.
    ///
    /// # Errors
    ///
    /// As `commit`.
    pub fn settle(&self) -> Result<(), Fault> {
        self.stop.check()?;
        self.stop.note(self.kv.settle())
    }

    /// A reader of committed rows; as many as are wanted.
    #[must_use]
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }
}

/// What a change is about. The order is, within each table of numbered rows, that of the keys.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Subject<'a> {
    Row(&'a RowKey),
    Entry(&'a IndexEntry),
}

/// One write per row and entry. A batch changes some rows once per command (the counters, a busy queue); writing only
/// what they become saves both encoding and pages.
fn ops(changes: &[Change]) -> Vec<Op> {
    let mut last = BTreeMap::new();
    for change in changes {
        let subject = match change {
            Change::Row(key, _) => Subject::Row(key),
            Change::Index(entry, _) => Subject::Entry(entry),
        };
        last.insert(subject, change);
    }
    last.into_values().filter_map(row::encode).collect()
}
