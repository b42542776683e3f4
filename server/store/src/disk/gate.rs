//! A storage backend that keeps every write to itself until it is told that the file is ours.
//!
//! redb writes to a file while it opens it: a repair, a mark that the file is in use. A file that is then refused,
//! because a newer sessiond wrote it or because it is no store at all, must stay byte for byte what it was. So the
//! gate records what redb asks for, answers reads from the record, and on `open` replays the same calls, flushes
//! included, in the same order: for the disk it is as if there had been no gate. A gate that is never opened throws
//! the record away. It is not meant for more than an opening: reads cost time in proportion to the record.

use std::io;
use std::mem;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::{BackendError, StorageBackend};

/// A handle on the gate; clones share it. One goes into redb, the other one opens it.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    disk: Arc<dyn StorageBackend>,
    state: Arc<RwLock<State>>,
}

#[derive(Debug)]
enum State {
    /// Nothing reaches the disk.
    Holding(Record),
    /// Everything reaches the disk.
    Open,
    /// The replay failed half way: nothing may follow it.
    Broken,
}

/// What redb asked for so far. A few headers and the pages of one repair commit, so a list is enough.
#[derive(Debug)]
struct Record {
    disk_len: u64,
    len: u64,
    calls: Vec<Call>,
}

#[derive(Debug)]
enum Call {
    Write { offset: u64, data: Vec<u8> },
    SetLen(u64),
    Sync,
}

impl Gate {
    /// A gate that holds everything back until it is opened.
    pub(crate) fn holding(disk: impl StorageBackend) -> io::Result<Self> {
        let len = disk.len()?;
        Ok(Self::new(
            disk,
            State::Holding(Record {
                disk_len: len,
                len,
                calls: Vec::new(),
            }),
        ))
    }

    /// A gate in front of a file that is being created and may be written from the start.
    pub(crate) fn opened(disk: impl StorageBackend) -> Self {
        Self::new(disk, State::Open)
    }

    fn new(disk: impl StorageBackend, state: State) -> Self {
        Self {
            disk: Arc::new(disk),
            state: Arc::new(RwLock::new(state)),
        }
    }

    /// Lets everything through: first what was held back, then whatever comes.
    ///
    /// # Errors
    ///
    /// The first error of the disk; the gate then stays shut for good.
    pub(crate) fn open(&self) -> io::Result<()> {
        let mut state = self.write_state();
        match mem::replace(&mut *state, State::Broken) {
            State::Holding(record) => record.replay(self.disk.as_ref())?,
            State::Open => {}
            State::Broken => return Err(broken()),
        }
        *state = State::Open;
        Ok(())
    }

    fn read_state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records `call` while the gate is shut; `false` when it is open and the disk has to be asked.
    fn hold(&self, call: impl FnOnce() -> Call) -> io::Result<bool> {
        // The common case, an open gate, must not make writers wait for readers.
        match &*self.read_state() {
            State::Open => return Ok(false),
            State::Broken => return Err(broken()),
            State::Holding(_) => {}
        }
        match &mut *self.write_state() {
            State::Open => Ok(false),
            State::Broken => Err(broken()),
            State::Holding(record) => {
                record.push(call());
                Ok(true)
            }
        }
    }
}

impl Record {
    fn push(&mut self, call: Call) {
        match &call {
            Call::Write { offset, data } => self.len = self.len.max(offset + data.len() as u64),
            Call::SetLen(len) => self.len = *len,
            Call::Sync => {}
        }
        self.calls.push(call);
    }

    fn replay(self, disk: &dyn StorageBackend) -> io::Result<()> {
        for call in self.calls {
            match call {
                Call::Write { offset, data } => disk.write(offset, &data)?,
                Call::SetLen(len) => disk.set_len(len)?,
                Call::Sync => disk.sync_data()?,
            }
        }
        Ok(())
    }

    fn read(&self, disk: &dyn StorageBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset
            .checked_add(out.len() as u64)
            .filter(|end| *end <= self.len)
            .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let on_disk = to_index(self.disk_len.min(end).saturating_sub(offset));
        if on_disk > 0 {
            disk.read(offset, &mut out[..on_disk])?;
        }
        out[on_disk..].fill(0);
        for call in &self.calls {
            match call {
                Call::Write {
                    offset: start,
                    data,
                } => overlay(offset, out, *start, data),
                // What lies beyond a new end is gone, or was never there: zero in both cases.
                Call::SetLen(len) if *len < end => {
                    let kept = to_index(len.saturating_sub(offset));
                    out[kept..].fill(0);
                }
                Call::SetLen(_) | Call::Sync => {}
            }
        }
        Ok(())
    }
}

/// Copies the part of `data`, written at `start`, that falls into `out`, read at `offset`.
fn overlay(offset: u64, out: &mut [u8], start: u64, data: &[u8]) {
    let from = start.max(offset);
    let to = (start + data.len() as u64).min(offset + out.len() as u64);
    if from < to {
        out[to_index(from - offset)..to_index(to - offset)]
            .copy_from_slice(&data[to_index(from - start)..to_index(to - start)]);
    }
}

/// A distance inside a buffer, which is why it fits.
fn to_index(distance: u64) -> usize {
    usize::try_from(distance).expect("a distance inside a buffer fits the address space")
}

fn broken() -> io::Error {
    io::Error::other("the store was not opened: writing what the opening asked for failed")
}

impl StorageBackend for Gate {
    fn len(&self) -> io::Result<u64> {
        match &*self.read_state() {
            State::Holding(record) => Ok(record.len),
            State::Open | State::Broken => self.disk.len(),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match &*self.read_state() {
            State::Holding(record) => record.read(self.disk.as_ref(), offset, out),
            State::Open => self.disk.read(offset, out),
            State::Broken => Err(broken()),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.hold(|| Call::SetLen(len))? {
            return Ok(());
        }
        self.disk.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.hold(|| Call::Sync)? {
            return Ok(());
        }
        self.disk.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let call = || Call::Write {
            offset,
            data: data.to_vec(),
        };
        if self.hold(call)? {
            return Ok(());
        }
        self.disk.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.disk.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.disk.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.disk.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.disk.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.disk.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.disk.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.disk.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    /// The in-memory backend, still in hand after redb or the gate took it.
    #[derive(Clone, Debug, Default)]
    struct Shared(Arc<InMemoryBackend>);

    impl StorageBackend for Shared {
        fn len(&self) -> io::Result<u64> {
            self.0.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            StorageBackend::read(self.0.as_ref(), offset, out)
        }
        fn set_len(&self, len: u64) -> io::Result<()> {
            self.0.set_len(len)
        }
        fn sync_data(&self) -> io::Result<()> {
            self.0.sync_data()
        }
        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            StorageBackend::write(self.0.as_ref(), offset, data)
        }
    }

    fn bytes(disk: &impl StorageBackend) -> Vec<u8> {
        let len = disk.len().expect("len");
        let mut out = vec![0; usize::try_from(len).expect("small")];
        disk.read(0, &mut out).expect("read");
        out
    }

    /// The same random calls through a gate and directly: reads agree at every step, the disk behind the gate does
    /// not change before it opens, and afterwards both disks are equal.
    #[test]
    fn a_held_record_reads_like_the_disk_it_will_become() {
        for seed in 0..200 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let [behind, twin] = [Shared::default(), Shared::default()];
            for disk in [&behind, &twin] {
                disk.set_len(64).expect("set_len");
                disk.write(0, &[7; 64]).expect("write");
            }
            let gate = Gate::holding(behind.clone()).expect("gate");
            for _ in 0..rng.usize(1..12) {
                if rng.u8(..4) == 0 {
                    let len = rng.u64(1..160);
                    gate.set_len(len).expect("set_len");
                    twin.set_len(len).expect("set_len");
                } else {
                    let len = twin.len().expect("len");
                    let offset = rng.u64(..len);
                    let data = vec![rng.u8(..); to_index(rng.u64(..=len - offset))];
                    gate.write(offset, &data).expect("write");
                    twin.write(offset, &data).expect("write");
                }
                assert_eq!(bytes(&gate), bytes(&twin), "seed {seed}");
                assert_eq!(bytes(&behind), [7; 64], "seed {seed}");
                let (mut ours, mut theirs) = ([0; 5], [0; 5]);
                let offset = rng.u64(..200);
                let read = gate.read(offset, &mut ours).is_ok();
                assert_eq!(read, twin.read(offset, &mut theirs).is_ok(), "seed {seed}");
                assert!(!read || ours == theirs, "seed {seed}");
            }
            gate.open().expect("open");
            assert_eq!(bytes(&behind), bytes(&twin), "seed {seed}");
        }
    }
}
