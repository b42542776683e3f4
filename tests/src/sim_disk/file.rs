//! An open handle on a simulated disk: what redb sees of it.
//!
//! It asks the disk whether this call fails, does what is left to do, and records it. Locks belong to the handle and
//! go with it when it is closed or dropped, as they do with a process.

use std::io;
use std::ops::Bound;

use redb::{BackendError, StorageBackend};

use super::{Call, Event, Failure, FileId, SimDisk, error};

/// An open handle; dropping it releases its locks, and nothing else.
#[derive(Debug)]
pub struct SimFile {
    disk: SimDisk,
    file: FileId,
    owner: u64,
}

impl SimFile {
    pub(super) fn new(disk: SimDisk, file: FileId, owner: u64) -> Self {
        Self { disk, file, owner }
    }

    fn release(&self) {
        self.disk
            .state()
            .locks
            .of_mut(self.file)
            .release_all(self.owner);
        self.disk.shared.unlocked.notify_all();
    }

    fn lock(&self, range: Range, shared: bool) {
        let mut state = self.disk.state();
        while !state
            .locks
            .of_mut(self.file)
            .take(self.owner, range, shared)
        {
            state = self
                .disk
                .shared
                .unlocked
                .wait(state)
                .expect("no call on the disk panics");
        }
    }
}

type Range = (Bound<u64>, Bound<u64>);

impl Drop for SimFile {
    fn drop(&mut self) {
        self.release();
    }
}

impl StorageBackend for SimFile {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        match state.failure(self.owner, self.file, Call::Len) {
            Some(failure) => Err(error(failure)),
            None => Ok(state.live.of(self.file).len()),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        match state.failure(self.owner, self.file, Call::Read) {
            Some(failure) => Err(error(failure)),
            None => state.live.of(self.file).read(offset, out),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        if let Some(failure) = state.failure(self.owner, self.file, Call::SetLen) {
            return Err(error(failure));
        }
        state.change(self.file, Event::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        match state.failure(self.owner, self.file, Call::Sync) {
            None => {
                state.sync(self.file);
                Ok(())
            }
            Some(Failure::FsyncLie) => {
                state.lie(self.file);
                Err(error(Failure::FsyncLie))
            }
            Some(failure @ (Failure::Eio | Failure::Enospc)) => Err(error(failure)),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let Some(failure) = state.failure(self.owner, self.file, Call::Write) else {
            state.change(self.file, Event::write(offset, data));
            return Ok(());
        };
        // What was killed writes no part of it either.
        let part_max = if state.is_killed(self.owner) {
            0
        } else {
            data.len()
        };
        let done = state.rng.usize(..=part_max);
        if done > 0 {
            state.change(self.file, Event::write(offset, &data[..done]));
        }
        Err(error(failure))
    }

    fn close(&self) -> io::Result<()> {
        self.release();
        Ok(())
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        Ok(self
            .disk
            .state()
            .locks
            .of_mut(self.file)
            .take(self.owner, (start, end), false))
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        Ok(self
            .disk
            .state()
            .locks
            .of_mut(self.file)
            .take(self.owner, (start, end), true))
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.lock((start, end), false);
        Ok(())
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.lock((start, end), true);
        Ok(())
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.disk
            .state()
            .locks
            .of_mut(self.file)
            .release(self.owner, (start, end));
        self.disk.shared.unlocked.notify_all();
        Ok(())
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        Ok(self
            .disk
            .state()
            .locks
            .of(self.file)
            .conflicts(self.owner, (start, end), false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim_disk::{Image, PerFile, Plan, Tear};

    const ALL: Range = (Bound::Unbounded, Bound::Unbounded);

    /// The file of tests that need only one.
    const FILE: FileId = FileId::Journal;

    fn disk() -> SimDisk {
        let mut images: PerFile<Image> = PerFile::default();
        for file in FileId::ALL {
            images.of_mut(file).set_len(1024);
        }
        SimDisk::new(images, 1)
    }

    fn first(images: &PerFile<Image>, file: FileId) -> u8 {
        images.of(file).to_vec()[0]
    }

    fn crashed(disk: &SimDisk, tear: Tear) -> u8 {
        let images = disk.crash(tear, &mut fastrand::Rng::with_seed(1));
        first(&images, FILE)
    }

    fn plan(call: Call, nth: u64, failure: Failure) -> Plan {
        Plan {
            file: None,
            call,
            nth,
            failure,
        }
    }

    #[test]
    fn only_what_was_flushed_is_certain() {
        let disk = disk();
        let file = disk.open(FILE);
        file.write(0, &[1]).expect("write");
        assert_eq!(first(&disk.live(), FILE), 1);
        assert_eq!(crashed(&disk, Tear::Nothing), 0);
        assert_eq!(crashed(&disk, Tear::Everything), 1);
        file.sync_data().expect("sync");
        assert_eq!(crashed(&disk, Tear::Nothing), 1);
    }

    #[test]
    fn what_a_lying_flush_lost_is_shown_and_never_written() {
        let mut lost = 0;
        for seed in 0..100 {
            let disk = SimDisk::new(disk().live(), seed);
            let file = disk.open(FILE);
            file.write(0, &[1]).expect("write");
            disk.fail(plan(Call::Sync, 0, Failure::FsyncLie));
            assert!(file.sync_data().is_err());
            file.sync_data().expect("the next one");
            assert_eq!(disk.heal(), Some(FILE));
            assert_eq!(first(&disk.live(), FILE), 1);
            let left = crashed(&disk, Tear::Everything);
            assert_eq!(
                left,
                crashed(&disk, Tear::Nothing),
                "a later flush wrote it"
            );
            let trace = disk.trace();
            let mut walked = trace.replay();
            walked.advance(trace.len());
            let again = walked.crash(Tear::Everything, &mut fastrand::Rng::with_seed(1));
            assert_eq!(first(&again, FILE), left);
            disk.drop_cache(None);
            assert_eq!(first(&disk.live(), FILE), left);
            lost += u32::from(left == 0);
        }
        assert!((1..100).contains(&lost), "{lost}");
    }

    #[test]
    fn the_planned_call_fails_and_only_that_one() {
        let disk = disk();
        let file = disk.open(FILE);
        disk.fail(plan(Call::Write, 1, Failure::Eio));
        let done: Vec<bool> = (0..4).map(|_| file.write(0, &[1]).is_ok()).collect();
        assert_eq!(done, [true, false, true, true]);
        disk.fail(plan(Call::Read, 0, Failure::Eio));
        assert!(file.read(0, &mut [0]).is_err());
        assert!(file.read(0, &mut [0]).is_ok());
    }

    #[test]
    fn a_full_disk_stays_full_and_can_be_read() {
        let disk = disk();
        let file = disk.open(FILE);
        disk.fail(plan(Call::SetLen, 0, Failure::Enospc));
        let full = file.set_len(4096).expect_err("full");
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        assert!(file.write(0, &[1]).is_err());
        assert!(file.sync_data().is_ok());
        assert!(file.read(0, &mut [0]).is_ok());
        assert_eq!(disk.heal(), Some(FILE));
        assert!(file.set_len(4096).is_ok());
    }

    #[test]
    fn locks_exclude_other_handles_until_they_are_closed() {
        let disk = disk();
        let (first, second) = (disk.open(FILE), disk.open(FILE));
        let take = |file: &SimFile| file.try_lock_range(ALL.0, ALL.1).expect("lock");
        assert!(take(&first));
        assert!(!take(&second));
        assert!(second.query_lock_range(ALL.0, ALL.1).expect("query"));
        first.close().expect("close");
        assert!(take(&second));
        second.unlock_range(ALL.0, ALL.1).expect("unlock");
        let third = disk.open(FILE);
        assert!(third.try_lock_shared_range(ALL.0, ALL.1).expect("lock"));
        assert!(second.try_lock_shared_range(ALL.0, ALL.1).expect("lock"));
        assert!(!take(&first));
        drop((second, third));
        assert!(take(&first));
    }

    #[test]
    fn a_killed_process_changes_nothing_and_the_next_one_finds_its_files() {
        let disk = disk();
        let file = disk.open(FILE);
        assert!(file.try_lock_range(ALL.0, ALL.1).expect("lock"));
        file.write(0, &[1]).expect("write");
        disk.kill();
        let calls = disk.calls();
        assert!(file.write(0, &[2]).is_err());
        assert!(file.set_len(4096).is_err());
        assert!(file.sync_data().is_err());
        assert!(file.read(0, &mut [0]).is_err());
        drop(file);
        assert_eq!(disk.calls(), calls);
        assert_eq!(crashed(&disk, Tear::Everything), 1);
        let next = disk.open(FILE);
        assert!(next.try_lock_range(ALL.0, ALL.1).expect("lock"));
        next.write(0, &[3]).expect("write");
        assert_eq!(first(&disk.live(), FILE), 3);
    }
}
