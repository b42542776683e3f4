//! Why commits take two phases: what one flush that fails and lies does to a store, and what one rotten page does.
//!
//! Each story is told of one file, journal or state, and the other one is sound. The outcome of these tests is written
//! in the header of `kv/redb.rs`. They use the one-phase mode that the server does not have, to show what it is spared.
//! It changes nothing for the state: a checkpoint records the free pages, and for that redb takes two phases in either
//! mode.

use std::sync::Mutex;

use fastrand::Rng;
use sessiond_store::kv::redb::Phases;
use sessiond_tests::scale::Scale;
use sessiond_tests::sim_disk::{Call, Event, Failure, FileId, Plan, Recorded, SimDisk, Tear};

use super::run::{NOT_THE_STATE, Run};
use super::{Seed, spread};

/// Stories of each kind: quick, ci, nightly.
const STORIES: (u64, u64, u64) = (40, 500, 2_000);

/// What a process does about a flush that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaction {
    /// Opens the files again and goes on with what the page cache shows.
    GoOn,
    /// Ends; the next process drops the page cache before it reads. This is our rule.
    Exit,
}

/// How many stories ended how.
#[derive(Debug, Default, PartialEq, Eq)]
struct Endings {
    /// Every acknowledged commit is there, whole.
    kept: u64,
    /// Another state is there than the one acknowledged last.
    lost: u64,
    /// The store is not opened, or stops at the next commit or read.
    unusable: u64,
}

/// Tells `stories` stories, each from its own seed.
fn told(stories: u64, tell: impl Fn(Seed, &mut Endings) + Sync) -> Endings {
    let endings = Mutex::new(Endings::default());
    let done = spread(stories, |seed, _| {
        let mut one = Endings::default();
        tell(seed, &mut one);
        let mut all = endings.lock().expect("no worker panicked");
        all.kept += one.kept;
        all.lost += one.lost;
        all.unusable += one.unusable;
        1
    });
    assert_eq!(done, stories, "each worker has the same share");
    endings.into_inner().expect("no worker panicked")
}

impl Endings {
    fn keep(&mut self, run: Run) {
        drop(run.stop());
        self.kept += 1;
    }

    fn count(&mut self, broken: &str) {
        if broken.starts_with(NOT_THE_STATE) {
            self.lost += 1;
        } else {
            self.unusable += 1;
        }
    }
}

#[test]
fn a_lying_flush_costs_acknowledged_commits_in_one_phase_and_nothing_in_two() {
    let stories = Scale::from_env().pick(STORIES.0, STORIES.1, STORIES.2);
    let told = |file, phases, reaction| {
        let lie = Lie {
            file,
            phases,
            reaction,
        };
        let endings = told(stories, |seed, endings| lie.tell(seed, endings));
        println!("a lie about the {file:?}, {phases:?} phase, {reaction:?}: {endings:?}");
        endings
    };
    let harmless = Endings {
        kept: stories,
        ..Endings::default()
    };
    let one = told(FileId::Journal, Phases::One, Reaction::GoOn);
    assert!(one.lost + one.unusable > 0, "{one:?}");
    assert_eq!(told(FileId::State, Phases::One, Reaction::GoOn), harmless);
    for file in FileId::ALL {
        assert_eq!(told(file, Phases::Two, Reaction::GoOn), harmless);
        assert_eq!(told(file, Phases::One, Reaction::Exit), harmless);
        assert_eq!(told(file, Phases::Two, Reaction::Exit), harmless);
    }
}

/// Some flush of a file fails and loses what it should have written; the process reacts, commits more, and the power is
/// cut.
struct Lie {
    file: FileId,
    phases: Phases,
    reaction: Reaction,
}

impl Lie {
    fn tell(&self, seed: Seed, endings: &mut Endings) {
        let mut rng = seed.rng();
        let mut run = Run::create(seed.0, self.phases);
        let commits = rng.u64(1..20);
        run.commits(commits, &mut rng)
            .expect("a disk without faults");
        let disk = run.disk.clone();
        disk.fail(Plan {
            file: Some(self.file),
            call: Call::Sync,
            nth: rng.u64(..4),
            failure: Failure::FsyncLie,
        });
        while run.commits(1, &mut rng).is_ok() {}
        assert_eq!(disk.heal(), Some(self.file), "{seed:?}");
        // Dropping a file that failed writes nothing more; the other one is closed, unless the process is killed.
        let ended = if rng.bool() { run.close() } else { run.stop() };
        match self.reaction {
            Reaction::GoOn => {}
            Reaction::Exit => disk.drop_cache(None),
        }
        let again = Run::open(
            disk,
            &ended.history,
            ended.promise(),
            self.phases,
            seed.0 + 1,
        );
        match again {
            Ok(run) => self.go_on(run, &mut rng, endings),
            Err(broken) => endings.count(&broken),
        }
    }

    fn go_on(&self, mut run: Run, rng: &mut Rng, endings: &mut Endings) {
        let commits = rng.u64(1..4);
        if run.commits(commits, rng).is_err() {
            endings.unusable += 1;
            return;
        }
        let ended = run.stop();
        let tear = *rng.choice(&Tear::ALL).expect("not empty");
        let disk = SimDisk::new(ended.disk.crash(tear, rng), 0);
        match Run::open(disk, &ended.history, ended.promise(), self.phases, 0) {
            Ok(run) => endings.keep(run),
            Err(broken) => endings.count(&broken),
        }
    }
}

#[test]
fn a_rotten_page_rolls_back_an_acknowledged_commit_in_one_phase_and_is_refused_in_two() {
    let stories = Scale::from_env().pick(STORIES.0, STORIES.1, STORIES.2);
    let told = |file, phases| {
        let endings = told(stories, |seed, endings| {
            rotten_page(seed, file, phases, endings);
        });
        println!("a rotten page of the {file:?}, {phases:?} phase: {endings:?}");
        endings
    };
    assert!(told(FileId::Journal, Phases::One).lost > 0);
    let sound = [
        told(FileId::State, Phases::One),
        told(FileId::Journal, Phases::Two),
        told(FileId::State, Phases::Two),
    ];
    for endings in sound {
        assert_eq!(endings.lost, 0);
        assert!(endings.unusable > 0);
    }
}

/// All writes have landed, the process is gone without closing, and one bit of what the last commit of a file wrote
/// turns over. The files are of a size that is verified whenever they are opened; `rot` has the larger ones.
fn rotten_page(seed: Seed, file: FileId, phases: Phases, endings: &mut Endings) {
    let mut rng = seed.rng();
    let verified = seed.0 * 2 + 1;
    let mut run = Run::create(seed.0, phases);
    let commits = rng.u64(1..20);
    run.commits(commits, &mut rng)
        .expect("a disk without faults");
    let mut before = run.disk.calls();
    run.commit().expect("a disk without faults");
    if file == FileId::State {
        before = run.disk.calls();
        run.checkpoint().expect("a disk without faults");
        if rng.bool() {
            // Removes from the journal what the checkpoint carried.
            run.commit().expect("a disk without faults");
        }
    }
    let ended = run.stop();
    let trace = ended.disk.trace();
    let mut images = ended.disk.crash(Tear::Everything, &mut rng);
    let image = images.of_mut(file);
    let bit = bit_of(&trace.events()[before..], file, image.len(), &mut rng);
    image.flip(bit);
    let disk = SimDisk::new(images, 0);
    match Run::open(disk, &ended.history, ended.promise(), phases, verified) {
        Ok(run) => endings.keep(run),
        Err(broken) => endings.count(&broken),
    }
}

/// A bit of the pages that these calls wrote to `file` and left there. The header before the pages is `rot`'s.
fn bit_of(calls: &[Recorded], file: FileId, file_len: u64, rng: &mut Rng) -> u64 {
    let writes: Vec<(u64, u64)> = calls
        .iter()
        .filter(|call| call.file == file)
        .filter_map(|call| match &call.event {
            Event::Write { offset, data } if *offset > 0 => Some((*offset, data.len() as u64)),
            Event::Write { .. } | Event::SetLen(_) | Event::Sync | Event::Lie { .. } => None,
        })
        // A commit that frees much cuts the file.
        .filter(|(offset, len)| offset + len <= file_len)
        .collect();
    let (offset, len) = *rng.choice(&writes).expect("a commit writes");
    offset * 8 + rng.u64(..len * 8)
}
