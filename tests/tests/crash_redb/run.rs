//! A store on a simulated disk with its history beside it: what a run promised, and whether a disk keeps it.
//!
//! The promise is a pair of numbers: commits up to `acked` were acknowledged and must be there; none after `begun` can
//! be. What is found between them must equal the state after one whole commit.

use fastrand::Rng;
use sessiond_store::kv::Kv;
use sessiond_store::kv::redb::{Identity, Phases, RedbKv, Refusal, Tuning};
use sessiond_tests::sim_disk::{Image, SimDisk};

use super::workload::{History, equal, read};

/// Memory for redb's pages in these runs, in bytes. Little enough that some are written before their commit.
const CACHE_BYTES: usize = 256 * 1024;

/// How a broken promise is told when the store could be read.
pub(crate) const NOT_THE_STATE: &str = "another state was found";

/// What a run promised by some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Promise {
    /// The last commit that was acknowledged.
    pub(crate) acked: u64,
    /// The last commit that was begun.
    pub(crate) begun: u64,
}

impl Promise {
    /// Exactly the state after commit `number`.
    pub(crate) fn exactly(number: u64) -> Self {
        Self {
            acked: number,
            begun: number,
        }
    }
}

/// A store that is open on a disk.
pub(crate) struct Run {
    pub(crate) disk: SimDisk,
    pub(crate) kv: RedbKv,
    pub(crate) history: History,
    /// What was promised from the moment the disk had seen so many calls, in order.
    promises: Vec<(usize, Promise)>,
}

pub(crate) fn identity() -> Identity {
    Identity {
        version: "1.0.0".to_owned(),
        log_id: [1; 16],
    }
}

/// Every other seed opens as a server does with a large file: without verifying what need not be repaired.
pub(crate) fn tuning(phases: Phases, seed: u64) -> Tuning {
    Tuning {
        cache_bytes: CACHE_BYTES,
        verified_bytes_max: if seed.is_multiple_of(2) { 0 } else { u64::MAX },
        phases,
    }
}

impl Run {
    /// A new store on a new disk. Its trace begins where the store's life does: a store that is still being made is
    /// not under its name yet.
    pub(crate) fn create(seed: u64, phases: Phases) -> Self {
        let disk = SimDisk::new(Image::new(), seed);
        let kv = RedbKv::create_on(disk.open(), &identity(), tuning(phases, seed)).expect("create");
        let start = disk.calls();
        Self {
            disk,
            kv,
            history: History::new(seed),
            promises: vec![(start, Promise::exactly(0))],
        }
    }

    /// The store on `disk`, which must hold a state of `history` within `promise`; that state and what follows from it
    /// is the history from here on.
    pub(crate) fn open(
        disk: SimDisk,
        history: &History,
        promise: Promise,
        phases: Phases,
        seed: u64,
    ) -> Result<Self, String> {
        let kv = RedbKv::open_on(disk.open(), &identity(), tuning(phases, seed))
            .map_err(|refusal| refused(&refusal))?;
        let number = verify(&kv, history, promise)?;
        Ok(Self {
            promises: vec![(disk.calls(), Promise::exactly(number))],
            kv,
            history: history.fork(number, seed),
            disk,
        })
    }

    /// Makes the next commit; its error is the fault in words.
    pub(crate) fn commit(&mut self) -> Result<(), String> {
        let acked = self.promise().acked;
        let ops = self.history.next_commit();
        let begun = self.history.latest();
        self.promise_from_here(Promise { acked, begun });
        self.kv.commit(&ops).map_err(|fault| fault.describe())?;
        self.promise_from_here(Promise::exactly(begun));
        Ok(())
    }

    /// Makes `count` commits, and now and then settles.
    pub(crate) fn commits(&mut self, count: u64, rng: &mut Rng) -> Result<(), String> {
        for _ in 0..count {
            self.commit()?;
            if rng.u8(..8) == 0 {
                self.kv.settle().map_err(|fault| fault.describe())?;
            }
        }
        Ok(())
    }

    /// What is promised at this moment.
    pub(crate) fn promise(&self) -> Promise {
        self.promises.last().expect("there is a first one").1
    }

    /// Ends the process after a clean close; the calls of the closing are part of the trace.
    pub(crate) fn close(self) -> Ended {
        let Self {
            disk,
            kv,
            history,
            promises,
        } = self;
        drop(kv);
        Ended {
            disk,
            history,
            promises,
        }
    }

    /// Ends the process on the spot: what closing would do does not reach the disk.
    pub(crate) fn stop(self) -> Ended {
        let disk = self.disk.fork();
        Ended {
            disk,
            ..self.close()
        }
    }

    fn promise_from_here(&mut self, promise: Promise) {
        self.promises.push((self.disk.calls(), promise));
    }
}

/// A run that is over: the disk it left, and what it promised when.
pub(crate) struct Ended {
    pub(crate) disk: SimDisk,
    pub(crate) history: History,
    promises: Vec<(usize, Promise)>,
}

impl Ended {
    /// The first call of the trace from which on there are promises.
    pub(crate) fn start(&self) -> usize {
        self.promises[0].0
    }

    /// What was promised when the disk had seen `calls` calls, and not one more.
    pub(crate) fn promise_at(&self, calls: usize) -> Promise {
        let later = self.promises.partition_point(|(from, _)| *from <= calls);
        self.promises[later - 1].1
    }

    /// What was promised in the end.
    pub(crate) fn promise(&self) -> Promise {
        self.promises.last().expect("there is a first one").1
    }
}

/// The number of the commit the store is after, when that is within `promise` and every row is as it was then.
pub(crate) fn verify(kv: &RedbKv, history: &History, promise: Promise) -> Result<u64, String> {
    let (number, rows) = read(kv)?;
    if !(promise.acked..=promise.begun).contains(&number) {
        return Err(format!("{NOT_THE_STATE}: commit {number}, {promise:?}"));
    }
    let state = history
        .state(number)
        .ok_or_else(|| format!("commit {number} is not in the history"))?;
    if !equal(&rows, state) {
        return Err(format!("{NOT_THE_STATE}: not the rows of commit {number}"));
    }
    Ok(number)
}

fn refused(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Io(error) => format!("refused: {refusal}: {error}"),
        Refusal::InUse
        | Refusal::TooNew { .. }
        | Refusal::Foreign { .. }
        | Refusal::Corrupt { .. } => format!("refused: {refusal}"),
    }
}
