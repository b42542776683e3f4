//! An open handle on a simulated disk: what redb sees of it.
//!
//! It asks the disk whether this call fails, does what is left to do, and records it. Locks belong to the handle and
//! go with it when it is closed or dropped, as they do with a process.

use std::io;
use std::ops::Bound;

use redb::{BackendError, StorageBackend};

use super::{Call, Event, Failure, SimDisk, error};

/// An open handle; dropping it releases its locks, and nothing else.
#[derive(Debug)]
pub struct SimFile {
    disk: SimDisk,
    owner: u64,
}

impl SimFile {
    pub(super) fn new(disk: SimDisk, owner: u64) -> Self {
        Self { disk, owner }
    }

    fn release(&self) {
        self.disk.state().locks.release_all(self.owner);
        self.disk.shared.unlocked.notify_all();
    }

    fn lock(&self, range: Range, shared: bool) {
        let mut state = self.disk.state();
        while !state.locks.take(self.owner, range, shared) {
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
        match state.failure(Call::Len) {
            Some(failure) => Err(error(failure)),
            None => Ok(state.live.len()),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        match state.failure(Call::Read) {
            Some(failure) => Err(error(failure)),
            None => state.live.read(offset, out),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        if let Some(failure) = state.failure(Call::SetLen) {
            return Err(error(failure));
        }
        state.change(Event::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        match state.failure(Call::Sync) {
            None => {
                state.sync();
                Ok(())
            }
            Some(Failure::FsyncLie) => {
                state.lie();
                Err(error(Failure::FsyncLie))
            }
            Some(failure @ (Failure::Eio | Failure::Enospc)) => Err(error(failure)),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let Some(failure) = state.failure(Call::Write) else {
            state.change(Event::write(offset, data));
            return Ok(());
        };
        let done = state.rng.usize(..=data.len());
        if done > 0 {
            state.change(Event::write(offset, &data[..done]));
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
            .take(self.owner, (start, end), false))
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        Ok(self.disk.state().locks.take(self.owner, (start, end), true))
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
        self.disk.state().locks.release(self.owner, (start, end));
        self.disk.shared.unlocked.notify_all();
        Ok(())
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        Ok(self
            .disk
            .state()
            .locks
            .conflicts(self.owner, (start, end), false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim_disk::{Image, Plan, Tear};

    const ALL: Range = (Bound::Unbounded, Bound::Unbounded);

    fn disk() -> SimDisk {
        let mut image = Image::new();
        image.set_len(1024);
        SimDisk::new(image, 1)
    }

    fn crashed(disk: &SimDisk, tear: Tear) -> u8 {
        let image = disk.crash(tear, &mut fastrand::Rng::with_seed(1));
        image.to_vec()[0]
    }

    fn plan(call: Call, nth: u64, failure: Failure) -> Plan {
        Plan { call, nth, failure }
    }

    #[test]
    fn only_what_was_flushed_is_certain() {
        let disk = disk();
        let file = disk.open();
        file.write(0, &[1]).expect("write");
        assert_eq!(disk.live().to_vec()[0], 1);
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
            let file = disk.open();
            file.write(0, &[1]).expect("write");
            disk.fail(plan(Call::Sync, 0, Failure::FsyncLie));
            assert!(file.sync_data().is_err());
            file.sync_data().expect("the next one");
            assert!(disk.heal());
            assert_eq!(disk.live().to_vec()[0], 1);
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
            assert_eq!(again.to_vec()[0], left);
            disk.drop_cache();
            assert_eq!(disk.live().to_vec()[0], left);
            lost += u32::from(left == 0);
        }
        assert!((1..100).contains(&lost), "{lost}");
    }

    #[test]
    fn the_planned_call_fails_and_only_that_one() {
        let disk = disk();
        let file = disk.open();
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
        let file = disk.open();
        disk.fail(plan(Call::SetLen, 0, Failure::Enospc));
        let full = file.set_len(4096).expect_err("full");
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        assert!(file.write(0, &[1]).is_err());
        assert!(file.sync_data().is_ok());
        assert!(file.read(0, &mut [0]).is_ok());
        assert!(disk.heal());
        assert!(file.set_len(4096).is_ok());
    }

    #[test]
    fn locks_exclude_other_handles_until_they_are_closed() {
        let disk = disk();
        let (first, second) = (disk.open(), disk.open());
        let take = |file: &SimFile| file.try_lock_range(ALL.0, ALL.1).expect("lock");
        assert!(take(&first));
        assert!(!take(&second));
        assert!(second.query_lock_range(ALL.0, ALL.1).expect("query"));
        first.close().expect("close");
        assert!(take(&second));
        second.unlock_range(ALL.0, ALL.1).expect("unlock");
        let third = disk.open();
        assert!(third.try_lock_shared_range(ALL.0, ALL.1).expect("lock"));
        assert!(second.try_lock_shared_range(ALL.0, ALL.1).expect("lock"));
        assert!(!take(&first));
        drop((second, third));
        assert!(take(&first));
    }
}
