//! A store on a simulated disk with its history beside it: what a run promised, and whether a disk keeps it.
//!
//! The promise is a pair of numbers: commits up to `acked` were acknowledged and must be there; none after `begun` can
//! be. What is found between them must equal the state after one whole commit. Checkpoints are made by the run itself,
//! between commits, so that one seed yields the same calls every time; no promise depends on them.

use fastrand::Rng;
use sessiond_store::kv::Kv;
use sessiond_store::kv::journaled::{Disks, JournaledKv, Refused};
use sessiond_store::kv::redb::{Identity, Phases, Refusal, Tuning};
use sessiond_tests::sim_disk::{FileId, PerFile, SimDisk, SimFile};

use super::met::Moment;
use super::workload::{History, equal, read};

/// Memory for redb's pages in these runs, in bytes, for each file. Little enough that some are written before their
/// commit.
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
    pub(crate) kv: JournaledKv,
    pub(crate) history: History,
    record: Record,
}

/// What a run did when, counted in calls on its disk.
struct Record {
    /// What was promised from the moment the disk had seen so many calls, in order.
    promises: Vec<(usize, Promise)>,
    spans: Vec<Span>,
    /// The last commit that is known to be in the state.
    carried: u64,
    /// Whether the next commit finds something to remove from the journal.
    trims: bool,
}

/// The calls that one thing a run did took.
struct Span {
    doing: Doing,
    /// Calls before the first of them.
    from: usize,
    /// Calls with the last of them.
    to: usize,
}

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Commit,
    CommitAndTrim,
    Checkpoint,
    Settle,
    Close,
}

pub(crate) fn identity() -> Identity {
    Identity {
        version: "1.0.0".to_owned(),
        log_id: [1; 16],
    }
}

/// What commits of every third seed may gather before one of them makes a checkpoint itself, in bytes: a few of them.
const GATHERED_BYTES_MAX: u64 = 32 * 1024;

/// Every other seed opens as a server does with a large file: without verifying what need not be repaired.
pub(crate) fn tuning(phases: Phases, seed: u64) -> Tuning {
    Tuning {
        cache_bytes: CACHE_BYTES,
        journal_cache_bytes: CACHE_BYTES,
        verified_bytes_max: if seed.is_multiple_of(2) { 0 } else { u64::MAX },
        phases,
        gathered_bytes_max: if seed.is_multiple_of(3) {
            GATHERED_BYTES_MAX
        } else {
            u64::MAX
        },
    }
}

fn files(disk: &SimDisk) -> Disks<SimFile, SimFile> {
    Disks {
        state: disk.open(FileId::State),
        journal: disk.open(FileId::Journal),
    }
}

/// Opens what is on `disk` and looks no further.
pub(crate) fn open_store(
    disk: &SimDisk,
    phases: Phases,
    seed: u64,
) -> Result<JournaledKv, Refused> {
    JournaledKv::open_on(files(disk), &identity(), tuning(phases, seed))
}

impl Run {
    /// A new store on a new disk. Its trace begins where the store's life does: a store that is still being made is
    /// not under its name yet.
    pub(crate) fn create(seed: u64, phases: Phases) -> Self {
        Self::create_tuned(seed, tuning(phases, seed))
    }

    /// The same, in which nothing but a call of ours makes a checkpoint.
    pub(crate) fn create_gathering(seed: u64, phases: Phases) -> Self {
        let tuning = Tuning {
            gathered_bytes_max: u64::MAX,
            ..tuning(phases, seed)
        };
        Self::create_tuned(seed, tuning)
    }

    fn create_tuned(seed: u64, tuning: Tuning) -> Self {
        let disk = SimDisk::new(PerFile::default(), seed);
        let kv = JournaledKv::create_on(files(&disk), &identity(), tuning)
            .expect("an empty disk without faults");
        Self::from_here(disk, kv, History::new(seed))
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
        let kv = open_store(&disk, phases, seed).map_err(|refused| words(&refused))?;
        let number = verify(&kv, history, promise)?;
        Ok(Self::from_here(disk, kv, history.fork(number, seed)))
    }

    fn from_here(disk: SimDisk, kv: JournaledKv, history: History) -> Self {
        let latest = history.latest();
        let record = Record {
            promises: vec![(disk.calls(), Promise::exactly(latest))],
            spans: Vec::new(),
            // What had to be replayed is not in the state; nobody asks how much that was.
            carried: if kv.gathered_bytes() > 0 { 0 } else { latest },
            trims: false,
        };
        Self {
            disk,
            kv,
            history,
            record,
        }
    }

    /// Makes the next commit; its error is the fault in words.
    pub(crate) fn commit(&mut self) -> Result<(), String> {
        let acked = self.promise().acked;
        let ops = self.history.next_commit();
        let begun = self.history.latest();
        self.promise_from_here(Promise { acked, begun });
        let doing = if self.record.trims {
            Doing::CommitAndTrim
        } else {
            Doing::Commit
        };
        self.span(doing, |run| {
            run.kv.commit(&ops).map_err(|fault| fault.describe())
        })?;
        self.promise_from_here(Promise::exactly(begun));
        self.record.trims = false;
        Ok(())
    }

    /// Makes a checkpoint; its error is the fault in words.
    pub(crate) fn checkpoint(&mut self) -> Result<(), String> {
        let had_gathered = self.kv.gathered_bytes() > 0;
        self.span(Doing::Checkpoint, |run| {
            run.kv.checkpoint().map_err(|fault| fault.describe())
        })?;
        self.record.carried = self.history.latest();
        // The newest row always stays, so the first one alone is not removed.
        self.record.trims |= had_gathered && self.history.latest() > 1;
        Ok(())
    }

    /// Makes the next opening a quick one; its error is the fault in words.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        self.span(Doing::Settle, |run| {
            run.kv.settle().map_err(|fault| fault.describe())
        })?;
        self.record.carried = self.history.latest();
        self.record.trims = false;
        Ok(())
    }

    /// Makes `count` commits, and before, between and after them what a server does now and then.
    pub(crate) fn commits(&mut self, count: u64, rng: &mut Rng) -> Result<(), String> {
        for _ in 0..count {
            self.tend(rng)?;
            self.commit()?;
        }
        self.tend(rng)
    }

    /// A checkpoint, one with nothing to carry after it, a settling, or nothing.
    pub(crate) fn tend(&mut self, rng: &mut Rng) -> Result<(), String> {
        match rng.u8(..16) {
            0..2 => self.settle(),
            2..5 => self.checkpoint(),
            5 => {
                self.checkpoint()?;
                self.checkpoint()
            }
            _ => Ok(()),
        }
    }

    /// What is promised at this moment.
    pub(crate) fn promise(&self) -> Promise {
        self.record.promise()
    }

    /// Ends the process after a clean close; the calls of the closing are part of the trace.
    pub(crate) fn close(self) -> Ended {
        let Self {
            disk,
            kv,
            history,
            mut record,
        } = self;
        let from = disk.calls();
        drop(kv);
        record.spans.push(Span {
            doing: Doing::Close,
            from,
            to: disk.calls(),
        });
        Ended {
            disk,
            history,
            record,
        }
    }

    /// Ends the process on the spot: what closing would do does not reach the disk.
    pub(crate) fn stop(self) -> Ended {
        self.disk.kill();
        let mut ended = self.close();
        ended.record.spans.pop();
        ended
    }

    fn promise_from_here(&mut self, promise: Promise) {
        self.record.promises.push((self.disk.calls(), promise));
    }

    fn span(
        &mut self,
        doing: Doing,
        work: impl FnOnce(&Self) -> Result<(), String>,
    ) -> Result<(), String> {
        let from = self.disk.calls();
        work(self)?;
        let to = self.disk.calls();
        self.record.spans.push(Span { doing, from, to });
        Ok(())
    }
}

impl Record {
    fn promise(&self) -> Promise {
        self.promises.last().expect("there is a first one").1
    }
}

impl Span {
    /// The moment of its life that lies between call `at` and the next, if there is one worth a name.
    fn moment(&self, at: usize) -> Option<Moment> {
        let is_inside = self.from < at && at < self.to;
        match self.doing {
            Doing::Checkpoint if self.from == self.to => {
                (at == self.to).then_some(Moment::AfterEmptyCheckpoint)
            }
            Doing::Checkpoint if at == self.from => Some(Moment::BeforeCheckpoint),
            Doing::Checkpoint if at == self.to => Some(Moment::AfterCheckpoint),
            Doing::Checkpoint => is_inside.then_some(Moment::InCheckpoint),
            Doing::Commit => is_inside.then_some(Moment::TornAppend),
            Doing::CommitAndTrim => is_inside.then_some(Moment::Trim),
            Doing::Settle => is_inside.then_some(Moment::InSettle),
            Doing::Close => is_inside.then_some(Moment::InClose),
        }
    }
}

/// A run that is over: the disk it left, and what it promised when.
pub(crate) struct Ended {
    pub(crate) disk: SimDisk,
    pub(crate) history: History,
    record: Record,
}

impl Ended {
    /// The first call of the trace from which on there are promises.
    pub(crate) fn start(&self) -> usize {
        self.record.promises[0].0
    }

    /// What was promised when the disk had seen `calls` calls, and not one more.
    pub(crate) fn promise_at(&self, calls: usize) -> Promise {
        let promises = &self.record.promises;
        let later = promises.partition_point(|(from, _)| *from <= calls);
        promises[later - 1].1
    }

    /// The moments that the end of the first `calls` calls falls into.
    pub(crate) fn moments_at(&self, calls: usize) -> impl Iterator<Item = Moment> {
        let spans = self.record.spans.iter();
        spans.filter_map(move |span| span.moment(calls))
    }

    /// The first point after `calls` calls at which a checkpoint begins or is done.
    pub(crate) fn checkpoint_end_after(&self, calls: usize) -> Option<usize> {
        let spans = self.record.spans.iter();
        spans
            .filter(|span| span.doing == Doing::Checkpoint)
            .flat_map(|span| [span.from, span.to])
            .find(|end| *end > calls)
    }

    /// What was promised in the end.
    pub(crate) fn promise(&self) -> Promise {
        self.record.promise()
    }

    /// The last commit that is known to be in the state; what is later is in the journal and nowhere else.
    pub(crate) fn carried(&self) -> u64 {
        self.record.carried
    }
}

/// The number of the commit the store is after, when that is within `promise` and every row is as it was then.
pub(crate) fn verify(kv: &JournaledKv, history: &History, promise: Promise) -> Result<u64, String> {
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

fn words(refused: &Refused) -> String {
    let (file, refusal) = match refused {
        Refused::State(refusal) => (FileId::State, refusal),
        Refused::Journal(refusal) => (FileId::Journal, refusal),
    };
    match refusal {
        Refusal::Io(error) => format!("{file:?} refused: {refusal}: {error}"),
        Refusal::InUse
        | Refusal::TooNew { .. }
        | Refusal::TooOld { .. }
        | Refusal::Foreign { .. }
        | Refusal::Corrupt { .. } => format!("{file:?} refused: {refusal}"),
    }
}
