//! Tables in one redb file: every commit atomic, flushed, and checked row by row when it is read.
//!
//! **Two phases, and why.** A one-phase commit is one flush: pages, slot and the bit that selects the slot go to disk
//! together, and recovery believes checksums as they read *then*. `crash_redb.rs` shows what that costs:
//!
//! ```text
//! flush fails once, process goes on      one phase: acknowledged commits lost, or no store at all
//!   and reopens on the cached image      two phases: nothing lost
//! same, but the process exits and the    one phase: nothing lost
//!   cache is dropped before reopening    two phases: nothing lost
//! a page of the last commit rots         one phase: the acknowledged commit is rolled back in silence
//!   before an unclean reopen             two phases: refused
//! ```
//!
//! The second row is our rule (`disk::open`), so the first is a second line of defence, where dropping the cache is
//! only advice to the kernel; the third is reason enough alone. The price is one more flush per group commit. One bit
//! of the file stays unprotected in either mode: the one that selects the slot, whose turning over after a crash leads
//! to the commit before the last.
//!
//! **Reopening.** A clean close records which pages are free, and the next open takes no time; so does any commit made
//! by `settle`, which the owner calls when it is idle. Otherwise the open verifies the whole file, about a second per
//! gigabyte. Ordinary commits do not record it: that would cost every commit what only the last one needs. An open
//! that takes no time also notices no rot outside of rows, and a rotten record of free pages gets used pages
//! overwritten: so a file up to `VERIFIED_BYTES_MAX` is verified at every open, and a larger one by `check`.
//!
//! **Stopping.** The first fault of any kind, a row that does not verify included, latches: every later commit answers
//! `Fault::Stopped`. Snapshots may go on showing what was committed before, or fail as well; none shows more.
//!
//! A commit without ops is a no-op: there is nothing to make durable that is not durable already.
//! Nothing here retries, and nothing here knows what a row means.

mod handle;
mod latch;
mod refusal;
mod schema;
mod seal;
mod snapshot;

use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard};

use redb::{Builder, StorageBackend, Table as RedbTable, TableDefinition, WriteTransaction};

pub use self::refusal::Refusal;
pub use self::schema::{Identity, SCHEMA};

use self::handle::Handle;
use self::latch::Latch;
use self::schema::{Record, check_tables, commit_schema};
use self::snapshot::RedbSnapshot;
use crate::disk::gate::Gate;
use crate::fault::{Fault, Step};
use crate::kv::{Kv, Op, Snapshot, Table};

/// Memory for cached pages, in bytes. Measured: a larger cache does not write faster, and resident memory follows it.
pub const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// The largest file that is verified at every open, in bytes: well under 0.1 s.
pub const VERIFIED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How a commit reaches the disk. The header of this file says why it is this one.
pub const COMMIT_PHASES: Phases = Phases::Two;

/// How many flushes stand between the pages of a commit and the bit that makes it count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phases {
    /// None: both in one flush. Here for the test that says why not.
    One,
    /// One: nothing refers to pages that are not known to be on the disk.
    Two,
}

/// What may differ between a server and a test.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Memory for cached pages, in bytes.
    pub cache_bytes: usize,
    /// The largest file that is verified at every open, in bytes.
    pub verified_bytes_max: u64,
    /// How a commit reaches the disk.
    pub phases: Phases,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            cache_bytes: CACHE_BYTES,
            verified_bytes_max: VERIFIED_BYTES_MAX,
            phases: COMMIT_PHASES,
        }
    }
}

/// Ordered tables in one redb file. Dropping it closes the file cleanly unless a fault has latched.
pub struct RedbKv {
    // Before `lock`: fields drop in this order, and the file must be closed before somebody else may open it.
    database: Handle,
    /// Held by whoever commits; says what the last commit left behind.
    writer: Mutex<FreePages>,
    latch: Latch,
    phases: Phases,
    log_id: [u8; 16],
    lock: Option<File>,
}

/// Whether the file says which of its pages are free, as of the last commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FreePages {
    Recorded,
    Unrecorded,
}

type Definition<'a> = TableDefinition<'a, &'static [u8], &'static [u8]>;

impl RedbKv {
    /// Makes a new store on an empty `disk`: all tables and the schema record, in one commit.
    ///
    /// Until this returns the disk may hold half a store; the caller makes sure that nobody mistakes it for one.
    ///
    /// # Errors
    ///
    /// `Refusal::Foreign` when the disk is not empty, otherwise what the disk reports.
    pub fn create_on(
        disk: impl StorageBackend,
        identity: &Identity,
        tuning: Tuning,
    ) -> Result<Self, Refusal> {
        if disk.len()? != 0 {
            return Err(Refusal::foreign(
                "the file to be made exists and is not empty",
            ));
        }
        let database = Handle::new(builder(tuning).create_with_backend(Gate::opened(disk))?);
        let record = Record::new(identity);
        commit_schema(&database, &record)?;
        Ok(Self::new(database, &record, FreePages::Recorded, tuning))
    }

    /// Opens the store on `disk`. The disk is not written to before it is known to hold a store of ours.
    ///
    /// # Errors
    ///
    /// The refusal that applies; the disk is then as it was. `Refusal::Io` alone may leave part of a repair behind,
    /// which the next open completes.
    pub fn open_on(
        disk: impl StorageBackend,
        identity: &Identity,
        tuning: Tuning,
    ) -> Result<Self, Refusal> {
        if disk.len()? == 0 {
            return Err(Refusal::corrupt("it is empty"));
        }
        let gate = Gate::holding(disk)?;
        let (database, mut record) = read_through(&gate, tuning)?;
        gate.open()?;
        let mut free_pages = FreePages::Unrecorded;
        if record.writer != identity.version {
            record.writer.clone_from(&identity.version);
            commit_schema(&database, &record)?;
            free_pages = FreePages::Recorded;
        }
        Ok(Self::new(database, &record, free_pages, tuning))
    }

    fn new(database: Handle, record: &Record, free_pages: FreePages, tuning: Tuning) -> Self {
        Self {
            database,
            writer: Mutex::new(free_pages),
            latch: Latch::default(),
            phases: tuning.phases,
            log_id: record.log_id,
            lock: None,
        }
    }

    /// Keeps `lock` locked until the file is closed.
    pub(crate) fn with_lock(self, lock: File) -> Self {
        Self {
            lock: Some(lock),
            ..self
        }
    }

    /// The identity of the log in this store, given by whoever created it.
    pub fn log_id(&self) -> [u8; 16] {
        self.log_id
    }

    /// Settles and closes. Dropping does the same, but cannot tell what went wrong.
    ///
    /// # Errors
    ///
    /// As `commit`. The file is closed in any case, and nothing that was committed depends on the answer.
    pub fn close(self) -> Result<(), Fault> {
        self.settle()
    }

    /// Verifies every page of the file and every row, and repairs what can be derived from the rest. Takes about a
    /// second per gigabyte.
    ///
    /// # Errors
    ///
    /// `Fault::Corrupt` names a row, `Fault::Storage` what is wrong below the rows; either latches. Also
    /// `Fault::Storage` while a snapshot is held.
    pub fn check(&mut self) -> Result<(), Fault> {
        let latch = self.latch.clone();
        latch.check()?;
        latch.run(Step::Check, || {
            self.check_pages().and_then(|()| self.check_rows())
        })
    }

    fn check_pages(&mut self) -> Result<(), Fault> {
        match self.database.check_integrity() {
            Ok(true) => Ok(()),
            Ok(false) => Err(Fault::storage(
                Step::Check,
                Refusal::corrupt(
                    "free pages or table sizes were not as recorded, and were repaired",
                ),
            )),
            Err(error) => Err(Fault::storage(Step::Check, error)),
        }
    }

    fn check_rows(&self) -> Result<(), Fault> {
        let snapshot = RedbSnapshot::begin(&self.database, self.latch.clone())?;
        Table::ALL
            .into_iter()
            .try_for_each(|table| snapshot.check(table))
    }

    /// The right to commit, once nothing has failed before.
    fn writer(&self) -> Result<MutexGuard<'_, FreePages>, Fault> {
        let Ok(writer) = self.writer.lock() else {
            return Err(Fault::Stopped {
                first: "a commit panicked".to_owned(),
            });
        };
        self.latch.check()?;
        Ok(writer)
    }

    fn write(&self, ops: &[Op], free_pages: FreePages) -> Result<(), Fault> {
        self.latch.run(Step::Write, || {
            let mut transaction = self
                .database
                .begin_write()
                .map_err(|error| Fault::storage(Step::Write, error))?;
            transaction.set_two_phase_commit(self.phases == Phases::Two);
            transaction.set_quick_repair(free_pages == FreePages::Recorded);
            apply(&transaction, ops).map_err(|error| Fault::storage(Step::Write, error))?;
            transaction
                .commit()
                .map_err(|error| Fault::storage(Step::Commit, error))
        })
    }
}

impl fmt::Debug for RedbKv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbKv")
            .field("phases", &self.phases)
            .field("latch", &self.latch)
            .field("locked", &self.lock.is_some())
            .finish_non_exhaustive()
    }
}

impl Kv for RedbKv {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, Fault> {
        let begin = || RedbSnapshot::begin(&self.database, self.latch.clone());
        Ok(Box::new(self.latch.run(Step::Read, begin)?))
    }

    fn commit(&self, ops: &[Op]) -> Result<(), Fault> {
        let mut free_pages = self.writer()?;
        if ops.is_empty() {
            return Ok(());
        }
        self.write(ops, FreePages::Unrecorded)?;
        *free_pages = FreePages::Unrecorded;
        Ok(())
    }

    /// Records the free pages, unless the last commit did, so that even a crash is followed by a quick open. Costs two
    /// flushes and a few pages.
    fn settle(&self) -> Result<(), Fault> {
        let mut free_pages = self.writer()?;
        if *free_pages == FreePages::Recorded {
            return Ok(());
        }
        self.write(&[], FreePages::Recorded)?;
        *free_pages = FreePages::Recorded;
        Ok(())
    }
}

/// Opens the database behind a gate that is shut and makes sure that it is one of ours.
fn read_through(gate: &Gate, tuning: Tuning) -> Result<(Handle, Record), Refusal> {
    let small = gate.len()? <= tuning.verified_bytes_max;
    let read = || {
        let repaired = Rc::new(Cell::new(false));
        let mut builder = builder(tuning);
        log_repair(&mut builder, repaired.clone());
        let mut database = Handle::new(builder.create_with_backend(gate.clone())?);
        // A repair verifies every page already.
        if small && !repaired.get() && !database.check_integrity()? {
            tracing::warn!("the free pages of the store were not as recorded; all rows are whole");
        }
        let record = Record::read(&database)?;
        check_tables(&database)?;
        Ok((database, record))
    };
    // redb panics on some damaged files. Nothing it touched outlives the panic: what it wrote is behind the gate, and
    // an operator is owed a sentence.
    panic::catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(Refusal::corrupt("redb panicked while reading it")))
}

fn log_repair(builder: &mut Builder, repaired: Rc<Cell<bool>>) {
    builder.set_repair_callback(move |session| {
        repaired.set(true);
        tracing::info!(
            progress = session.progress(),
            "verifying a store that was not closed cleanly"
        );
    });
}

fn builder(tuning: Tuning) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(tuning.cache_bytes);
    builder
}

fn definition(table: Table) -> Definition<'static> {
    TableDefinition::new(table.name())
}

fn apply(transaction: &WriteTransaction, ops: &[Op]) -> Result<(), redb::Error> {
    let mut tables: [Option<RedbTable<'_, &[u8], &[u8]>>; Table::ALL.len()] =
        std::array::from_fn(|_| None);
    let mut sealed = Vec::new();
    for op in ops {
        let table = match &mut tables[op.table.index()] {
            Some(table) => table,
            closed @ None => closed.insert(transaction.open_table(definition(op.table))?),
        };
        match &op.value {
            Some(value) => {
                seal::seal(op.table.tag(), &op.key, value, &mut sealed);
                table.insert(op.key.as_slice(), sealed.as_slice())?;
            }
            None => {
                table.remove(op.key.as_slice())?;
            }
        }
    }
    Ok(())
}
