//! The state file: all tables as of the last checkpoint, and how far into the journal that was.
//!
//! ```text
//! table "sessiond", key "journal": | position of the first journal row that is not in here, 8 LE | CRC-32 |
//! ```
//!
//! Rows and position change in the same commit, so what the file holds is always all of the journal before the
//! position and nothing behind it. When checkpoints are made is not decided here.

use bytes::Bytes;
use redb::{
    ReadableDatabase, ReadableTable, StorageBackend, Table as RedbTable, TableDefinition,
    WriteTransaction,
};

use super::file::{Examined, FreePages, Kind, RedbFile};
use super::journal::Position;
use super::latch::Latch;
use super::refusal::Refusal;
use super::schema::{self, Identity};
use super::seal::{seal, unseal};
use super::snapshot::RedbSnapshot;
use super::{Definition, Tuning};
use crate::fault::Fault;
use crate::kv::Table;

const POSITION_KEY: &[u8] = b"journal";

/// In place of a table's tag, as for the schema record beside it.
const POSITION_TAG: u8 = 0;

/// An open state file.
#[derive(Debug)]
pub(crate) struct StateFile {
    file: RedbFile,
}

impl StateFile {
    /// Makes a new one, in which no journal row is.
    pub(crate) fn create(
        disk: impl StorageBackend,
        identity: &Identity,
        tuning: Tuning,
        latch: Latch,
    ) -> Result<Self, Refusal> {
        let file = RedbFile::create(disk, Kind::State, identity, tuning, latch)?;
        Ok(Self { file })
    }

    /// Reads one through, without touching it.
    pub(crate) fn examine(
        disk: impl StorageBackend,
        tuning: Tuning,
    ) -> Result<(Examined, Position), Refusal> {
        let examined = RedbFile::examine(disk, Kind::State, tuning)?;
        let position = read_position(&examined)?;
        Ok((examined, position))
    }

    pub(crate) fn admit(
        examined: Examined,
        identity: &Identity,
        latch: Latch,
    ) -> Result<Self, Refusal> {
        let file = examined.admit(identity, latch)?;
        Ok(Self { file })
    }

    pub(crate) fn log_id(&self) -> [u8; 16] {
        self.file.log_id
    }

    /// The tables as of the last checkpoint.
    pub(crate) fn snapshot(&self) -> Result<RedbSnapshot, Fault> {
        RedbSnapshot::begin(self.file.database(), self.file.latch().clone())
    }

    /// Makes the rows what they became by `position`: durable, and quick to open, when this returns.
    ///
    /// # Errors
    ///
    /// `Fault::Storage`, which latches, or `Fault::Stopped`.
    pub(crate) fn checkpoint<'a>(
        &self,
        rows: impl Iterator<Item = (Table, &'a [u8], Option<&'a Bytes>)>,
        position: Position,
    ) -> Result<(), Fault> {
        self.file.write(FreePages::Recorded, |transaction| {
            apply(transaction, rows)?;
            write_position(transaction, position)
        })
    }

    /// Verifies every page and every row.
    pub(crate) fn check(&mut self) -> Result<(), Fault> {
        self.file.check_pages()?;
        let snapshot = self.snapshot()?;
        Table::ALL
            .into_iter()
            .try_for_each(|table| snapshot.check(table))
    }
}

pub(super) fn definition(table: Table) -> Definition<'static> {
    TableDefinition::new(table.name())
}

fn apply<'a>(
    transaction: &WriteTransaction,
    rows: impl Iterator<Item = (Table, &'a [u8], Option<&'a Bytes>)>,
) -> Result<(), redb::Error> {
    let mut tables: [Option<RedbTable<'_, &[u8], &[u8]>>; Table::ALL.len()] =
        std::array::from_fn(|_| None);
    let mut sealed = Vec::new();
    for (place, key, value) in rows {
        let table = match &mut tables[place.index()] {
            Some(table) => table,
            closed @ None => closed.insert(transaction.open_table(definition(place))?),
        };
        match value {
            Some(value) => {
                seal(place.tag(), key, value, &mut sealed);
                table.insert(key, sealed.as_slice())?;
            }
            None => {
                table.remove(key)?;
            }
        }
    }
    Ok(())
}

fn write_position(transaction: &WriteTransaction, position: Position) -> Result<(), redb::Error> {
    let mut sealed = Vec::new();
    seal(
        POSITION_TAG,
        POSITION_KEY,
        &position.to_le_bytes(),
        &mut sealed,
    );
    transaction
        .open_table(schema::TABLE)?
        .insert(POSITION_KEY, sealed.as_slice())?;
    Ok(())
}

/// The position on record; a file that was never checkpointed holds nothing of the journal.
fn read_position(examined: &Examined) -> Result<Position, Refusal> {
    let transaction = examined
        .database()
        .begin_read()
        .map_err(redb::Error::from)?;
    let table = transaction
        .open_table(schema::TABLE)
        .map_err(redb::Error::from)?;
    let Some(stored) = ReadableTable::get(&table, POSITION_KEY)? else {
        return Ok(0);
    };
    unseal(POSITION_TAG, POSITION_KEY, stored.value())
        .and_then(|bytes| bytes.try_into().ok())
        .map(Position::from_le_bytes)
        .ok_or_else(|| Refusal::corrupt("its place in the journal does not verify"))
}
