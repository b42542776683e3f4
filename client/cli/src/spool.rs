//! Hook events that could not be sent yet, on disk until they are.
//!
//! Invariant: what `append` accepted is there after a crash, and is read in the order in which it
//! was accepted, session by session, until it was marked as sent; concurrent hooks neither mix
//! their records nor send one twice at the same time. All files together stay within the bound.
//! What this deliberately does not do: send, or promise that nothing is sent twice: a crash
//! between an answer and its mark repeats an event, which its key makes harmless.
//!
//! ```text
//! spool/lock             held for the short time of a change
//! spool/flush            held by the one who sends
//! spool/<hash>.jsonl     one session on one server: a header line, then one line per event
//! spool/<hash>.sent      how far that file is sent: generation and offset
//! ```

mod file;
mod lock;
mod record;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use self::file::SpoolFile;
use self::lock::Lock;
pub(crate) use self::record::{Owner, Record};
use crate::state_dir;

/// All spool files of a user together, in bytes. Some ten thousand events of usual size, and little
/// enough to forget about.
pub(crate) const SPOOL_BYTES_MAX: u64 = 64 * 1024 * 1024;

const DIRECTORY: &str = "spool";
const EXTENSION: &str = "jsonl";

/// Why an event is not kept, or kept ones cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    #[error("the spool is full: {used} of {SPOOL_BYTES_MAX} bytes are in use")]
    Full { used: u64 },
    #[error("another process holds the spool")]
    Busy,
    #[error("spool file {0:?} belongs to another session")]
    Foreign(PathBuf),
    #[error("cannot use the spool")]
    Io(#[from] io::Error),
}

/// The spool of this user.
#[derive(Debug)]
pub(crate) struct Spool {
    directory: PathBuf,
    bytes_max: u64,
}

/// The right to send what is kept; one process at a time has it.
#[derive(Debug)]
pub(crate) struct Flusher<'a> {
    spool: &'a Spool,
    _lock: Lock,
}

/// What waits for one session on one server.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) owner: Owner,
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

/// Whether to go on after a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is dealt with, sent or not: never show it again.
    Done,
    /// It stays, and so does everything behind it.
    Keep,
}

/// What became of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// Nothing is left of it.
    Empty,
    /// Something has to stay.
    Left,
}

// === impl Spool ===

impl Spool {
    /// The spool in the state directory, which is created if need be.
    pub(crate) fn open(state: &Path) -> io::Result<Self> {
        Self::with_bound(state, SPOOL_BYTES_MAX)
    }

    fn with_bound(state: &Path, bytes_max: u64) -> io::Result<Self> {
        let directory = state.join(DIRECTORY);
        state_dir::create(&directory)?;
        Ok(Self {
            directory,
            bytes_max,
        })
    }

    /// Keeps an event behind those of the same session; it is on disk when this returns. Waits for
    /// other processes until `patience` ends.
    pub(crate) fn append(
        &self,
        owner: &Owner,
        record: &Record<'_>,
        patience: Instant,
    ) -> Result<(), SpoolError> {
        let _lock = self.lock(patience)?;
        let file = self.file(owner);
        let line = record.line();
        let used = self.used()?;
        if used.saturating_add(line.len() as u64) > self.bytes_max {
            return Err(SpoolError::Full { used });
        }
        file.append(owner, &line)
    }

    /// Whether something waits for this session.
    pub(crate) fn has(&self, owner: &Owner) -> bool {
        self.file(owner).exists()
    }

    /// The right to send, unless somebody else has it.
    pub(crate) fn flusher(&self) -> io::Result<Option<Flusher<'_>>> {
        let lock = Lock::try_take(&self.directory.join("flush"))?;
        Ok(lock.map(|lock| Flusher {
            spool: self,
            _lock: lock,
        }))
    }

    /// What waits, the session that has waited longest without a new event first. A file that
    /// cannot be read is left out.
    pub(crate) fn waiting(&self) -> io::Result<Vec<Waiting>> {
        let mut found: Vec<(SystemTime, Waiting)> = Vec::new();
        for path in self.paths()? {
            let modified = fs::metadata(&path).and_then(|metadata| metadata.modified());
            let (Ok(modified), Ok(Some(waiting))) = (modified, SpoolFile::new(path).waiting())
            else {
                continue;
            };
            found.push((modified, waiting));
        }
        found.sort_by_key(|(modified, _)| *modified);
        Ok(found.into_iter().map(|(_, waiting)| waiting).collect())
    }

    fn file(&self, owner: &Owner) -> SpoolFile {
        let name = format!("{:016x}.{EXTENSION}", owner.hash());
        SpoolFile::new(self.directory.join(name))
    }

    fn lock(&self, patience: Instant) -> Result<Lock, SpoolError> {
        Lock::take(&self.directory.join("lock"), patience)?.ok_or(SpoolError::Busy)
    }

    fn used(&self) -> io::Result<u64> {
        let mut used = 0;
        for path in self.paths()? {
            match fs::metadata(path) {
                Ok(metadata) => used += metadata.len(),
                // Somebody has just sent the last of it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(used)
    }

    fn paths(&self) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|found| found == EXTENSION) {
                paths.push(path);
            }
        }
        Ok(paths)
    }
}

// === impl Flusher ===

impl Flusher<'_> {
    /// Shows the records of one session in order to `send`, until it keeps one or none is left.
    /// Those that it is done with are marked one by one. Waits for other processes until
    /// `patience` ends. `broken` hears of a line that is no record; it is passed over.
    pub(crate) async fn drain(
        &self,
        owner: &Owner,
        patience: Instant,
        mut send: impl AsyncFnMut(&Record<'_>) -> Verdict,
        mut broken: impl FnMut(&str),
    ) -> Result<Drained, SpoolError> {
        let file = self.spool.file(owner);
        loop {
            let Some(mut unsent) = file.unsent(owner)? else {
                return Ok(Drained::Empty);
            };
            while let Some(line) = unsent.next_line()? {
                let verdict = match Record::read(&line) {
                    Some(record) => send(&record).await,
                    None => {
                        broken(&String::from_utf8_lossy(&line));
                        Verdict::Done
                    }
                };
                match verdict {
                    Verdict::Done => unsent.mark()?,
                    Verdict::Keep => {
                        let _lock = self.spool.lock(patience)?;
                        file.compact(owner, &unsent)?;
                        return Ok(Drained::Left);
                    }
                }
            }
            // Whoever appended since then did so before the lock is taken: look again.
            let _lock = self.spool.lock(patience)?;
            if file.remove_if_sent(&unsent)? {
                return Ok(Drained::Empty);
            }
        }
    }
}

#[cfg(test)]
mod tests;
