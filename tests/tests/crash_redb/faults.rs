//! Calls that fail: every call of a life, one after the other, in every way it can.
//!
//! After the first fault the store must refuse every commit, the process ends, and what it opens next, with or without
//! a power cut between, must hold every acknowledged commit. A fault that nobody was told of must have done no harm.

use fastrand::Rng;
use sessiond_store::fault::Fault;
use sessiond_store::kv::redb::COMMIT_PHASES;
use sessiond_store::kv::{Kv, Op, Table};
use sessiond_tests::scale::Scale;
use sessiond_tests::sim_disk::{Call, Failure, Image, Plan, SimDisk, Tear};

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
    let done = spread(target, every_call_once);
    println!("runs in which a call failed: {done} of {target}");
    assert!(done >= target);
}

/// A store to begin with: the disk as a former process left it.
struct Before {
    image: Image,
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
        image: ended.disk.crash(Tear::Everything, rng),
        promise: ended.promise(),
        history: ended.history,
    }
}

fn every_call_once(seed: Seed, share: u64) -> u64 {
    let mut rng = seed.rng();
    let before = before(seed, &mut rng);
    let mut done = 0;
    for (call, failure) in KINDS {
        let mut nth = 0;
        while done < share {
            let plan = Plan { call, nth, failure };
            match one_life(&before, plan, &mut rng) {
                Ok(Fired::Yes) => done += 1,
                Ok(Fired::No) => break,
                Err(broken) => panic!("{seed:?} {plan:?}: {broken}"),
            }
            nth += rng.usize(stride()) as u64;
        }
    }
    done
}

/// Whether a life was long enough for its planned failure.
enum Fired {
    Yes,
    No,
}

fn one_life(before: &Before, plan: Plan, rng: &mut Rng) -> Result<Fired, String> {
    let disk = SimDisk::new(before.image.clone(), rng.u64(..));
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
        Err(refused) if disk.fired() => {
            if !refused.contains("os error") && !refused.contains("the disk failed") {
                return Err(format!("a failing disk was told as: {refused}"));
            }
            (before.history.clone(), before.promise)
        }
        Err(broken) => return Err(broken),
    };
    let fired = if disk.heal() { Fired::Yes } else { Fired::No };
    afterwards(&disk, &history, promise, rng)?;
    Ok(fired)
}

/// Commits until the disk fails, or to the end of the life; answers what was promised.
fn live(mut run: Run, rng: &mut Rng) -> Result<(History, Promise), String> {
    let disk = run.disk.clone();
    let result = run.commits(COMMITS, rng);
    if let Err(fault) = result {
        if !disk.fired() {
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
    let op = Op {
        table: Table::Keys,
        key: b"never".to_vec(),
        value: Some(Vec::new()),
    };
    for result in [run.kv.commit(&[op]), run.kv.commit(&[]), run.kv.settle()] {
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
    let image = if rng.bool() {
        let tear = *rng.choice(&Tear::ALL).expect("not empty");
        disk.crash(tear, rng)
    } else {
        disk.drop_cache();
        disk.live()
    };
    let next = SimDisk::new(image, rng.u64(..));
    let mut run = Run::open(next, history, promise, COMMIT_PHASES, rng.u64(..))?;
    run.kv.check().map_err(|fault| fault.describe())?;
    run.commits(2, rng)?;
    let ended = run.close();
    let last = SimDisk::new(ended.disk.crash(Tear::Nothing, rng), 0);
    Run::open(last, &ended.history, ended.promise(), COMMIT_PHASES, 0)?;
    Ok(())
}
