//! Calls that fail: every call of a life on either file, one after the other, in every way it can.
//!
//! After the first fault the store must refuse every commit, the process ends, and what it opens next, with or without
//! a power cut between, must hold every acknowledged commit. A fault that nobody was told of must have done no harm.

use std::collections::BTreeMap;
use std::sync::Mutex;

use fastrand::Rng;
use sessiond_store::fault::Fault;
use sessiond_store::kv::redb::COMMIT_PHASES;
use sessiond_store::kv::{Kv, Op, Table};
use sessiond_tests::scale::Scale;
use sessiond_tests::sim_disk::{Call, Failure, FileId, Image, PerFile, Plan, SimDisk, Tear};

use super::run::{Promise, Run};
use super::workload::History;
use super::{Seed, spread, stride};

/// The ways in which calls fail.
const KINDS: [(Call, Failure); 9] = [
    (Call::Len, Failure::Eio),
    (Call::Read, Failure::Eio),
    (Call::Write, Failure::Eio),
    (Call::Write, Failure::Enospc),
    (Call::SetLen, Failure::Eio),
    (Call::SetLen, Failure::Enospc),
    (Call::Sync, Failure::Eio),
    (Call::Sync, Failure::Enospc),
    (Call::Sync, Failure::FsyncLie),
];

/// Commits of a life in which a call fails.
const COMMITS: u64 = 8;

#[test]
fn whichever_call_fails_the_store_stops_and_keeps_its_promise() {
    let target = Scale::from_env().pick(300, 3_000, 6_000);
    let tally = Tally::default();
    let done = spread(target, |seed, share| every_call_once(seed, share, &tally));
    println!("runs in which a call failed: {done} of {target}");
    assert!(done >= target);
    let tally = tally.into_inner().expect("no worker panicked");
    println!("met: {tally:?}");
    for file in FileId::ALL {
        for (call, _) in KINDS {
            assert!(tally.contains_key(&(file, call)), "{file:?} {call:?}");
        }
    }
}

/// How often a call of each kind failed on each file.
type Tally = Mutex<BTreeMap<(FileId, Call), u64>>;

/// A store to begin with: the disk as a former process left it.
struct Before {
    images: PerFile<Image>,
    history: History,
    promise: Promise,
}

fn before(seed: Seed, rng: &mut Rng) -> Before {
    let mut run = Run::create(seed.0, COMMIT_PHASES);
    let commits = rng.u64(1..30);
    run.commits(commits, rng).expect("a disk without faults");
    // A closed file is trimmed and grows at once when it is used again; a file that was not closed is repaired.
    let ended = if rng.bool() { run.close() } else { run.stop() };
    Before {
        images: ended.disk.crash(Tear::Everything, rng),
        promise: ended.promise(),
        history: ended.history,
    }
}

fn every_call_once(seed: Seed, share: u64, tally: &Tally) -> u64 {
    let mut rng = seed.rng();
    let before = before(seed, &mut rng);
    let mut done = 0;
    for (call, failure) in KINDS {
        let mut nth = 0;
        while done < share {
            let plan = Plan {
                file: None,
                call,
                nth,
                failure,
            };
            match one_life(&before, plan, &mut rng) {
                Ok(Some(file)) => {
                    done += 1;
                    let mut tally = tally.lock().expect("no worker panicked");
                    *tally.entry((file, call)).or_default() += 1;
                }
                // The life was too short.
                Ok(None) => break,
                Err(broken) => panic!("{seed:?} {plan:?}: {broken}"),
            }
            nth += rng.usize(stride()) as u64;
        }
    }
    done
}

/// Answers on which file the planned call failed, if it was made.
fn one_life(before: &Before, plan: Plan, rng: &mut Rng) -> Result<Option<FileId>, String> {
    let disk = SimDisk::new(before.images.clone(), rng.u64(..));
    disk.fail(plan);
    let seed = rng.u64(..);
    let opened = Run::open(
        disk.clone(),
        &before.history,
        before.promise,
        COMMIT_PHASES,
        seed,
    );
    let (history, promise) = match opened {
        Ok(run) => live(run, rng)?,
        Err(refused) if disk.fired().is_some() => {
            if !refused.contains("os error") && !refused.contains("the disk failed") {
                return Err(format!("a failing disk was told as: {refused}"));
            }
            (before.history.clone(), before.promise)
        }
        Err(broken) => return Err(broken),
    };
    let fired = disk.heal();
    afterwards(&disk, &history, promise, rng)?;
    Ok(fired)
}

/// Commits until the disk fails, or to the end of the life; answers what was promised.
fn live(mut run: Run, rng: &mut Rng) -> Result<(History, Promise), String> {
    let disk = run.disk.clone();
    let result = run.commits(COMMITS, rng);
    if let Err(fault) = result {
        if disk.fired().is_none() {
            return Err(fault);
        }
        stopped(&run)?;
    }
    let ended = run.close();
    let promise = ended.promise();
    Ok((ended.history, promise))
}

/// Whether the store refuses everything that would be acknowledged.
fn stopped(run: &Run) -> Result<(), String> {
    let op = Op::put(Table::Keys, b"never".to_vec(), Vec::new());
    let results = [
        run.kv.commit(&[op]),
        run.kv.commit(&[]),
        run.kv.checkpoint(),
        run.kv.settle(),
    ];
    for result in results {
        match result {
            Err(Fault::Stopped { .. }) => {}
            Ok(()) => return Err("a commit was acknowledged after a fault".to_owned()),
            Err(fault) => return Err(format!("not stopped: {}", fault.describe())),
        }
    }
    Ok(())
}

/// The next process: it finds the disk without the page cache, with or without a power cut in between.
fn afterwards(
    disk: &SimDisk,
    history: &History,
    promise: Promise,
    rng: &mut Rng,
) -> Result<(), String> {
    let images = if rng.bool() {
        let tear = *rng.choice(&Tear::ALL).expect("not empty");
        disk.crash(tear, rng)
    } else {
        disk.drop_cache(None);
        disk.live()
    };
    let next = SimDisk::new(images, rng.u64(..));
    let mut run = Run::open(next, history, promise, COMMIT_PHASES, rng.u64(..))?;
    run.kv.check().map_err(|fault| fault.describe())?;
    run.commits(2, rng)?;
    let ended = run.close();
    let last = SimDisk::new(ended.disk.crash(Tear::Nothing, rng), 0);
    let run = Run::open(last, &ended.history, ended.promise(), COMMIT_PHASES, 0)?;
    drop(run.stop());
    Ok(())
}
