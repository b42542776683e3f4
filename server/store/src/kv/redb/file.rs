//! One redb file that is ours: made, examined before it is touched, written in whole transactions, verified.
//!
//! What a file must contain is said by its `Kind`; what the bytes in it mean, by whoever writes them. A file that is
//! refused stays as it was: everything redb does to it while it is examined is held back by a gate until it is
//! admitted. The modes of a commit and their reasons are in `redb.rs`.

use std::cell::Cell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard};

use redb::{Builder, Database, StorageBackend, WriteTransaction};

use super::handle::Handle;
use super::latch::Latch;
use super::refusal::Refusal;
use super::schema::{Identity, Record, Tables, check_tables, commit_schema};
use super::{Phases, Tuning};
use crate::disk::gate::Gate;
use crate::fault::{Fault, Step};

/// Which of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All tables, as of the last checkpoint.
    State,
    /// What was committed since.
    Journal,
}

/// Whether a file says which of its pages are free, as of its last commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FreePages {
    /// It does: the next open takes no time.
    Recorded,
    /// It does not: the next open verifies the file, unless it is closed first.
    Unrecorded,
}

/// An open file. Dropping it closes it cleanly unless a fault has latched.
pub(crate) struct RedbFile {
    database: Handle,
    /// Held by whoever writes; says what the last commit left behind.
    writer: Mutex<FreePages>,
    latch: Latch,
    phases: Phases,
    pub(crate) log_id: [u8; 16],
}

/// A file that was read through and is one of ours. Dropped, it leaves the disk as it was.
pub(crate) struct Examined {
    gate: Gate,
    database: Handle,
    record: Record,
    tables: Tables,
    kind: Kind,
    phases: Phases,
}

impl Examined {
    pub(crate) fn log_id(&self) -> [u8; 16] {
        self.record.log_id
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// Lets through what redb did to the file, and leaves the version of who opened it and the tables that it knows.
    ///
    /// # Errors
    ///
    /// What the disk reports; part of a repair may then be left behind, which the next open completes.
    pub(crate) fn admit(mut self, identity: &Identity, latch: Latch) -> Result<RedbFile, Refusal> {
        self.gate.open()?;
        let mut free_pages = FreePages::Unrecorded;
        if self.record.writer != identity.version || self.tables == Tables::OfEarlier {
            self.record.writer.clone_from(&identity.version);
            commit_schema(&self.database, self.kind, &self.record)?;
            free_pages = FreePages::Recorded;
        }
        Ok(RedbFile {
            database: self.database,
            writer: Mutex::new(free_pages),
            latch,
            phases: self.phases,
            log_id: self.record.log_id,
        })
    }
}

impl RedbFile {
    /// Makes a new file on an empty `disk`: its tables and the schema record, in one commit.
    ///
    /// # Errors
    ///
    /// `Refusal::Foreign` when the disk is not empty, otherwise what the disk reports.
    pub(crate) fn create(
        disk: impl StorageBackend,
        kind: Kind,
        identity: &Identity,
        tuning: Tuning,
        latch: Latch,
    ) -> Result<Self, Refusal> {
        if disk.len()? != 0 {
            return Err(Refusal::foreign(
                "the file to be made exists and is not empty",
            ));
        }
        let gate = Gate::opened(disk);
        let database = Handle::new(builder(kind, tuning).create_with_backend(gate)?);
        let record = Record::new(identity);
        commit_schema(&database, kind, &record)?;
        Ok(Self {
            database,
            writer: Mutex::new(FreePages::Recorded),
            latch,
            phases: tuning.phases,
            log_id: record.log_id,
        })
    }

    /// Reads the file on `disk` through, without writing to it, and makes sure that it is one of ours.
    ///
    /// # Errors
    ///
    /// The refusal that applies.
    pub(crate) fn examine(
        disk: impl StorageBackend,
        kind: Kind,
        tuning: Tuning,
    ) -> Result<Examined, Refusal> {
        if disk.len()? == 0 {
            return Err(Refusal::corrupt("it is empty"));
        }
        let gate = Gate::holding(disk)?;
        let (database, record, tables) = read_through(&gate, kind, tuning)?;
        Ok(Examined {
            gate,
            database,
            record,
            tables,
            kind,
            phases: tuning.phases,
        })
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) fn latch(&self) -> &Latch {
        &self.latch
    }

    /// Makes `change` in one transaction, durable when this returns.
    ///
    /// # Errors
    ///
    /// `Fault::Storage`, which latches, or `Fault::Stopped` once anything has.
    pub(crate) fn write(
        &self,
        free_pages: FreePages,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), Fault> {
        let mut left = self.writer()?;
        self.commit(free_pages, change)?;
        *left = free_pages;
        Ok(())
    }

    /// Has the file say which of its pages are free, unless it does already.
    ///
    /// # Errors
    ///
    /// As `write`.
    pub(crate) fn settle(&self) -> Result<(), Fault> {
        let mut left = self.writer()?;
        if *left == FreePages::Unrecorded {
            self.commit(FreePages::Recorded, |_| Ok(()))?;
            *left = FreePages::Recorded;
        }
        Ok(())
    }

    /// The right to write, once nothing has failed before.
    fn writer(&self) -> Result<MutexGuard<'_, FreePages>, Fault> {
        let Ok(writer) = self.writer.lock() else {
            return Err(Fault::Stopped {
                first: "a commit panicked".to_owned(),
            });
        };
        self.latch.check()?;
        Ok(writer)
    }

    fn commit(
        &self,
        free_pages: FreePages,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), Fault> {
        self.latch.run(Step::Write, || {
            let mut transaction = self
                .database
                .begin_write()
                .map_err(|error| Fault::storage(Step::Write, error))?;
            transaction.set_two_phase_commit(self.phases == Phases::Two);
            transaction.set_quick_repair(free_pages == FreePages::Recorded);
            change(&transaction).map_err(|error| Fault::storage(Step::Write, error))?;
            transaction
                .commit()
                .map_err(|error| Fault::storage(Step::Commit, error))
        })
    }

    /// Verifies every page, and repairs what can be derived from the rest. About a second per gigabyte.
    ///
    /// # Errors
    ///
    /// `Fault::Storage`, also while a snapshot is held. The caller latches it.
    pub(crate) fn check_pages(&mut self) -> Result<(), Fault> {
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
}

impl fmt::Debug for RedbFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbFile")
            .field("phases", &self.phases)
            .field("latch", &self.latch)
            .finish_non_exhaustive()
    }
}

/// Opens the database behind a gate that is shut and makes sure that it is one of ours.
fn read_through(
    gate: &Gate,
    kind: Kind,
    tuning: Tuning,
) -> Result<(Handle, Record, Tables), Refusal> {
    let small = gate.len()? <= tuning.verified_bytes_max;
    let read = || {
        let repaired = Rc::new(Cell::new(false));
        let mut builder = builder(kind, tuning);
        log_repair(&mut builder, kind, repaired.clone());
        let mut database = Handle::new(builder.create_with_backend(gate.clone())?);
        // A repair verifies every page already.
        if small && !repaired.get() && !database.check_integrity()? {
            tracing::warn!(
                file = ?kind,
                "the free pages of the file were not as recorded; all rows are whole"
            );
        }
        let record = Record::read(&database)?;
        let tables = check_tables(&database, kind)?;
        Ok((database, record, tables))
    };
    // redb panics on some damaged files. Nothing it touched outlives the panic: what it wrote is behind the gate, and
    // an operator is owed a sentence.
    panic::catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(Refusal::corrupt("redb panicked while reading it")))
}

fn log_repair(builder: &mut Builder, kind: Kind, repaired: Rc<Cell<bool>>) {
    builder.set_repair_callback(move |session| {
        // Called for every step; one line is enough.
        if !repaired.replace(true) {
            tracing::info!(file = ?kind, progress = session.progress(), "verifying a file that was not closed cleanly");
        }
    });
}

fn builder(kind: Kind, tuning: Tuning) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(match kind {
        Kind::State => tuning.cache_bytes,
        Kind::Journal => tuning.journal_cache_bytes,
    });
    builder
}
