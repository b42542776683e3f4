//! Bits that turn over while the file lies on the disk.
//!
//! A bit of a value must never be served: the file is refused, or the row is, by name. Where any bit of the file may
//! have turned, opening need not notice (a file that was closed is not read to the end), but a row is still the one
//! that was committed or none, and `check` finds what opening did not.

use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;
use sessiond_store::fault::Fault;
use sessiond_store::kv::redb::{COMMIT_PHASES, RedbKv};
use sessiond_store::kv::{Kv, Op, Table};
use sessiond_tests::scale::Scale;
use sessiond_tests::sim_disk::{Image, SimDisk, Tear};

use super::run::{Ended, Promise, Run, identity, tuning, verify};
use super::workload::{State, read};
use super::{Seed, spread};

/// A seed of `tuning`: what an open that verifies refuses is not seen by the rows.
const UNVERIFIED: u64 = 0;
/// A seed of `tuning`: an open that verifies, as a server's of a file that is not large.
const VERIFIED: u64 = 1;
/// Flips made on the file of one run.
const FLIPS_PER_RUN: u64 = 50;
/// The header of a redb file with both commit slots, in bytes.
const HEADER_BYTES: u64 = 320;
const PAGE_BYTES: usize = 4096;
/// The bit of the header that says which commit slot counts. No checksum covers it.
const SLOT_BIT: u64 = 9 * 8;
/// Values shorter than this may be found in the file by chance, in bytes.
const VALUE_BYTES_MIN: usize = 16;

fn at_rest(seed: Seed, rng: &mut Rng) -> (Ended, Image) {
    let mut run = Run::create(seed.0, COMMIT_PHASES);
    let commits = rng.u64(5..40);
    run.commits(commits, rng).expect("a disk without faults");
    // The three ways to leave a file: closed, ready to be opened quickly, and in need of verification.
    let ended = match seed.0 / 2 % 3 {
        0 => run.close(),
        1 => {
            run.kv.settle().expect("a disk without faults");
            run.stop()
        }
        _ => run.stop(),
    };
    let image = ended.disk.crash(Tear::Everything, rng);
    (ended, image)
}

#[test]
fn a_flipped_bit_of_a_value_is_refused_or_named_and_never_served() {
    let target = Scale::from_env().pick(400, 4_000, 20_000);
    let done = spread(target, |seed, share| {
        let mut rng = seed.rng();
        let (ended, image) = at_rest(seed, &mut rng);
        let state = ended.history.state(ended.promise().acked).expect("latest");
        let flips = share.min(FLIPS_PER_RUN);
        for _ in 0..flips {
            let result = flip_a_value(&image, state, &mut rng);
            result.unwrap_or_else(|broken| panic!("{seed:?}: {broken}"));
        }
        flips
    });
    println!("flipped bits of values: {done} of {target}");
    assert!(done >= target);
}

/// Flips one bit of one value, in every copy of it that is in the file: one of them is the row.
fn flip_a_value(image: &Image, state: &State, rng: &mut Rng) -> Result<(), String> {
    let rows: Vec<_> = state
        .iter()
        .filter(|(_, value)| value.len() >= VALUE_BYTES_MIN)
        .collect();
    let (place, value) = *rng.choice(&rows).expect("some value is long enough");
    let bytes = image.to_vec();
    let bit = rng.u64(..value.len() as u64 * 8);
    let mut damaged = image.clone();
    for at in positions(&bytes, value) {
        damaged.flip(at as u64 * 8 + bit);
    }
    let opened = RedbKv::open_on(
        SimDisk::new(damaged, 0).open(),
        &identity(),
        tuning(COMMIT_PHASES, UNVERIFIED),
    );
    // Refused before a byte is served: nothing to add.
    let Ok(kv) = opened else { return Ok(()) };
    let snapshot = kv.snapshot().map_err(|fault| fault.describe())?;
    match snapshot.get(place.0, &place.1) {
        Err(Fault::Corrupt { table, key }) if (table, &key) == (place.0, &place.1) => {}
        Err(fault) => return Err(format!("the wrong fault: {}", fault.describe())),
        Ok(served) => return Err(format!("served: {:?}", served.map(|value| value.len()))),
    }
    for (other, value) in state.iter().filter(|(other, _)| *other != place) {
        let served = snapshot
            .get(other.0, &other.1)
            .map_err(|fault| fault.describe())?;
        if served.as_deref() != Some(&**value) {
            return Err(format!("the row {other:?} beside it is lost"));
        }
    }
    let op = Op {
        table: Table::Keys,
        key: b"never".to_vec(),
        value: Some(Vec::new()),
    };
    match kv.commit(&[op]) {
        Err(Fault::Stopped { .. }) => Ok(()),
        Ok(()) | Err(_) => Err("it took a commit after a corrupt row".to_owned()),
    }
}

fn positions(bytes: &[u8], value: &[u8]) -> Vec<usize> {
    let first = value[0];
    let found: Vec<usize> = bytes
        .iter()
        .enumerate()
        .filter(|(at, byte)| **byte == first && bytes[*at..].starts_with(value))
        .map(|(at, _)| at)
        .collect();
    assert!(!found.is_empty(), "a row of the last state is in the file");
    found
}

/// What became of files in which any bit may have turned over.
#[derive(Debug, Default)]
struct Endings {
    refused: AtomicU64,
    /// Opened, and a read said that something is wrong.
    told: AtomicU64,
    /// Opened, and every row was right: the bit was in a page without use.
    right: AtomicU64,
    /// Opened, and rows were missing or old, which only `check` can tell.
    wrong: AtomicU64,
}

#[test]
fn whichever_bit_flips_verification_finds_it_or_nothing_is_wrong() {
    let target = Scale::from_env().pick(400, 4_000, 20_000);
    let endings = Endings::default();
    let done = spread(target, |seed, share| {
        let mut rng = seed.rng();
        let (ended, image) = at_rest(seed, &mut rng);
        let bytes = image.to_vec();
        let flips = share.min(FLIPS_PER_RUN);
        for _ in 0..flips {
            let mut damaged = image.clone();
            let bit = any_bit(&bytes, &mut rng);
            damaged.flip(bit);
            flip_anything(&damaged, &ended, &endings)
                .unwrap_or_else(|broken| panic!("{seed:?} bit {bit}: {broken}"));
        }
        flips
    });
    println!("flipped bits anywhere: {done} of {target}: {endings:?}");
    assert!(done >= target);
}

/// Any bit but the one that selects the slot; the header as often as all the rest, and no page that was never used.
fn any_bit(bytes: &[u8], rng: &mut Rng) -> u64 {
    if rng.bool() {
        let bit = rng.u64(1..HEADER_BYTES * 8);
        return if bit == SLOT_BIT { 0 } else { bit };
    }
    loop {
        let page = rng.usize(..bytes.len() / PAGE_BYTES) * PAGE_BYTES;
        if bytes[page..page + PAGE_BYTES].iter().any(|byte| *byte != 0) {
            return (page * 8) as u64 + rng.u64(..PAGE_BYTES as u64 * 8);
        }
    }
}

fn flip_anything(damaged: &Image, ended: &Ended, endings: &Endings) -> Result<(), String> {
    let promise = Promise::exactly(ended.promise().acked);
    let open = |seed| {
        let disk = SimDisk::new(damaged.clone(), 0);
        RedbKv::open_on(disk.open(), &identity(), tuning(COMMIT_PHASES, seed))
    };
    let Ok(unverified) = open(UNVERIFIED) else {
        endings.refused.fetch_add(1, Ordering::Relaxed);
        return match open(VERIFIED) {
            Ok(_) => Err("refused, and not refused when it is verified".to_owned()),
            Err(_) => Ok(()),
        };
    };
    let ending = match read(&unverified) {
        Err(_) => &endings.told,
        Ok(_) if verify(&unverified, &ended.history, promise).is_ok() => &endings.right,
        Ok(_) => &endings.wrong,
    };
    ending.fetch_add(1, Ordering::Relaxed);
    drop(unverified);
    // Verified at once, or opened first and verified then: what passes is whole.
    if let Ok(verified) = open(VERIFIED) {
        whole(&verified, ended).map_err(|broken| format!("verified, and yet: {broken}"))?;
    }
    let mut checked = open(UNVERIFIED).map_err(|refusal| format!("opened once, then {refusal}"))?;
    match checked.check() {
        Ok(()) => whole(&checked, ended).map_err(|broken| format!("checked, and yet: {broken}")),
        Err(_) => Ok(()),
    }
}

fn whole(kv: &RedbKv, ended: &Ended) -> Result<(), String> {
    let promise = Promise::exactly(ended.promise().acked);
    verify(kv, &ended.history, promise).map(drop)
}

/// Both slots hold a commit that was whole and flushed, so turning the bit over leads back by one commit and never to
/// a mixture. Nothing inside the file can tell that from a power cut just before the bit was written.
#[test]
fn the_bit_that_selects_the_slot_leads_to_a_whole_commit_at_worst_the_one_before() {
    let mut back = 0;
    for seed in 0..60 {
        let mut rng = Seed(seed).rng();
        let (ended, mut image) = at_rest(Seed(seed), &mut rng);
        image.flip(SLOT_BIT);
        let last = ended.promise().acked;
        let promise = Promise {
            acked: last - 1,
            begun: last,
        };
        let disk = SimDisk::new(image, 0);
        let Ok(kv) = RedbKv::open_on(disk.open(), &identity(), tuning(COMMIT_PHASES, seed)) else {
            continue;
        };
        match verify(&kv, &ended.history, promise) {
            Ok(number) => back += last - number,
            Err(broken) => panic!("seed {seed}: {broken}"),
        }
    }
    assert!(back > 0, "it is protected after all: tell `kv/redb.rs`");
}
