//! The schema record: one row that says what the rest of the file is.
//!
//! ```text
//! table "sessiond", key "store": | schema, 4 LE | log id, 16 | version of the writer, UTF-8 | CRC-32 |
//! ```
//!
//! Its place and layout never change, for every version must be able to read what every other one left. It is written
//! in the commit that makes the store and its tables, and when another version opens it, never otherwise. It holds no
//! data.

use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError,
    WriteTransaction,
};

use super::file::Kind;
use super::refusal::Refusal;
use super::seal::{seal, unseal};
use super::{Definition, journal, state};
use crate::kv::Table;

/// The format this version writes, and the only one it reads: format 0 made no promise.
pub const SCHEMA: u32 = 1;

pub(super) const TABLE: Definition<'static> = TableDefinition::new("sessiond");
const KEY: &[u8] = b"store";
/// In place of a table's tag: no table has it.
const TAG: u8 = 0;

/// Who opens a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The version of this sessiond, left in the store for whoever opens it next.
    pub version: String,
    /// The identity a new store gets; one that exists keeps its own.
    pub log_id: [u8; 16],
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    schema: u32,
    pub(crate) log_id: [u8; 16],
    pub(crate) writer: String,
}

impl Record {
    pub(crate) fn new(identity: &Identity) -> Self {
        Self {
            schema: SCHEMA,
            log_id: identity.log_id,
            writer: identity.version.clone(),
        }
    }

    /// Reads the record of an open database and refuses what this version cannot read.
    pub(crate) fn read(database: &Database) -> Result<Self, Refusal> {
        let transaction = database.begin_read().map_err(redb::Error::from)?;
        let table = match transaction.open_table(TABLE) {
            Ok(table) => table,
            Err(TableError::Storage(error)) => return Err(error.into()),
            // Of another crate, and open-ended: the table is not there, or not of this kind.
            Err(_) => return Err(Refusal::foreign("it is a redb file of another program")),
        };
        let stored = ReadableTable::get(&table, KEY)?;
        let record = stored
            .as_ref()
            .and_then(|stored| unseal(TAG, KEY, stored.value()))
            .and_then(Self::decode)
            .ok_or_else(|| Refusal::corrupt("its schema record does not verify"))?;
        if record.schema < SCHEMA {
            return Err(Refusal::TooOld {
                writer: record.writer,
                schema: record.schema,
                supported: SCHEMA,
            });
        }
        if record.schema > SCHEMA {
            return Err(Refusal::TooNew {
                writer: record.writer,
                schema: record.schema,
                supported: SCHEMA,
            });
        }
        Ok(record)
    }

    pub(crate) fn write(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut sealed = Vec::new();
        seal(TAG, KEY, &self.encode(), &mut sealed);
        transaction
            .open_table(TABLE)?
            .insert(KEY, sealed.as_slice())?;
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.schema.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.log_id);
        bytes.extend_from_slice(self.writer.as_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (schema, rest) = bytes.split_first_chunk::<4>()?;
        let (log_id, writer) = rest.split_first_chunk::<16>()?;
        Some(Self {
            schema: u32::from_le_bytes(*schema),
            log_id: *log_id,
            writer: String::from_utf8(writer.to_vec()).ok()?,
        })
    }
}

/// Writes the schema record and makes sure that every table is there: a reader never meets a missing one.
pub(crate) fn commit_schema(
    database: &Database,
    kind: Kind,
    record: &Record,
) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    record.write(&transaction)?;
    match kind {
        Kind::State => {
            for table in Table::ALL {
                transaction.open_table(state::definition(table))?;
            }
        }
        Kind::Journal => {
            transaction.open_table(journal::TABLE)?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Whether a file has all tables of its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tables {
    All,
    /// An earlier version of the format made it, and those that were added since are missing.
    OfEarlier,
}

/// Refuses a file in which a table is missing or not to be read.
pub(crate) fn check_tables(database: &Database, kind: Kind) -> Result<Tables, Refusal> {
    let transaction = database.begin_read().map_err(redb::Error::from)?;
    match kind {
        Kind::State => {
            let mut tables = Tables::All;
            for table in Table::ALL {
                if check_table(&transaction, table)? == Tables::OfEarlier {
                    tables = Tables::OfEarlier;
                }
            }
            Ok(tables)
        }
        Kind::Journal => match transaction.open_table(journal::TABLE) {
            Ok(_) => Ok(Tables::All),
            Err(error) => Err(named("the journal", error)),
        },
    }
}

fn check_table(transaction: &ReadTransaction, table: Table) -> Result<Tables, Refusal> {
    match transaction.open_table(state::definition(table)) {
        Ok(_) => Ok(Tables::All),
        Err(TableError::TableDoesNotExist(_)) if Table::ADDED.contains(&table) => {
            Ok(Tables::OfEarlier)
        }
        Err(error) => Err(named(&format!("table {}", table.name()), error)),
    }
}

fn named(what: &str, error: TableError) -> Refusal {
    match Refusal::from(redb::Error::from(error)) {
        Refusal::Corrupt { reason } => Refusal::corrupt(&format!("{what}: {reason}")),
        other @ (Refusal::InUse
        | Refusal::TooNew { .. }
        | Refusal::TooOld { .. }
        | Refusal::Foreign { .. }
        | Refusal::Io(_)) => other,
    }
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    fn record(schema: u32) -> Record {
        Record {
            schema,
            log_id: *b"0123456789abcdef",
            writer: "1.2.3-rc.1".to_owned(),
        }
    }

    /// The layout is a promise to versions that do not exist yet.
    #[test]
    fn the_layout_is_fixed() {
        assert_eq!(
            record(0x0102).encode(),
            b"\x02\x01\x00\x000123456789abcdef1.2.3-rc.1"
        );
    }

    #[test]
    fn what_is_encoded_is_decoded_and_nothing_shorter() {
        let bytes = record(7).encode();
        assert_eq!(Record::decode(&bytes), Some(record(7)));
        for len in 0..20 {
            assert_eq!(Record::decode(&bytes[..len]), None, "{len} bytes");
        }
    }

    fn stored(value: Option<&Record>) -> Result<Record, Refusal> {
        let database = redb::Builder::new()
            .create_with_backend(InMemoryBackend::new())
            .expect("create");
        if let Some(record) = value {
            let transaction = database.begin_write().expect("begin");
            record.write(&transaction).expect("write");
            transaction.commit().expect("commit");
        }
        Record::read(&database)
    }

    #[test]
    fn only_our_format_is_read() {
        assert_eq!(stored(Some(&record(SCHEMA))).expect("ours"), record(SCHEMA));
        let newer = stored(Some(&record(SCHEMA + 1))).expect_err("newer");
        assert_eq!(
            newer.to_string(),
            "it was written by sessiond \"1.2.3-rc.1\" in format 2, and this version reads no format above 1"
        );
        let older = stored(Some(&record(SCHEMA - 1))).expect_err("older");
        assert_eq!(
            older.to_string(),
            "it was written by sessiond \"1.2.3-rc.1\" in format 0, which this version, of format 1, does not read"
        );
    }

    /// A store of this format, without some of its tables.
    fn without(missing: &[Table]) -> Database {
        let database = redb::Builder::new()
            .create_with_backend(InMemoryBackend::new())
            .expect("create");
        commit_schema(&database, Kind::State, &record(SCHEMA)).expect("commit");
        let transaction = database.begin_write().expect("begin");
        for table in missing {
            let was_there = transaction.delete_table(state::definition(*table));
            assert!(was_there.expect("delete"), "{}", table.name());
        }
        transaction.commit().expect("commit");
        database
    }

    #[test]
    fn a_store_of_before_the_added_tables_gets_them() {
        let database = without(&Table::ADDED);
        let found = check_tables(&database, Kind::State);
        assert_eq!(found.expect("admitted"), Tables::OfEarlier);
        commit_schema(&database, Kind::State, &record(SCHEMA)).expect("commit");
        let found = check_tables(&database, Kind::State);
        assert_eq!(found.expect("admitted"), Tables::All);
    }

    #[test]
    fn a_store_without_any_other_table_is_refused() {
        for table in Table::ALL {
            let found = check_tables(&without(&[table]), Kind::State);
            if Table::ADDED.contains(&table) {
                assert_eq!(found.expect("admitted"), Tables::OfEarlier);
            } else {
                let refused = found.expect_err(table.name()).to_string();
                assert!(refused.contains(table.name()), "{refused}");
            }
        }
    }

    #[test]
    fn a_redb_file_without_the_record_is_foreign() {
        assert!(matches!(stored(None), Err(Refusal::Foreign { .. })));
    }
}
