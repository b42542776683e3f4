//! The files of a simulated disk, and one of something for each of them.
//!
//! There are two, as a store has two; a closed set keeps every table over them complete. What the files mean to each
//! other is the store's business.

/// A file of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileId {
    /// The tables of a store.
    State,
    /// The journal of a store.
    Journal,
}

impl FileId {
    /// Every file.
    pub const ALL: [Self; 2] = [Self::State, Self::Journal];
}

/// One of something for each file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerFile<T> {
    /// Of the state.
    pub state: T,
    /// Of the journal.
    pub journal: T,
}

impl<T> PerFile<T> {
    /// What belongs to `file`.
    pub fn of(&self, file: FileId) -> &T {
        match file {
            FileId::State => &self.state,
            FileId::Journal => &self.journal,
        }
    }

    /// What belongs to `file`, to be changed.
    pub fn of_mut(&mut self, file: FileId) -> &mut T {
        match file {
            FileId::State => &mut self.state,
            FileId::Journal => &mut self.journal,
        }
    }

    /// What `make` answers for each file, in the order of `FileId::ALL`.
    pub fn each(mut make: impl FnMut(FileId) -> T) -> Self {
        let state = make(FileId::State);
        let journal = make(FileId::Journal);
        Self { state, journal }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Bound;

    use redb::StorageBackend;

    use super::*;
    use crate::sim_disk::{Call, Event, Failure, Image, Plan, SimDisk, Tear};

    fn disk(seed: u64) -> SimDisk {
        let mut images: PerFile<Image> = PerFile::default();
        for file in FileId::ALL {
            images.of_mut(file).set_len(1024);
        }
        SimDisk::new(images, seed)
    }

    fn first(images: &PerFile<Image>, file: FileId) -> u8 {
        images.of(file).to_vec()[0]
    }

    #[test]
    fn a_flush_of_one_file_leaves_the_writes_of_the_other_uncertain() {
        for (flushed, other) in [
            (FileId::State, FileId::Journal),
            (FileId::Journal, FileId::State),
        ] {
            let disk = disk(1);
            let files = PerFile::each(|file| disk.open(file));
            for file in FileId::ALL {
                files.of(file).write(0, &[1]).expect("write");
            }
            files.of(flushed).sync_data().expect("sync");
            let trace = disk.trace();
            let mut walked = trace.replay();
            walked.advance(trace.len());
            assert_eq!(walked.pending(flushed), 0);
            assert_eq!(walked.pending(other), 1);
            for (tear, left) in [(Tear::Nothing, 0), (Tear::Everything, 1)] {
                let mut rng = fastrand::Rng::with_seed(1);
                for images in [disk.crash(tear, &mut rng), walked.crash(tear, &mut rng)] {
                    assert_eq!(first(&images, flushed), 1, "{tear:?}");
                    assert_eq!(first(&images, other), left, "{tear:?}");
                }
            }
        }
    }

    #[test]
    fn the_trace_has_the_calls_of_both_files_in_their_order() {
        let disk = disk(1);
        let [state, journal] = FileId::ALL.map(|file| disk.open(file));
        journal.write(0, &[1]).expect("write");
        state.set_len(2048).expect("set_len");
        journal.sync_data().expect("sync");
        let forked = disk.fork();
        state.sync_data().expect("sync");
        let calls = |disk: &SimDisk| -> Vec<(FileId, bool)> {
            let trace = disk.trace();
            let calls = trace.events().iter();
            calls
                .map(|call| (call.file, matches!(call.event, Event::Sync)))
                .collect()
        };
        let expected = [
            (FileId::Journal, false),
            (FileId::State, false),
            (FileId::Journal, true),
            (FileId::State, true),
        ];
        assert_eq!(calls(&disk), expected);
        assert_eq!(calls(&forked), expected[..3]);
    }

    #[test]
    fn a_plan_counts_the_calls_of_its_file_or_of_either() {
        for planned in [None, Some(FileId::State), Some(FileId::Journal)] {
            let disk = disk(1);
            let files = PerFile::each(|file| disk.open(file));
            disk.fail(Plan {
                file: planned,
                call: Call::Write,
                nth: 1,
                failure: Failure::Eio,
            });
            let order = [
                FileId::State,
                FileId::Journal,
                FileId::State,
                FileId::Journal,
            ];
            let failed: Vec<usize> = (0..order.len())
                .filter(|at| files.of(order[*at]).write(0, &[1]).is_err())
                .collect();
            let expected = match planned {
                None => 1,
                Some(FileId::State) => 2,
                Some(FileId::Journal) => 3,
            };
            assert_eq!(failed, [expected], "{planned:?}");
            assert_eq!(disk.fired(), Some(order[expected]), "{planned:?}");
        }
    }

    #[test]
    fn a_disk_is_full_for_both_files() {
        let disk = disk(1);
        let [state, journal] = FileId::ALL.map(|file| disk.open(file));
        disk.fail(Plan {
            file: Some(FileId::State),
            call: Call::Write,
            nth: 0,
            failure: Failure::Enospc,
        });
        journal.write(0, &[1]).expect("not full yet");
        assert!(state.write(0, &[1]).is_err());
        assert!(journal.write(0, &[1]).is_err());
        assert!(journal.set_len(4096).is_err());
        assert_eq!(disk.heal(), Some(FileId::State));
    }

    #[test]
    fn a_lie_and_a_dropped_cache_are_of_one_file() {
        let mut lost = 0;
        for seed in 0..100 {
            let disk = disk(seed);
            let [state, journal] = FileId::ALL.map(|file| disk.open(file));
            state.write(0, &[1]).expect("write");
            journal.write(0, &[1]).expect("write");
            disk.fail(Plan {
                file: Some(FileId::Journal),
                call: Call::Sync,
                nth: 0,
                failure: Failure::FsyncLie,
            });
            state.sync_data().expect("the other file");
            assert!(journal.sync_data().is_err());
            disk.drop_cache(Some(FileId::State));
            assert_eq!(
                first(&disk.live(), FileId::Journal),
                1,
                "its cache is there"
            );
            disk.drop_cache(Some(FileId::Journal));
            let left = disk.live();
            assert_eq!(first(&left, FileId::State), 1);
            lost += u32::from(first(&left, FileId::Journal) == 0);
        }
        assert!((1..100).contains(&lost), "{lost}");
    }

    #[test]
    fn locks_of_one_file_are_nothing_to_the_other() {
        let disk = disk(1);
        let [state, journal] = FileId::ALL.map(|file| disk.open(file));
        assert!(
            state
                .try_lock_range(Bound::Unbounded, Bound::Unbounded)
                .expect("lock")
        );
        assert!(
            journal
                .try_lock_range(Bound::Unbounded, Bound::Unbounded)
                .expect("lock")
        );
    }
}
