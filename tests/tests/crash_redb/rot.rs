//! Bits that turn over while the files lie on the disk.
//!
//! A bit of a value must never be served: the store is refused, or the row is, by name. What the journal has that the
//! state does not is read when the store is opened, so there it is refused. Copies that nobody needs any more, in pages
//! that are free or in journal rows that a checkpoint carried, do no harm. Where any bit of a file may have turned,
//! opening need not notice (a large file that was closed is not read to the end), but a row is still the one that was
//! committed or none, and `check` finds what opening did not.

use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;
use sessiond_store::fault::Fault;
use sessiond_store::kv::journaled::JournaledKv;
use sessiond_store::kv::redb::COMMIT_PHASES;
use sessiond_store::kv::{Kv, Op, Table};
use sessiond_tests::scale::Scale;
use sessiond_tests::sim_disk::{FileId, Image, PerFile, SimDisk, Tear};

use super::run::{Ended, Promise, Run, open_store, verify};
use super::workload::{State, read};
use super::{Seed, spread};

/// A seed of `tuning`: what an open that verifies refuses is not seen by the rows.
const UNVERIFIED: u64 = 0;
/// A seed of `tuning`: an open that verifies, as a server's of files that are not large.
const VERIFIED: u64 = 1;
/// Flips made on the files of one run.
const FLIPS_PER_RUN: u64 = 50;
/// The header of a redb file with both commit slots, in bytes.
const HEADER_BYTES: u64 = 320;
const PAGE_BYTES: usize = 4096;
/// The bit of the header that says which commit slot counts. No checksum covers it.
const SLOT_BIT: u64 = 9 * 8;
/// Values shorter than this may be found in a file by chance, in bytes.
const VALUE_BYTES_MIN: usize = 16;

/// The files a run left, with nobody using them.
struct AtRest {
    ended: Ended,
    images: PerFile<Image>,
    bytes: PerFile<Vec<u8>>,
}

impl AtRest {
    fn of(seed: Seed, rng: &mut Rng) -> Self {
        let mut run = Run::create_gathering(seed.0, COMMIT_PHASES);
        let commits = rng.u64(5..40);
        run.commits(commits, rng).expect("a disk without faults");
        // The three ways to leave files: closed, ready to be opened quickly, and in need of verification.
        let ended = match seed.0 / 2 % 3 {
            0 => run.close(),
            1 => {
                run.settle().expect("a disk without faults");
                run.stop()
            }
            _ => run.stop(),
        };
        let images = ended.disk.crash(Tear::Everything, rng);
        let bytes = PerFile::each(|file| images.of(file).to_vec());
        Self {
            ended,
            images,
            bytes,
        }
    }

    /// What was acknowledged last, which is what there must be.
    fn promise(&self) -> Promise {
        Promise::exactly(self.ended.promise().acked)
    }

    fn state(&self, number: u64) -> &State {
        let state = self.ended.history.state(number);
        state.expect("a state of its own history")
    }

    /// Whether every row is as it was committed last.
    fn whole(&self, kv: &JournaledKv) -> Result<(), String> {
        verify(kv, &self.ended.history, self.promise()).map(drop)
    }
}

/// What became of a store with a flipped bit in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It was not opened.
    Refused,
    /// The row was refused by name, and no other one.
    Named,
    /// The copies that were damaged are not needed.
    Right,
}

/// How often each ending was met when copies in one of the files, or in both, were damaged.
#[derive(Debug, Default)]
struct ValueEndings {
    refused: AtomicU64,
    named: AtomicU64,
    right: AtomicU64,
}

impl ValueEndings {
    fn count(&self, ending: Ending) {
        let counter = match ending {
            Ending::Refused => &self.refused,
            Ending::Named => &self.named,
            Ending::Right => &self.right,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_flipped_bit_of_a_value_is_refused_or_named_and_never_served() {
    let target = Scale::from_env().pick(400, 4_000, 20_000);
    let (both, one) = (ValueEndings::default(), PerFile::<ValueEndings>::default());
    let done = spread(target, |seed, share| {
        let mut rng = seed.rng();
        let at_rest = AtRest::of(seed, &mut rng);
        let flips = share.min(FLIPS_PER_RUN);
        for _ in 0..flips {
            let file = *rng
                .choice(&[None, Some(FileId::State), Some(FileId::Journal)])
                .expect("not empty");
            let endings = file.map_or(&both, |file| one.of(file));
            match flip_a_value(&at_rest, file, &mut rng) {
                Ok(ending) => endings.count(ending),
                Err(broken) => panic!("{seed:?} {file:?}: {broken}"),
            }
        }
        flips
    });
    println!("flipped bits of values: {done} of {target}: in both files {both:?}, in one {one:?}");
    assert!(done >= target);
    assert_eq!(both.right.into_inner(), 0);
    for endings in [&one.state, &one.journal] {
        assert!(endings.right.load(Ordering::Relaxed) > 0);
    }
    assert!(one.state.named.into_inner() > 0);
    assert!(one.journal.refused.into_inner() > 0);
    // The tables are somewhere else.
    assert_eq!(one.journal.named.into_inner(), 0);
}

/// Flips one bit of one value, in every copy of it that is in `file`, or in both: one of them is the row.
fn flip_a_value(at_rest: &AtRest, file: Option<FileId>, rng: &mut Rng) -> Result<Ending, String> {
    let state = at_rest.state(at_rest.promise().acked);
    let rows: Vec<_> = state
        .iter()
        .filter(|(_, value)| value.len() >= VALUE_BYTES_MIN)
        .collect();
    let (place, value) = *rng.choice(&rows).expect("some value is long enough");
    let bit = rng.u64(..value.len() as u64 * 8);
    let mut damaged = at_rest.images.clone();
    let mut copies = PerFile::default();
    for id in FileId::ALL {
        let found = positions(at_rest.bytes.of(id), value);
        *copies.of_mut(id) = found.len();
        if file.is_none_or(|file| file == id) {
            for at in found {
                damaged.of_mut(id).flip(at as u64 * 8 + bit);
            }
        }
    }
    if copies.state + copies.journal == 0 {
        return Err(format!("the row {place:?} is in neither file"));
    }
    let is_carried = at_rest.state(at_rest.ended.carried()).get(place) == Some(value);
    let kv = match open_store(&SimDisk::new(damaged, 0), COMMIT_PHASES, UNVERIFIED) {
        Ok(kv) => kv,
        // Refused before a byte is served: nothing to add, unless nothing was damaged.
        Err(_) if file.is_none_or(|file| *copies.of(file) > 0) => return Ok(Ending::Refused),
        Err(refused) => return Err(format!("nothing is damaged, and yet: {refused:?}")),
    };
    if !is_carried && file != Some(FileId::State) {
        return Err("opened, though a row of the journal does not verify".to_owned());
    }
    ask(&kv, state, place, value)
}

/// Asks a store in which the row at `place` may be damaged for all its rows.
fn ask(
    kv: &JournaledKv,
    state: &State,
    place: &(Table, Vec<u8>),
    value: &[u8],
) -> Result<Ending, String> {
    let snapshot = kv.snapshot().map_err(|fault| fault.describe())?;
    let ending = match snapshot.get(place.0, &place.1) {
        Ok(Some(served)) if *served == *value => Ending::Right,
        Err(Fault::Corrupt { table, key }) if (table, &key) == (place.0, &place.1) => Ending::Named,
        Err(fault) => return Err(format!("the wrong fault: {}", fault.describe())),
        Ok(served) => return Err(format!("served: {:?}", served.map(|value| value.len()))),
    };
    for (other, value) in state.iter().filter(|(other, _)| *other != place) {
        let served = snapshot
            .get(other.0, &other.1)
            .map_err(|fault| fault.describe())?;
        if served.as_ref() != Some(value) {
            return Err(format!("the row {other:?} beside it is lost"));
        }
    }
    let op = Op::put(Table::Keys, b"never".to_vec(), Vec::new());
    match (ending, kv.commit(&[op])) {
        (Ending::Right, Ok(())) | (Ending::Named, Err(Fault::Stopped { .. })) => Ok(ending),
        (_, Ok(())) => Err("it took a commit after a corrupt row".to_owned()),
        (_, Err(fault)) => Err(format!("{ending:?}, then {}", fault.describe())),
    }
}

fn positions(bytes: &[u8], value: &[u8]) -> Vec<usize> {
    let first = value[0];
    bytes
        .iter()
        .enumerate()
        .filter(|(at, byte)| **byte == first && bytes[*at..].starts_with(value))
        .map(|(at, _)| at)
        .collect()
}

/// What became of stores in which any bit of a file may have turned over.
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
    let endings = PerFile::<Endings>::default();
    let done = spread(target, |seed, share| {
        let mut rng = seed.rng();
        let at_rest = AtRest::of(seed, &mut rng);
        let flips = share.min(FLIPS_PER_RUN);
        for _ in 0..flips {
            let file = *rng.choice(&FileId::ALL).expect("not empty");
            let mut damaged = at_rest.images.clone();
            let bit = any_bit(at_rest.bytes.of(file), &mut rng);
            damaged.of_mut(file).flip(bit);
            flip_anything(&damaged, &at_rest, endings.of(file))
                .unwrap_or_else(|broken| panic!("{seed:?} {file:?} bit {bit}: {broken}"));
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

fn flip_anything(
    damaged: &PerFile<Image>,
    at_rest: &AtRest,
    endings: &Endings,
) -> Result<(), String> {
    let open = |seed| open_store(&SimDisk::new(damaged.clone(), 0), COMMIT_PHASES, seed);
    let Ok(unverified) = open(UNVERIFIED) else {
        endings.refused.fetch_add(1, Ordering::Relaxed);
        return match open(VERIFIED) {
            Ok(_) => Err("refused, and not refused when it is verified".to_owned()),
            Err(_) => Ok(()),
        };
    };
    let ending = match read(&unverified) {
        Err(_) => &endings.told,
        Ok(_) if at_rest.whole(&unverified).is_ok() => &endings.right,
        Ok(_) => &endings.wrong,
    };
    ending.fetch_add(1, Ordering::Relaxed);
    drop(unverified);
    // Verified at once, or opened first and verified then: what passes is whole.
    if let Ok(verified) = open(VERIFIED) {
        at_rest
            .whole(&verified)
            .map_err(|broken| format!("verified, and yet: {broken}"))?;
    }
    let mut checked =
        open(UNVERIFIED).map_err(|refused| format!("opened once, then {refused:?}"))?;
    match checked.check() {
        Ok(()) => at_rest
            .whole(&checked)
            .map_err(|broken| format!("checked, and yet: {broken}")),
        Err(_) => Ok(()),
    }
}

/// Both slots hold a commit that was whole and flushed, so turning the bit over leads back by one commit and never to
/// a mixture. In the journal nothing can tell that from a power cut just before the bit was written. In the state it
/// leads to the checkpoint before: what is missing is replayed, or the journal does not reach back and says so.
#[test]
fn the_bit_that_selects_the_slot_leads_back_by_a_commit_in_the_journal_and_by_none_in_the_state() {
    let mut back = PerFile::<u64>::default();
    let mut opened = PerFile::<u64>::default();
    for seed in 0..60 {
        let mut rng = Seed(seed).rng();
        let at_rest = AtRest::of(Seed(seed), &mut rng);
        let last = at_rest.promise().acked;
        let promise = Promise {
            acked: last - 1,
            begun: last,
        };
        for file in FileId::ALL {
            let mut images = at_rest.images.clone();
            images.of_mut(file).flip(SLOT_BIT);
            let Ok(kv) = open_store(&SimDisk::new(images, 0), COMMIT_PHASES, seed) else {
                continue;
            };
            *opened.of_mut(file) += 1;
            match verify(&kv, &at_rest.ended.history, promise) {
                Ok(number) => *back.of_mut(file) += last - number,
                Err(broken) => panic!("seed {seed}, {file:?}: {broken}"),
            }
        }
    }
    println!("the other slot: opened {opened:?}, led back {back:?}");
    assert!(
        back.journal > 0,
        "it is protected after all: tell `kv/redb.rs`"
    );
    assert!(opened.state > 0);
    assert_eq!(back.state, 0);
}
