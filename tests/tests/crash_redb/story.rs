//! Why commits take two phases: what one flush that fails and lies does to a store, and what one rotten page does.
//!
//! The outcome of these tests is written in the header of `kv/redb.rs`. They use the one-phase mode that the server
//! does not have, to show what it is spared.

use fastrand::Rng;
use sessiond_store::kv::redb::Phases;
use sessiond_tests::scale::Scale;
use sessiond_tests::sim_disk::{Call, Event, Failure, Plan, SimDisk, Tear};

use super::Seed;
use super::run::{NOT_THE_STATE, Run};

/// What a process does about a flush that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaction {
    /// Opens the file again and goes on with what the page cache shows.
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

#[test]
fn a_lying_flush_costs_acknowledged_commits_in_one_phase_and_nothing_in_two() {
    let stories = Scale::from_env().pick(150, 2_000, 5_000);
    let told = |phases, reaction| {
        let mut endings = Endings::default();
        for seed in 0..stories {
            lying_flush(Seed(seed), phases, reaction, &mut endings);
        }
        println!("{phases:?} phase, {reaction:?}: {endings:?}");
        endings
    };
    let harmless = Endings {
        kept: stories,
        ..Endings::default()
    };
    let one = told(Phases::One, Reaction::GoOn);
    assert!(one.lost + one.unusable > 0, "{one:?}");
    assert_eq!(told(Phases::Two, Reaction::GoOn), harmless);
    assert_eq!(told(Phases::One, Reaction::Exit), harmless);
    assert_eq!(told(Phases::Two, Reaction::Exit), harmless);
}

/// Some flush fails and loses what it should have written; the process reacts, commits more, and the power is cut.
fn lying_flush(seed: Seed, phases: Phases, reaction: Reaction, endings: &mut Endings) {
    let mut rng = seed.rng();
    let mut run = Run::create(seed.0, phases);
    let commits = rng.u64(1..20);
    run.commits(commits, &mut rng)
        .expect("a disk without faults");
    let disk = run.disk.clone();
    disk.fail(Plan {
        call: Call::Sync,
        nth: rng.u64(..4),
        failure: Failure::FsyncLie,
    });
    while run.commit().is_ok() {}
    assert!(disk.heal(), "{seed:?}");
    // Dropping a store that failed writes nothing more, so this is the end of the process.
    let ended = run.close();
    match reaction {
        Reaction::GoOn => {}
        Reaction::Exit => disk.drop_cache(),
    }
    let again = Run::open(disk, &ended.history, ended.promise(), phases, seed.0 + 1);
    let mut run = match again {
        Ok(run) => run,
        Err(broken) => return count(&broken, endings),
    };
    let commits = rng.u64(1..4);
    if run.commits(commits, &mut rng).is_err() {
        endings.unusable += 1;
        return;
    }
    let ended = run.stop();
    let tear = *rng.choice(&Tear::ALL).expect("not empty");
    let image = ended.disk.crash(tear, &mut rng);
    let last = Run::open(
        SimDisk::new(image, 0),
        &ended.history,
        ended.promise(),
        phases,
        0,
    );
    match last {
        Ok(_) => endings.kept += 1,
        Err(broken) => count(&broken, endings),
    }
}

fn count(broken: &str, endings: &mut Endings) {
    if broken.starts_with(NOT_THE_STATE) {
        endings.lost += 1;
    } else {
        endings.unusable += 1;
    }
}

#[test]
fn a_rotten_page_rolls_back_an_acknowledged_commit_in_one_phase_and_is_refused_in_two() {
    let stories = Scale::from_env().pick(150, 2_000, 5_000);
    let told = |phases| {
        let mut endings = Endings::default();
        for seed in 0..stories {
            rotten_page(Seed(seed), phases, &mut endings);
        }
        println!("{phases:?} phase, a rotten page: {endings:?}");
        endings
    };
    assert!(told(Phases::One).lost > 0);
    let two = told(Phases::Two);
    assert_eq!(two.lost, 0);
    assert!(two.unusable > 0);
}

/// All writes have landed, the process is gone without closing, and one bit of what the last commit wrote turns over.
fn rotten_page(seed: Seed, phases: Phases, endings: &mut Endings) {
    let mut rng = seed.rng();
    let mut run = Run::create(seed.0, phases);
    let commits = rng.u64(1..20);
    run.commits(commits, &mut rng)
        .expect("a disk without faults");
    let before = run.disk.calls();
    run.commit().expect("a disk without faults");
    let ended = run.stop();
    let trace = ended.disk.trace();
    let mut image = ended.disk.crash(Tear::Everything, &mut rng);
    let bit = bit_of(&trace.events()[before..], &mut rng);
    image.flip(bit);
    let promise = ended.promise();
    match Run::open(SimDisk::new(image, 0), &ended.history, promise, phases, 0) {
        Ok(_) => endings.kept += 1,
        Err(broken) => count(&broken, endings),
    }
}

/// A bit of the pages that these calls wrote. The header before the pages is `rot`'s.
fn bit_of(events: &[Event], rng: &mut Rng) -> u64 {
    let writes: Vec<(u64, u64)> = events
        .iter()
        .filter_map(|event| match event {
            Event::Write { offset, data } if *offset > 0 => Some((*offset, data.len() as u64)),
            Event::Write { .. } | Event::SetLen(_) | Event::Sync | Event::Lie { .. } => None,
        })
        .collect();
    let (offset, len) = *rng.choice(&writes).expect("a commit writes");
    offset * 8 + rng.u64(..len * 8)
}
