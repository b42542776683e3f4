//! A disk with two files for redb that can lose power at any call, fail any call, and lie about a flush.
//!
//! ```text
//!  live    = what reads show: the page cache over the disk             of each file
//!  durable = what the disk holds for certain                           of each file
//!  pending = calls since the last good flush of that very file: in live, and nobody knows how much on the disk
//!  trace   = all calls of both files, in the order in which they were made
//! ```
//!
//! A crash image is `durable` and some part of `pending`, chosen by a seed, of both files at one moment: power fails
//! for the whole disk, while a flush is of one file. Two runs with one seed are the same to the byte. Every call that
//! changes something is recorded, so one run yields the images of all its crash points without being run again. Time,
//! latency and directories are not simulated.

mod file;
mod image;
mod locks;
mod per_file;
mod replay;
mod tear;

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use fastrand::Rng;

pub use self::file::SimFile;
pub use self::image::Image;
pub use self::per_file::{FileId, PerFile};
pub use self::replay::{Replay, Trace};
pub use self::tear::Tear;

use self::locks::Locks;

/// One call on one of the files.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The file it was made on.
    pub file: FileId,
    /// What it was.
    pub event: Event,
}

/// One call that changed something or meant to.
#[derive(Clone, Debug)]
pub enum Event {
    /// Bytes written.
    Write {
        /// Where the first one goes.
        offset: u64,
        /// The bytes, shared by all images that hold them.
        data: Arc<[u8]>,
    },
    /// The length set.
    SetLen(u64),
    /// A flush that did what it says.
    Sync,
    /// A flush that failed and lost what was pending of its file: `live` shows it, no later flush writes it.
    Lie {
        /// The part of it that reached the disk all the same.
        landed: Arc<[Event]>,
    },
}

impl Event {
    /// A write.
    pub fn write(offset: u64, data: &[u8]) -> Self {
        Self::Write {
            offset,
            data: data.into(),
        }
    }

    /// What the call does to the bytes.
    pub fn apply(&self, image: &mut Image) {
        match self {
            Self::Write { offset, data } => image.write(*offset, data),
            Self::SetLen(len) => image.set_len(*len),
            Self::Sync | Self::Lie { .. } => {}
        }
    }
}

/// The calls that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// Asking for the length.
    Len,
    /// Reading bytes.
    Read,
    /// Writing bytes.
    Write,
    /// Setting the length.
    SetLen,
    /// Flushing.
    Sync,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Once, with EIO. A write may have been done in part.
    Eio,
    /// With ENOSPC, and so does every later write and growth of either file: a full disk stays full.
    Enospc,
    /// A flush fails once and what was pending of its file is lost, all or in part, although reads go on showing it;
    /// later flushes succeed.
    FsyncLie,
}

/// The n-th call of a kind fails.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Calls of which file are counted; `None` is either.
    pub file: Option<FileId>,
    /// Which calls are counted.
    pub call: Call,
    /// Which of them fails first, counted from zero.
    pub nth: u64,
    /// How.
    pub failure: Failure,
}

/// A simulated disk with its files. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    unlocked: Condvar,
}

#[derive(Debug)]
struct State {
    base: PerFile<Image>,
    live: PerFile<Image>,
    durable: PerFile<Image>,
    pending: PerFile<Vec<Event>>,
    trace: Vec<Recorded>,
    plan: Option<Plan>,
    counted: u64,
    /// The file on which the planned failure happened.
    fired: Option<FileId>,
    rng: Rng,
    locks: PerFile<Locks>,
    next_owner: u64,
    /// Handles up to this one are those of processes that were killed.
    killed_to: u64,
}

impl SimDisk {
    /// A disk that holds `images`, all of them durable. `seed` decides what failing calls do in part.
    pub fn new(images: PerFile<Image>, seed: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    base: images.clone(),
                    live: images.clone(),
                    durable: images,
                    pending: PerFile::default(),
                    trace: Vec::new(),
                    plan: None,
                    counted: 0,
                    fired: None,
                    rng: Rng::with_seed(seed),
                    locks: PerFile::default(),
                    next_owner: 0,
                    killed_to: 0,
                }),
                unlocked: Condvar::new(),
            }),
        }
    }

    /// The disk as it is at this moment, on its own from here on and without locks: what happens to one is not seen on
    /// the other.
    pub fn fork(&self) -> Self {
        let state = self.state();
        let fork = Self::new(state.live.clone(), 0);
        {
            let mut copy = fork.state();
            copy.base = state.base.clone();
            copy.durable = state.durable.clone();
            copy.pending = state.pending.clone();
            copy.trace = state.trace.clone();
            copy.rng = state.rng.clone();
        }
        fork
    }

    /// Opens `file`: a handle with locks of its own.
    pub fn open(&self, file: FileId) -> SimFile {
        let mut state = self.state();
        state.next_owner += 1;
        SimFile::new(self.clone(), file, state.next_owner)
    }

    /// Kills the process that has files open: whatever its handles are asked for from here on fails and changes
    /// nothing, closing included. What is opened later is another process.
    pub fn kill(&self) {
        let mut state = self.state();
        state.killed_to = state.next_owner;
    }

    /// Lets the calls fail as `plan` says, counted from now.
    pub fn fail(&self, plan: Plan) {
        let mut state = self.state();
        state.plan = Some(plan);
        state.counted = 0;
        state.fired = None;
    }

    /// On which file the planned failure happened, if it did so far.
    pub fn fired(&self) -> Option<FileId> {
        self.state().fired
    }

    /// On which file the planned failure happened, if it did. From here on, without a plan.
    pub fn heal(&self) -> Option<FileId> {
        let mut state = self.state();
        state.plan = None;
        state.fired
    }

    /// How many calls are in the trace so far.
    pub fn calls(&self) -> usize {
        self.state().trace.len()
    }

    /// The calls so far, with the bytes they began with.
    pub fn trace(&self) -> Trace {
        let state = self.state();
        Trace {
            base: state.base.clone(),
            events: state.trace.clone(),
        }
    }

    /// What reads show: the files as a process finds them that opens them again without a power cut.
    pub fn live(&self) -> PerFile<Image> {
        self.state().live.clone()
    }

    /// What is left of the files after a power cut at this moment.
    pub fn crash(&self, tear: Tear, rng: &mut Rng) -> PerFile<Image> {
        let state = self.state();
        cut(tear, &state.durable, &state.pending, rng)
    }

    /// Drops the page cache of `file`, or of all of them: what was lost by a lying flush is no longer shown, what is
    /// pending is.
    pub fn drop_cache(&self, file: Option<FileId>) {
        let mut state = self.state();
        let dropped = |id: &FileId| file.is_none_or(|file| file == *id);
        for id in FileId::ALL.into_iter().filter(dropped) {
            let mut live = state.durable.of(id).clone();
            for event in state.pending.of(id) {
                event.apply(&mut live);
            }
            *state.live.of_mut(id) = live;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .expect("no call on the disk panics")
    }
}

impl State {
    fn is_killed(&self, owner: u64) -> bool {
        owner <= self.killed_to
    }

    /// Whether this call of `owner` on `file` fails, and how.
    fn failure(&mut self, owner: u64, file: FileId, call: Call) -> Option<Failure> {
        if self.is_killed(owner) {
            return Some(Failure::Eio);
        }
        let plan = self.plan?;
        let full = self.fired.is_some() && plan.failure == Failure::Enospc;
        if full && matches!(call, Call::Write | Call::SetLen) {
            return Some(plan.failure);
        }
        let is_counted = plan.call == call && plan.file.is_none_or(|planned| planned == file);
        if !is_counted || self.fired.is_some() {
            return None;
        }
        self.counted += 1;
        if self.counted <= plan.nth {
            return None;
        }
        self.fired = Some(file);
        Some(plan.failure)
    }

    /// Does `event` on `file`, in the cache and in the record.
    fn change(&mut self, file: FileId, event: Event) {
        event.apply(self.live.of_mut(file));
        self.pending.of_mut(file).push(event.clone());
        self.record(file, event);
    }

    fn sync(&mut self, file: FileId) {
        let durable = self.durable.of_mut(file);
        for event in self.pending.of_mut(file).drain(..) {
            event.apply(durable);
        }
        self.record(file, Event::Sync);
    }

    fn lie(&mut self, file: FileId) {
        let chance = *self.rng.choice(&[0.0, 0.5]).expect("not empty");
        let mut landed = std::mem::take(self.pending.of_mut(file));
        landed.retain(|_| self.rng.f64() < chance);
        for event in &landed {
            event.apply(self.durable.of_mut(file));
        }
        let landed = landed.into();
        self.record(file, Event::Lie { landed });
    }

    fn record(&mut self, file: FileId, event: Event) {
        self.trace.push(Recorded { file, event });
    }
}

/// Both files after one power cut; what was pending of each is cut by lots of its own.
fn cut(
    tear: Tear,
    durable: &PerFile<Image>,
    pending: &PerFile<Vec<Event>>,
    rng: &mut Rng,
) -> PerFile<Image> {
    PerFile::each(|file| tear.cut(durable.of(file), pending.of(file), rng))
}

fn error(failure: Failure) -> io::Error {
    // The numbers of Linux; only the kinds matter to who reads them.
    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;
    io::Error::from_raw_os_error(match failure {
        Failure::Eio | Failure::FsyncLie => EIO,
        Failure::Enospc => ENOSPC,
    })
}
