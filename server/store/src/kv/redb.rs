//! The two redb files of a store: the journal, where commits become durable, and the state behind it.
//!
//! **Two phases, and why.** A one-phase commit is one flush: pages, slot and the bit that selects the slot go to disk
//! together, and recovery believes checksums as they read *then*. `crash_redb.rs` shows what that costs a journal:
//!
//! ```text
//! flush fails once, process goes on      one phase: in every fourth story no store at all
//!   and reopens on the cached image      two phases: nothing lost
//! same, but the process exits and the    one phase: nothing lost
//!   cache is dropped before reopening    two phases: nothing lost
//! a page of the last commit rots         one phase: the acknowledged commit is rolled back in silence
//!   before an unclean reopen             two phases: refused
//! ```
//!
//! The second row is our rule (`disk::open`), so the first is a second line of defence, where dropping the cache is
//! only advice to the kernel; the third is reason enough alone, and it holds for the journal as for the state: what
//! is acknowledged stands in the journal's last commits only. The price is one more flush per group commit. One bit
//! of a file stays unprotected in either mode: the one that selects the slot, whose turning over after a crash leads
//! to the commit before the last.
//!
//! **Reopening.** A clean close records which pages are free, and the next open takes no time; so does any commit made
//! to be reopened (`FreePages::Recorded`): every commit of the state, because the file is large and commits are few;
//! of the journal only the one that settles it, because the file is small and commits are many. redb makes such a
//! commit in two phases whatever was asked for. Otherwise the open verifies the whole file, about a second per
//! gigabyte. An open that takes no time also notices no rot outside of rows, and a rotten record of free pages gets
//! used pages overwritten: so a file up to `VERIFIED_BYTES_MAX` is verified at every open, and a larger one by `check`.
//!
//! **Stopping.** The first fault of any kind, a row that does not verify included, latches for both files: every later
//! write answers `Fault::Stopped`. Snapshots may go on showing what was committed before, or fail as well; none shows
//! more. Nothing here retries, and nothing here knows what a row means.

mod file;
mod handle;
mod journal;
mod latch;
mod refusal;
mod schema;
mod seal;
mod snapshot;
mod state;

pub use self::refusal::Refusal;
pub use self::schema::{Identity, SCHEMA};

pub(crate) use self::journal::{JournalFile, Position, Rows, replay};
pub(crate) use self::latch::Latch;
pub(crate) use self::snapshot::RedbSnapshot;
pub(crate) use self::state::StateFile;

type Definition<'a> = redb::TableDefinition<'a, &'static [u8], &'static [u8]>;

/// Memory for cached pages of the state, in bytes. Measured: a larger cache does not write faster, and resident memory
/// follows it.
pub const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// Memory for cached pages of the journal, in bytes: what is gathered for a checkpoint, and half as much for what comes
/// while it is made. A row is read once more when it is removed, by the commit that does so: with less, from the file.
/// Measured: 16 MiB cost a tenth of the rate of a stream.
pub const JOURNAL_CACHE_BYTES: usize = 48 * 1024 * 1024;

/// The largest file that is verified at every open, in bytes: well under 0.1 s.
pub const VERIFIED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What commits may gather before one of them has to make a checkpoint, in bytes; while that is made, as much again
/// may come. Bounds memory, the journal's size and the time a restart takes.
pub const GATHERED_BYTES_MAX: u64 = 128 * 1024 * 1024;

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
    /// Memory for cached pages of the state, in bytes.
    pub cache_bytes: usize,
    /// Memory for cached pages of the journal, in bytes.
    pub journal_cache_bytes: usize,
    /// The largest file that is verified at every open, in bytes.
    pub verified_bytes_max: u64,
    /// How a commit reaches the disk.
    pub phases: Phases,
    /// What commits may gather before one of them makes a checkpoint, in bytes.
    pub gathered_bytes_max: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            cache_bytes: CACHE_BYTES,
            journal_cache_bytes: JOURNAL_CACHE_BYTES,
            verified_bytes_max: VERIFIED_BYTES_MAX,
            phases: COMMIT_PHASES,
            gathered_bytes_max: GATHERED_BYTES_MAX,
        }
    }
}
