//! The journal file: what was committed since the last checkpoint, and the only place where commits become durable.
//!
//! ```text
//! table "journal": u64 position -> | record | record | ... |     positions ascend by one without a gap
//! record:          | length of the change, 4 LE | CRC-32 of the change, 4 LE | change |
//! change:          a message of sessiond.storage.v1: table 1, key 2, value 3, made 4
//! ```
//!
//! A commit is one transaction with one row, or several when it is large: a value takes a power of two of pages. Rows
//! that a checkpoint has made unnecessary are removed by a later commit, so that the same pages are written again and
//! again and a flush changes nothing about the file but bytes; this is what makes it fast. The last row is never
//! removed: a journal without rows is one that was never used. What a change means, and when a checkpoint is made, is
//! not known here.

use bytes::{Buf, Bytes};
use prost::Message;
use redb::{ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};

use super::Tuning;
use super::file::{Examined, FreePages, Kind, RedbFile};
use super::latch::Latch;
use super::refusal::Refusal;
use super::schema::Identity;
use crate::fault::{Fault, Step};
use crate::kv::{Key, Op, Prior, Table};
use crate::row::field::put_field;

/// The number of a journal row. They are never used twice.
pub(crate) type Position = u64;

pub(super) const TABLE: TableDefinition<'static, Position, &'static [u8]> =
    TableDefinition::new("journal.v1");

/// A row takes this many bytes at most, unless one change alone is larger. With what redb keeps beside a row it just fits
/// into 64 KiB of pages; what is a little larger takes twice that, all of which is written, and read when it is removed.
/// Larger rows were no faster, and waste more of the last page.
const ROW_BYTES_MAX: usize = 64 * 1024 - 64;

/// Rows one commit removes at most, so that the first one after a large checkpoint does not take long.
const TRIMMED_ROWS_MAX: usize = 256;

/// The length and the checksum of a change.
const HEADER_BYTES: usize = 8;

/// A change as it is written down.
#[derive(Clone, PartialEq, Message)]
struct Change {
    /// The tag of the table.
    #[prost(uint32, tag = "1")]
    table: u32,
    #[prost(bytes = "bytes", tag = "2")]
    key: Bytes,
    /// Absent when the row was removed.
    #[prost(bytes = "bytes", optional, tag = "3")]
    value: Option<Bytes>,
    /// There was no row before.
    #[prost(bool, tag = "4")]
    made: bool,
}

/// An open journal.
#[derive(Debug)]
pub(crate) struct JournalFile {
    file: RedbFile,
}

/// What stands in a journal that was read through.
#[derive(Debug)]
pub(crate) struct Contents {
    /// Of the first row, if there is one.
    pub(crate) first: Option<Position>,
    /// Behind the last row; zero when there is none.
    pub(crate) end: Position,
}

/// The rows of a commit, encoded.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// Each full but the last.
    rows: Vec<Vec<u8>>,
    bytes: usize,
}

impl Rows {
    /// Encodes the changes of a commit in their order.
    pub(crate) fn of(ops: &[Op]) -> Self {
        let mut rows = Self::default();
        let mut row = Vec::with_capacity(ROW_BYTES_MAX.min(1024 * ops.len()));
        for op in ops {
            let start = row.len();
            put_record(op, &mut row);
            if row.len() > ROW_BYTES_MAX && start > 0 {
                let mut next = Vec::with_capacity(ROW_BYTES_MAX);
                next.extend_from_slice(&row[start..]);
                row.truncate(start);
                rows.push(std::mem::replace(&mut row, next));
            }
        }
        if !row.is_empty() {
            rows.push(row);
        }
        rows
    }

    fn push(&mut self, row: Vec<u8>) {
        self.bytes += row.len();
        self.rows.push(row);
    }

    /// How much they take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl JournalFile {
    /// Makes a new one without rows.
    pub(crate) fn create(
        disk: impl StorageBackend,
        identity: &Identity,
        tuning: Tuning,
        latch: Latch,
    ) -> Result<Self, Refusal> {
        let file = RedbFile::create(disk, Kind::Journal, identity, tuning, latch)?;
        Ok(Self { file })
    }

    /// Reads one through, without touching it.
    pub(crate) fn examine(
        disk: impl StorageBackend,
        tuning: Tuning,
    ) -> Result<(Examined, Contents), Refusal> {
        let examined = RedbFile::examine(disk, Kind::Journal, tuning)?;
        let contents = contents(&examined)?;
        Ok((examined, contents))
    }

    pub(crate) fn admit(
        examined: Examined,
        identity: &Identity,
        latch: Latch,
    ) -> Result<Self, Refusal> {
        let file = examined.admit(identity, latch)?;
        Ok(Self { file })
    }

    /// Appends the rows of one commit at `next` and answers where the following one goes. Removes rows before
    /// the last one that `needed` follows, as many as one commit may. Durable when this returns.
    ///
    /// # Errors
    ///
    /// `Fault::Storage`, which latches, or `Fault::Stopped`.
    pub(crate) fn append(
        &self,
        next: Position,
        rows: &Rows,
        needed: Position,
    ) -> Result<Position, Fault> {
        let mut at = next;
        self.file.write(FreePages::Unrecorded, |transaction| {
            let mut table = transaction.open_table(TABLE)?;
            for row in &rows.rows {
                table.insert(at, row.as_slice())?;
                at += 1;
            }
            trim(&mut table, needed, TRIMMED_ROWS_MAX)?;
            Ok(())
        })?;
        Ok(at)
    }

    /// Removes all rows that nobody needs but the last, and leaves a file that is quick to open.
    ///
    /// # Errors
    ///
    /// As `append`.
    pub(crate) fn settle(&self, needed: Position) -> Result<(), Fault> {
        if self.holds_before(needed)? {
            return self.file.write(FreePages::Recorded, |transaction| {
                let mut table = transaction.open_table(TABLE)?;
                trim(&mut table, needed, usize::MAX)?;
                Ok(())
            });
        }
        self.file.settle()
    }

    fn holds_before(&self, needed: Position) -> Result<bool, Fault> {
        let first = || {
            let transaction = self.file.database().begin_read()?;
            let table = transaction.open_table(TABLE)?;
            let first = ReadableTable::first(&table)?;
            Ok(first.is_some_and(|(position, _)| is_removable(position.value(), needed)))
        };
        self.file.latch().run(Step::Read, || {
            first().map_err(|error: redb::Error| Fault::storage(Step::Read, error))
        })
    }

    /// Verifies every page and every record.
    pub(crate) fn check(&mut self) -> Result<(), Fault> {
        self.file.check_pages()?;
        replay(self.file.database(), None, |_, _| {})
            .map_err(|refusal| Fault::storage(Step::Check, refusal))
    }
}

/// Whether the tables have a row, and it is not the one that says where the journal ends.
fn is_removable(position: Position, needed: Position) -> bool {
    position + 1 < needed
}

fn trim(
    table: &mut redb::Table<'_, Position, &'static [u8]>,
    needed: Position,
    rows_max: usize,
) -> Result<(), redb::Error> {
    for _ in 0..rows_max {
        let Some(first) = table.first()?.map(|(position, _)| position.value()) else {
            break;
        };
        if !is_removable(first, needed) {
            break;
        }
        table.remove(first)?;
    }
    Ok(())
}

fn contents(examined: &Examined) -> Result<Contents, Refusal> {
    let transaction = examined
        .database()
        .begin_read()
        .map_err(redb::Error::from)?;
    let table = transaction.open_table(TABLE).map_err(redb::Error::from)?;
    let first = ReadableTable::first(&table)?.map(|(position, _)| position.value());
    let last = ReadableTable::last(&table)?.map(|(position, _)| position.value());
    Ok(Contents {
        first,
        end: last.map_or(0, |last| last + 1),
    })
}

/// Hands every change from row `from` on to `each`, in order, with the bytes its record takes. Without `from`, those of
/// all rows there are.
///
/// # Errors
///
/// `Refusal::Corrupt` when a row is missing or a record does not verify, otherwise what the disk reports.
pub(crate) fn replay(
    database: &redb::Database,
    from: Option<Position>,
    mut each: impl FnMut(Op, usize),
) -> Result<(), Refusal> {
    let transaction = database.begin_read().map_err(redb::Error::from)?;
    let table = transaction.open_table(TABLE).map_err(redb::Error::from)?;
    let mut expected = from;
    for row in ReadableTable::range(&table, from.unwrap_or_default()..)? {
        let (position, stored) = row?;
        let position = position.value();
        if expected.is_some_and(|expected| expected != position) {
            return Err(Refusal::corrupt(&format!(
                "row {position} of the journal does not follow the one before it"
            )));
        }
        expected = Some(position + 1);
        let mut bytes = Bytes::copy_from_slice(stored.value());
        while !bytes.is_empty() {
            let before = bytes.len();
            let op = take_record(&mut bytes).ok_or_else(|| {
                Refusal::corrupt(&format!("row {position} of the journal does not verify"))
            })?;
            each(op, before - bytes.len());
        }
    }
    Ok(())
}

fn put_record(op: &Op, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    put_change(op, out);
    let change = &out[start + HEADER_BYTES..];
    let length = u32::try_from(change.len()).expect("a row is smaller than 4 GiB");
    let sum = crc32fast::hash(change);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
}

/// Writes the fields of `Change` straight from the op: to build one first would copy its key.
fn put_change(op: &Op, out: &mut Vec<u8>) {
    use prost::encoding::{bool, bytes, uint32};
    uint32::encode(1, &u32::from(op.table.tag()), out);
    put_field(2, &op.key, out);
    if let Some(value) = &op.value {
        bytes::encode(3, value, out);
    }
    if op.prior == Prior::Absent {
        bool::encode(4, &true, out);
    }
}

/// The first record of `bytes`, which it is taken off; `None` when it does not verify.
fn take_record(bytes: &mut Bytes) -> Option<Op> {
    if bytes.len() < HEADER_BYTES {
        return None;
    }
    let length = usize::try_from(bytes.get_u32_le()).ok()?;
    let sum = bytes.get_u32_le();
    if bytes.len() < length {
        return None;
    }
    let change = bytes.split_to(length);
    if crc32fast::hash(&change) != sum {
        return None;
    }
    let change = Change::decode(change).ok()?;
    let table = u8::try_from(change.table).ok().and_then(Table::of_tag)?;
    Some(Op {
        table,
        key: Key::from_slice(&change.key),
        value: change.value,
        prior: if change.made {
            Prior::Absent
        } else {
            Prior::Unknown
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ops() -> Vec<Op> {
        vec![
            Op::insert(Table::Messages, b"key".to_vec(), b"value".to_vec()),
            Op::put(Table::Counters, vec![0], Vec::new()),
            Op::remove(Table::Ready, vec![7; 17]),
        ]
    }

    fn decoded(rows: &Rows) -> Option<Vec<Op>> {
        let mut ops = Vec::new();
        for row in &rows.rows {
            let mut bytes = Bytes::from(row.clone());
            while !bytes.is_empty() {
                ops.push(take_record(&mut bytes)?);
            }
        }
        Some(ops)
    }

    #[test]
    fn what_is_written_down_is_read_back() {
        assert_eq!(decoded(&Rows::of(&ops())), Some(ops()));
    }

    /// The bytes on disk are a promise to later versions.
    #[test]
    fn the_layout_is_fixed() {
        let rows = Rows::of(&ops()[..1]);
        let change = b"\x08\x05\x12\x03key\x1a\x05value\x20\x01";
        let mut expected = 16_u32.to_le_bytes().to_vec();
        expected.extend_from_slice(&crc32fast::hash(change).to_le_bytes());
        expected.extend_from_slice(change);
        assert_eq!(rows.rows, [expected]);
        assert_eq!(rows.bytes(), 24);
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let row = Rows::of(&ops()).rows.remove(0);
        for bit in 0..row.len() * 8 {
            let mut damaged = row.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let rows = Rows {
                rows: vec![damaged],
                bytes: 0,
            };
            assert_eq!(decoded(&rows), None, "bit {bit}");
        }
    }

    #[test]
    fn a_large_commit_takes_several_rows() {
        let value = vec![7; ROW_BYTES_MAX / 2 - 32];
        let mut ops: Vec<Op> = (0..5_u8)
            .map(|key| Op::put(Table::Payloads, vec![key], value.clone()))
            .collect();
        // Too large for any row, and so in one of its own.
        let large = vec![7; 2 * ROW_BYTES_MAX];
        ops.push(Op::put(Table::Payloads, vec![5], large));
        let rows = Rows::of(&ops);
        assert_eq!(rows.rows.len(), 4);
        assert!(rows.rows[..3].iter().all(|row| row.len() <= ROW_BYTES_MAX));
        assert_eq!(decoded(&rows), Some(ops));
    }
}
