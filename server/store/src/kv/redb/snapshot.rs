//! One read transaction of redb as a snapshot: every row is verified before it is handed out.
//!
//! A table is opened the first time it is asked for and kept for the life of the snapshot. A row that does not verify
//! is never returned in any form, and stops the store.

use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;
use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable};

use super::latch::Latch;
use super::seal::unseal;
use super::state::definition;
use crate::fault::{Fault, Step};
use crate::kv::memory::bounds;
use crate::kv::{Entry, Order, Range, Snapshot, Table};

type Rows = ReadOnlyTable<&'static [u8], &'static [u8]>;

pub(crate) struct RedbSnapshot {
    transaction: ReadTransaction,
    tables: [OnceLock<Rows>; Table::ALL.len()],
    latch: Latch,
}

impl RedbSnapshot {
    pub(crate) fn begin(database: &Database, latch: Latch) -> Result<Self, Fault> {
        Ok(Self {
            transaction: database.begin_read().map_err(read_fault)?,
            tables: std::array::from_fn(|_| OnceLock::new()),
            latch,
        })
    }

    /// Reads every row of `table`, one at a time.
    pub(crate) fn check(&self, table: Table) -> Result<(), Fault> {
        for entry in self.rows(table)?.iter().map_err(read_fault)? {
            let (key, stored) = entry.map_err(read_fault)?;
            verified(table, key.value(), stored.value())?;
        }
        Ok(())
    }

    fn rows(&self, table: Table) -> Result<&Rows, Fault> {
        let cell = &self.tables[table.index()];
        if let Some(rows) = cell.get() {
            return Ok(rows);
        }
        let rows = self
            .transaction
            .open_table(definition(table))
            .map_err(read_fault)?;
        Ok(cell.get_or_init(|| rows))
    }

    fn read_row(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        let Some(stored) = ReadableTable::get(self.rows(table)?, key).map_err(read_fault)? else {
            return Ok(None);
        };
        let value = verified(table, key, stored.value())?;
        Ok(Some(Bytes::copy_from_slice(value)))
    }

    /// The rows of `range` one after the other, verified; its limit is the caller's business.
    pub(crate) fn walk<'a>(
        &'a self,
        range: &Range,
    ) -> Result<impl Iterator<Item = Result<Entry, Fault>> + use<'a>, Fault> {
        let (table, order) = (range.table, range.order);
        let mut found = self.latch.run(Step::Read, || {
            let Some(bounds) = bounds(range) else {
                return Ok(None);
            };
            let found = ReadableTable::range::<&[u8]>(self.rows(table)?, bounds);
            found.map(Some).map_err(read_fault)
        })?;
        Ok(std::iter::from_fn(move || {
            let found = found.as_mut()?;
            let mut next = || {
                let entry = match order {
                    Order::Ascending => found.next(),
                    Order::Descending => found.next_back(),
                };
                let Some(entry) = entry else { return Ok(None) };
                let (key, stored) = entry.map_err(read_fault)?;
                let value = verified(table, key.value(), stored.value())?;
                Ok(Some((key.value().to_vec(), Bytes::copy_from_slice(value))))
            };
            self.latch.run(Step::Read, &mut next).transpose()
        }))
    }
}

impl fmt::Debug for RedbSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbSnapshot")
            .field("latch", &self.latch)
            .finish_non_exhaustive()
    }
}

impl Snapshot for RedbSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        self.latch.run(Step::Read, || self.read_row(table, key))
    }

    fn range(&self, range: &Range) -> Result<Vec<Entry>, Fault> {
        self.walk(range)?.take(range.limit).collect()
    }
}

fn verified<'a>(table: Table, key: &[u8], stored: &'a [u8]) -> Result<&'a [u8], Fault> {
    unseal(table.tag(), key, stored).ok_or_else(|| Fault::Corrupt {
        table,
        key: key.to_vec(),
    })
}

fn read_fault(error: impl std::error::Error + Send + Sync + 'static) -> Fault {
    Fault::storage(Step::Read, error)
}
