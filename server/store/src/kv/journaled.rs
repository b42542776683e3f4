//! The durable store: commits go to a journal, checkpoints carry them into tables, readers see both as one.
//!
//! ```text
//!  commit ──► journal.redb (durable: acknowledged) ──► the newest layer, in memory
//!  checkpoint: freeze that layer ──► state.redb, with its place in the journal ──► forget the layer
//!  snapshot:   newest layer over frozen layer over state.redb, as of one moment
//!  open:       state.redb, and what the journal has behind its place, replayed into a layer
//! ```
//!
//! A commit is durable once the journal has it, and nothing else decides that. Between any two steps of a checkpoint
//! the process may die: the tables move in one commit together with their place in the journal, and a journal row is
//! removed only by a commit after that one is durable. A row that is made and removed between two checkpoints never
//! reaches the tables. What is gathered is bounded: at `Tuning::gathered_bytes_max` a commit makes the checkpoint itself. When
//! else checkpoints are made is the owner's business. The first fault of either file stops both.
//!
//! A commit without ops is a no-op: there is nothing to make durable that is not durable already.

mod chunks;
mod layer;
mod merged;

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use self::layer::Layer;
use self::merged::Merged;
use crate::fault::{Fault, Step};
use crate::kv::redb::{
    Identity, JournalFile, Latch, Position, RedbSnapshot, Refusal, Rows, StateFile, Tuning, replay,
};
use crate::kv::{Kv, Op, Prior, Snapshot};

/// The disks of a store, or what stands for them.
#[derive(Debug)]
pub struct Disks<S, J> {
    /// For the tables.
    pub state: S,
    /// For the journal.
    pub journal: J,
}

/// Which of its files a store is refused for.
#[derive(Debug)]
pub enum Refused {
    /// The tables.
    State(Refusal),
    /// The journal.
    Journal(Refusal),
}

/// Ordered tables behind a journal. Dropping it closes both files cleanly unless a fault has latched.
pub struct JournaledKv {
    // Before `lock`: fields drop in this order, and the files must be closed before somebody else may open them.
    recent: Mutex<Recent>,
    journal: JournalFile,
    state: StateFile,
    /// Where the next commit goes; held by whoever commits.
    writer: Mutex<Position>,
    /// Held by whoever makes a checkpoint.
    checkpointing: Mutex<()>,
    /// Journal rows before this one are in the tables, and durable there.
    needed: AtomicU64,
    gathered_bytes_max: u64,
    latch: Latch,
    lock: Option<File>,
}

/// What readers merge. Everything in it changes together.
#[derive(Debug)]
struct Recent {
    newest: Gathered,
    /// What the checkpoint that is being made carries into the tables.
    frozen: Layer,
    /// The tables as of the last checkpoint that was completed. Only a check of the file takes it away.
    base: Option<Arc<RedbSnapshot>>,
}

/// What was committed since the last checkpoint began.
#[derive(Debug, Default)]
struct Gathered {
    layer: Layer,
    /// What its journal rows take, in bytes.
    bytes: u64,
    /// Behind its journal rows.
    end: Position,
}

impl Recent {
    /// Whether there is no row under the key of `op`. What cannot be read may be absent.
    fn is_absent(&self, op: &Op) -> bool {
        let layers = [&self.newest.layer, &self.frozen];
        let said = layers
            .into_iter()
            .find_map(|layer| layer.get(op.table, &op.key));
        match (said, &self.base) {
            (Some(slot), _) => slot.value.is_none(),
            (None, Some(base)) => !matches!(base.get(op.table, &op.key), Ok(Some(_))),
            (None, None) => true,
        }
    }
}

impl JournaledKv {
    /// Makes a new store on empty disks.
    ///
    /// Until this returns the disks may hold half a store; the caller makes sure that nobody mistakes it for one.
    ///
    /// # Errors
    ///
    /// `Refusal::Foreign` when a disk is not empty, otherwise what it reports.
    pub fn create_on(
        disks: Disks<impl StorageBackend, impl StorageBackend>,
        identity: &Identity,
        tuning: Tuning,
    ) -> Result<Self, Refused> {
        let latch = Latch::default();
        let journal = JournalFile::create(disks.journal, identity, tuning, latch.clone())
            .map_err(Refused::Journal)?;
        let state = StateFile::create(disks.state, identity, tuning, latch.clone())
            .map_err(Refused::State)?;
        Self::new((state, journal), latch, tuning, 0, Gathered::default())
    }

    /// Opens the store on `disks`. Neither is written to before both are known to hold one store of ours.
    ///
    /// # Errors
    ///
    /// The refusal that applies; the disks are then as they were. `Refusal::Io` alone may leave part of a repair
    /// behind, which the next open completes.
    pub fn open_on(
        disks: Disks<impl StorageBackend, impl StorageBackend>,
        identity: &Identity,
        tuning: Tuning,
    ) -> Result<Self, Refused> {
        let (state, place) = StateFile::examine(disks.state, tuning).map_err(Refused::State)?;
        let (journal, contents) =
            JournalFile::examine(disks.journal, tuning).map_err(Refused::Journal)?;
        if journal.log_id() != state.log_id() {
            return Err(Refused::Journal(Refusal::corrupt(
                "it belongs to another store than the state beside it",
            )));
        }
        // Rows are removed only once the tables have them, the last one never.
        let reaches = match contents.first {
            Some(first) => (first..=contents.end).contains(&place),
            None => place == 0,
        };
        if !reaches {
            return Err(Refused::Journal(Refusal::corrupt(
                "it does not reach to where the state beside it ends",
            )));
        }
        let mut recent = Gathered {
            layer: Layer::default(),
            bytes: 0,
            end: contents.end.max(place),
        };
        replay(journal.database(), Some(place), |op, bytes| {
            recent.layer.apply(&op);
            recent.bytes += bytes as u64;
        })
        .map_err(Refused::Journal)?;
        let latch = Latch::default();
        let journal =
            JournalFile::admit(journal, identity, latch.clone()).map_err(Refused::Journal)?;
        let state = StateFile::admit(state, identity, latch.clone()).map_err(Refused::State)?;
        Self::new((state, journal), latch, tuning, place, recent)
    }

    /// Whether the journal on `disk` is one that nothing was ever committed to. Leaves it as it is.
    ///
    /// # Errors
    ///
    /// The refusal that applies.
    pub(crate) fn is_unused_journal(
        disk: impl StorageBackend,
        tuning: Tuning,
    ) -> Result<bool, Refusal> {
        let (_, contents) = JournalFile::examine(disk, tuning)?;
        Ok(contents.first.is_none())
    }

    /// Puts the parts together: tables that hold the journal up to `place`, and what it holds behind that.
    fn new(
        (state, journal): (StateFile, JournalFile),
        latch: Latch,
        tuning: Tuning,
        place: Position,
        newest: Gathered,
    ) -> Result<Self, Refused> {
        let base = state
            .snapshot()
            .map_err(|fault| Refused::State(Refusal::Io(io::Error::other(fault.describe()))))?;
        Ok(Self {
            writer: Mutex::new(newest.end),
            recent: Mutex::new(Recent {
                newest,
                frozen: Layer::default(),
                base: Some(Arc::new(base)),
            }),
            journal,
            state,
            checkpointing: Mutex::new(()),
            needed: AtomicU64::new(place),
            gathered_bytes_max: tuning.gathered_bytes_max,
            latch,
            lock: None,
        })
    }

    /// Keeps `lock` locked until the files are closed.
    pub(crate) fn with_lock(self, lock: File) -> Self {
        Self {
            lock: Some(lock),
            ..self
        }
    }

    /// The identity of the log in this store, given by whoever created it.
    pub fn log_id(&self) -> [u8; 16] {
        self.state.log_id()
    }

    /// Settles and closes. Dropping closes as well, but cannot tell what went wrong.
    ///
    /// # Errors
    ///
    /// As `commit`. The files are closed in any case, and nothing that was committed depends on the answer.
    pub fn close(self) -> Result<(), Fault> {
        self.settle()
    }

    /// Verifies every page of the files and every row, and repairs what can be derived from the rest. Takes about a
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
            // The file is verified by whoever has it alone.
            self.recent().base = None;
            let found = self.journal.check().and_then(|()| self.state.check());
            self.recent().base = Some(Arc::new(self.state.snapshot()?));
            found
        })
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        // Nothing that is done under this lock panics half way but for want of memory, and then the process is lost.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to commit, once nothing has failed before.
    fn writer(&self) -> Result<MutexGuard<'_, Position>, Fault> {
        let Ok(writer) = self.writer.lock() else {
            return Err(Fault::Stopped {
                first: "a commit panicked".to_owned(),
            });
        };
        self.latch.check()?;
        Ok(writer)
    }

    /// Takes what was gathered out of the way of commits, to be carried into the tables. `None` when there is nothing.
    fn freeze(&self) -> Option<(Layer, Position)> {
        let mut recent = self.recent();
        let end = recent.newest.end;
        if end == self.needed.load(Ordering::Acquire) {
            return None;
        }
        let newest = Gathered {
            end,
            ..Gathered::default()
        };
        recent.frozen = std::mem::replace(&mut recent.newest, newest).layer;
        Some((recent.frozen.clone(), end))
    }

    /// Shows readers the tables with what was frozen in them.
    fn thaw(&self, base: RedbSnapshot) {
        let mut recent = self.recent();
        let before = (
            std::mem::take(&mut recent.frozen),
            recent.base.replace(Arc::new(base)),
        );
        drop(recent);
        // Freeing many rows takes a while, and nobody has to wait for it.
        drop(before);
    }
}

impl fmt::Debug for JournaledKv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournaledKv")
            .field("latch", &self.latch)
            .field("locked", &self.lock.is_some())
            .finish_non_exhaustive()
    }
}

impl Kv for JournaledKv {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, Fault> {
        let recent = self.recent();
        let base = recent.base.clone().ok_or_else(|| Fault::Stopped {
            first: "the store is being verified".to_owned(),
        })?;
        Ok(Box::new(Merged {
            layers: [recent.newest.layer.clone(), recent.frozen.clone()],
            base,
        }))
    }

    fn commit(&self, ops: &[Op]) -> Result<(), Fault> {
        let mut next = self.writer()?;
        if ops.is_empty() {
            return Ok(());
        }
        if self.gathered_bytes() >= self.gathered_bytes_max {
            self.checkpoint()?;
        }
        let rows = Rows::of(ops);
        let needed = self.needed.load(Ordering::Acquire);
        *next = self.journal.append(*next, &rows, needed)?;
        let mut recent = self.recent();
        for op in ops {
            debug_assert!(
                op.prior == Prior::Unknown || recent.is_absent(op),
                "said to be new, and is not: {op:?}"
            );
            recent.newest.layer.apply(op);
        }
        recent.newest.bytes += rows.bytes() as u64;
        recent.newest.end = *next;
        Ok(())
    }

    fn checkpoint(&self) -> Result<(), Fault> {
        // Poisoned means that a checkpoint panicked; the latch knows of it.
        let _one = self
            .checkpointing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.latch.check()?;
        let Some((frozen, end)) = self.freeze() else {
            return Ok(());
        };
        self.state.checkpoint(frozen.rows(), end)?;
        self.needed.store(end, Ordering::Release);
        self.thaw(self.state.snapshot()?);
        Ok(())
    }

    /// In memory or in the journal, whichever is more.
    fn gathered_bytes(&self) -> u64 {
        let recent = self.recent();
        recent.newest.bytes.max(recent.newest.layer.bytes() as u64)
    }

    /// Makes a checkpoint and trims the journal to its last row, so that even a crash is followed by a quick open.
    fn settle(&self) -> Result<(), Fault> {
        let _next = self.writer()?;
        self.checkpoint()?;
        self.journal.settle(self.needed.load(Ordering::Acquire))
    }
}
