//! Power cuts: at every call of a run, inside the recovery that follows, and again after the store went on.
//!
//! A run is made once and recorded; the disk of each crash point is built from the record, both files as of the same
//! moment. What is opened on it must be the state after one whole commit, no earlier than the last acknowledged one, and
//! must take commits again. Each test asserts that its cuts fell into every moment it is about.

use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;
use sessiond_store::kv::Kv;
use sessiond_store::kv::redb::COMMIT_PHASES;
use sessiond_tests::scale::Scale;
use sessiond_tests::sim_disk::{FileId, Image, PerFile, Replay, SimDisk, Tear, Trace};

use super::met::{Met, Moment, assert_all};
use super::run::{Ended, Promise, Run};
use super::workload::History;
use super::{Seed, spread, stride};

/// Images of each crash point; the seeds of the tears differ.
const TEARS_PER_POINT: usize = 3;
/// One opened image in so many is verified to the last page as well.
const CHECKED_ONE_IN: u8 = 8;
/// One store in so many that went on is closed, so that a power cut may fall into the closing.
const CLOSED_ONE_IN: u8 = 4;
/// How many more power cuts a store that went on is put through, at most.
const DEPTH_MAX: u8 = 2;

/// What is opened on a crash point, and what it must hold.
struct Cut<'a> {
    images: PerFile<Image>,
    history: &'a History,
    promise: Promise,
}

#[test]
fn no_acknowledged_commit_is_lost_at_any_crash_point() {
    let target = Scale::from_env().pick(600, 20_000, 250_000);
    let met = Met::default();
    // A commit that nobody was told of may be there or not; both must have been seen, or the cuts are all alike.
    let (kept, gone) = (AtomicU64::new(0), AtomicU64::new(0));
    let done = spread(target, |seed, share| {
        each_cut(seed, share, &met, |cut, rng| {
            let promise = cut.promise;
            let depth = rng.u8(..=DEPTH_MAX);
            let found = go_on(cut, depth, rng)?;
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
    let met = met.counts(&[
        Moment::TornAppend,
        Moment::Trim,
        Moment::BeforeCheckpoint,
        Moment::InCheckpoint,
        Moment::AfterCheckpoint,
        Moment::AfterEmptyCheckpoint,
        Moment::InSettle,
        Moment::InClose,
    ]);
    println!("met: {met:?}");
    assert_all(&met);
}

#[test]
fn a_power_cut_inside_the_recovery_loses_nothing_either() {
    let target = Scale::from_env().pick(200, 2_000, 25_000);
    let met = Met::default();
    let done = spread(target, |seed, share| {
        each_cut(seed, share, &Met::default(), |cut, rng| {
            // Recoveries are much alike; a sample of them, each crashed at all of its calls.
            if rng.u8(..8) == 0 {
                crash_the_recovery(&cut, &met, rng)
            } else {
                Ok(0)
            }
        })
    });
    println!("crash points inside a recovery: {done} of {target}");
    assert!(done >= target);
    let met = met.counts(&[Moment::InReplay, Moment::InOpening, Moment::InNextOpening]);
    println!("met: {met:?}");
    assert_all(&met);
}

/// Makes one run and calls `work` with the disks its crash points leave. Answers the sum of what `work` answers, and
/// ends when that is `share`.
fn each_cut(
    seed: Seed,
    share: u64,
    met: &Met,
    mut work: impl FnMut(Cut<'_>, &mut Rng) -> Result<u64, String>,
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
        for _ in 0..TEARS_PER_POINT {
            let tear = *rng.choice(&Tear::ALL).expect("not empty");
            note(&ended, &replay, tear, met);
            let cut = Cut {
                images: replay.crash(tear, &mut rng),
                history: &ended.history,
                promise: ended.promise_at(at),
            };
            match work(cut, &mut rng) {
                Ok(count) => done += count,
                Err(broken) => panic!("{seed:?} after {at} calls, {tear:?}: {broken}"),
            }
            // Nothing is pending, so all tears leave the same disk.
            if FileId::ALL.iter().all(|file| replay.pending(*file) == 0) {
                break;
            }
        }
        let skipped_to = at + rng.usize(stride.clone());
        // The ends of a checkpoint are single points, which strides would nearly always miss.
        at = match ended.checkpoint_end_after(at) {
            Some(end) if end < skipped_to && rng.bool() => end,
            Some(_) | None => skipped_to,
        };
    }
    done
}

fn note(ended: &Ended, replay: &Replay<'_>, tear: Tear, met: &Met) {
    let is_torn = !matches!(tear, Tear::Nothing | Tear::Everything);
    let may_be_torn = is_torn && replay.pending(FileId::Journal) > 1;
    for moment in ended.moments_at(replay.at()) {
        if moment != Moment::TornAppend || may_be_torn {
            met.note(moment);
        }
    }
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
fn go_on(cut: Cut<'_>, depth: u8, rng: &mut Rng) -> Result<u64, String> {
    let disk = SimDisk::new(cut.images, rng.u64(..));
    let mut run = Run::open(disk, cut.history, cut.promise, COMMIT_PHASES, rng.u64(..))?;
    let found = run.promise().acked;
    if rng.u8(..CHECKED_ONE_IN) == 0 {
        run.kv.check().map_err(|fault| fault.describe())?;
    }
    if depth == 0 {
        drop(run.stop());
        return Ok(found);
    }
    let commits = rng.u64(1..4);
    run.commits(commits, rng)?;
    let ended = match rng.u8(..CLOSED_ONE_IN) {
        0 => run.close(),
        _ => run.stop(),
    };
    let trace = ended.disk.trace();
    let mut replay = trace.replay();
    let at = rng.usize(ended.start()..=trace.len());
    replay.advance(at);
    let tear = *rng.choice(&Tear::ALL).expect("not empty");
    let next = Cut {
        images: replay.crash(tear, rng),
        history: &ended.history,
        promise: ended.promise_at(at),
    };
    go_on(next, depth - 1, rng)
        .map_err(|broken| format!("then after {at} calls, {tear:?}: {broken}"))?;
    Ok(found)
}

/// Cuts the power at every call that an opening makes, and once more in the opening after that.
fn crash_the_recovery(cut: &Cut<'_>, met: &Met, rng: &mut Rng) -> Result<u64, String> {
    let (trace, moment) = open_and_stop(cut, rng)?;
    let mut replay = trace.replay();
    let mut done = 0;
    for at in 0..=trace.len() {
        replay.advance(at);
        let tear = *rng.choice(&Tear::ALL).expect("not empty");
        let images = replay.crash(tear, rng);
        again(&Cut { images, ..*cut }, met, rng)
            .map_err(|broken| format!("in the recovery after {at} calls, {tear:?}: {broken}"))?;
        met.note(moment);
        done += 1;
    }
    Ok(done)
}

/// Recovers, is cut short at some call of that as well, and then goes on for good.
fn again(cut: &Cut<'_>, met: &Met, rng: &mut Rng) -> Result<u64, String> {
    let (trace, _) = open_and_stop(cut, rng)?;
    let mut replay = trace.replay();
    let at = rng.usize(..=trace.len());
    replay.advance(at);
    if (1..trace.len()).contains(&at) {
        met.note(Moment::InNextOpening);
    }
    let tear = *rng.choice(&Tear::ALL).expect("not empty");
    let images = replay.crash(tear, rng);
    go_on(Cut { images, ..*cut }, 1, rng)
}

/// Opens what a power cut left and ends the process at once. Answers the calls of the opening and its kind.
fn open_and_stop(cut: &Cut<'_>, rng: &mut Rng) -> Result<(Trace, Moment), String> {
    let disk = SimDisk::new(cut.images.clone(), rng.u64(..));
    let run = Run::open(disk, cut.history, cut.promise, COMMIT_PHASES, rng.u64(..))?;
    let moment = match run.kv.gathered_bytes() {
        0 => Moment::InOpening,
        _ => Moment::InReplay,
    };
    Ok((run.stop().disk.trace(), moment))
}
