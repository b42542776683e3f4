//! Power cuts: at every call of a run, inside the recovery that follows, and again after the store went on.
//!
//! A run is made once and recorded; the disk of each crash point is built from the record. What is opened on it must
//! be the state after one whole commit, no earlier than the last acknowledged one, and must take commits again.

use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;
use sessiond_store::kv::redb::COMMIT_PHASES;
use sessiond_tests::scale::Scale;
use sessiond_tests::sim_disk::{Image, SimDisk, Tear};

use super::run::{Ended, Promise, Run};
use super::workload::History;
use super::{Seed, spread, stride};

/// Images of each crash point; the seeds of the tears differ.
const TEARS_PER_POINT: usize = 3;
/// One opened image in so many is verified to the last page as well.
const CHECKED_ONE_IN: u8 = 8;
/// How many more power cuts a store that went on is put through.
const DEPTH_MAX: u8 = 2;

#[test]
fn no_acknowledged_commit_is_lost_at_any_crash_point() {
    let target = Scale::from_env().pick(600, 20_000, 250_000);
    // A commit that nobody was told of may be there or not; both must have been seen, or the cuts are all alike.
    let (kept, gone) = (AtomicU64::new(0), AtomicU64::new(0));
    let done = spread(target, |seed, share| {
        each_image(seed, share, |image, history, promise, rng| {
            let found = go_on(image, history, promise, DEPTH_MAX, rng)?;
            if promise.acked < promise.begun {
                let seen = if found == promise.begun { &kept } else { &gone };
                seen.fetch_add(1, Ordering::Relaxed);
            }
            Ok(1)
        })
    });
    println!("crash points: {done} of {target}; commits in flight: {kept:?} kept, {gone:?} gone");
    assert!(done >= target);
    assert!(kept.into_inner() > 0 && gone.into_inner() > 0);
}

#[test]
fn a_power_cut_inside_the_recovery_loses_nothing_either() {
    let target = Scale::from_env().pick(200, 2_000, 25_000);
    let done = spread(target, |seed, share| {
        each_image(seed, share, |image, history, promise, rng| {
            // Recoveries are much alike; a sample of them, each crashed at all of its calls.
            if rng.u8(..8) == 0 {
                crash_the_recovery(image, history, promise, rng)
            } else {
                Ok(0)
            }
        })
    });
    println!("crash points inside a recovery: {done} of {target}");
    assert!(done >= target);
}

/// Makes one run and calls `work` with the disks its crash points leave. Answers the sum of what `work` answers, and
/// ends when that is `share`.
fn each_image(
    seed: Seed,
    share: u64,
    mut work: impl FnMut(Image, &History, Promise, &mut Rng) -> Result<u64, String>,
) -> u64 {
    let mut rng = seed.rng();
    let ended = recorded(seed, &mut rng);
    let trace = ended.disk.trace();
    let mut replay = trace.replay();
    let mut done = 0;
    let stride = stride();
    let mut at = ended.start();
    while at <= trace.len() && done < share {
        replay.advance(at);
        let promise = ended.promise_at(at);
        for _ in 0..TEARS_PER_POINT {
            let tear = *rng.choice(&Tear::ALL).expect("not empty");
            let image = replay.crash(tear, &mut rng);
            match work(image, &ended.history, promise, &mut rng) {
                Ok(count) => done += count,
                Err(broken) => panic!("{seed:?} after {at} calls, {tear:?}: {broken}"),
            }
            // Nothing is pending, so all tears leave the same disk.
            if replay.pending() == 0 {
                break;
            }
        }
        at += rng.usize(stride.clone());
    }
    done
}

fn recorded(seed: Seed, rng: &mut Rng) -> Ended {
    let mut run = Run::create(seed.0, COMMIT_PHASES);
    let commits = rng.u64(10..40);
    run.commits(commits, rng).expect("a disk without faults");
    // Every other run is closed, and its crash points go on into the closing.
    if seed.0.is_multiple_of(2) {
        run.close()
    } else {
        run.stop()
    }
}

/// Opens what a power cut left, goes on, and cuts the power again. Answers the number of the commit that was found.
fn go_on(
    image: Image,
    history: &History,
    promise: Promise,
    depth: u8,
    rng: &mut Rng,
) -> Result<u64, String> {
    let disk = SimDisk::new(image, rng.u64(..));
    let mut run = Run::open(disk, history, promise, COMMIT_PHASES, rng.u64(..))?;
    let found = run.promise().acked;
    if rng.u8(..CHECKED_ONE_IN) == 0 {
        run.kv.check().map_err(|fault| fault.describe())?;
    }
    if depth == 0 {
        return Ok(found);
    }
    let commits = rng.u64(1..4);
    run.commits(commits, rng)?;
    let ended = if rng.bool() { run.close() } else { run.stop() };
    let trace = ended.disk.trace();
    let mut replay = trace.replay();
    let at = rng.usize(ended.start()..=trace.len());
    replay.advance(at);
    let tear = *rng.choice(&Tear::ALL).expect("not empty");
    let image = replay.crash(tear, rng);
    let promise = ended.promise_at(at);
    go_on(image, &ended.history, promise, depth - 1, rng)
        .map_err(|broken| format!("then after {at} calls, {tear:?}: {broken}"))?;
    Ok(found)
}

/// Cuts the power at every call that an opening makes, and once more in the opening after that.
fn crash_the_recovery(
    image: Image,
    history: &History,
    promise: Promise,
    rng: &mut Rng,
) -> Result<u64, String> {
    let disk = SimDisk::new(image, rng.u64(..));
    drop_without_closing(Run::open(disk.clone(), history, promise, COMMIT_PHASES, 0)?);
    let trace = disk.trace();
    let mut replay = trace.replay();
    let mut done = 0;
    for at in 0..=trace.len() {
        replay.advance(at);
        let tear = *rng.choice(&Tear::ALL).expect("not empty");
        let image = replay.crash(tear, rng);
        again(image, history, promise, rng)
            .map_err(|broken| format!("in the recovery after {at} calls, {tear:?}: {broken}"))?;
        done += 1;
    }
    Ok(done)
}

/// Recovers, is cut short at some call of that as well, and then goes on for good.
fn again(image: Image, history: &History, promise: Promise, rng: &mut Rng) -> Result<u64, String> {
    let disk = SimDisk::new(image, rng.u64(..));
    drop_without_closing(Run::open(disk.clone(), history, promise, COMMIT_PHASES, 0)?);
    let trace = disk.trace();
    let mut replay = trace.replay();
    replay.advance(rng.usize(..=trace.len()));
    let tear = *rng.choice(&Tear::ALL).expect("not empty");
    go_on(replay.crash(tear, rng), history, promise, 1, rng)
}

/// A run whose calls after this moment are of no interest.
fn drop_without_closing(run: Run) {
    drop(run.stop());
}
