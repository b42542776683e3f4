//! A disk for redb that can lose power at any call, fail any call, and lie about a flush.
//!
//! ```text
//!  live    = what reads show: the page cache over the disk
//!  durable = what the disk holds for certain
//!  pending = calls since the last good flush: in live, and nobody knows how much of them on the disk
//! ```
//!
//! A crash image is `durable` and some part of `pending`, chosen by a seed; two runs with one seed are the same to the
//! byte. Every call that changes something is recorded, so one run yields the images of all its crash points without
//! being run again. Time, latency and other files are not simulated.

mod file;
mod image;
mod locks;
mod replay;
mod tear;

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use fastrand::Rng;

pub use self::file::SimFile;
pub use self::image::Image;
pub use self::replay::{Replay, Trace};
pub use self::tear::Tear;

use self::locks::Locks;

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
    /// A flush that failed and lost what was pending: `live` shows it, no later flush writes it.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// With ENOSPC, and so does every later write and growth: a full disk stays full.
    Enospc,
    /// A flush fails once and what was pending is lost, all or in part, although reads go on showing it; later flushes
    /// succeed.
    FsyncLie,
}

/// The n-th call of a kind fails.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Which calls are counted.
    pub call: Call,
    /// Which of them fails first, counted from zero.
    pub nth: u64,
    /// How.
    pub failure: Failure,
}

/// A simulated disk with one file. Clones are the same disk.
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
    base: Image,
    live: Image,
    durable: Image,
    pending: Vec<Event>,
    trace: Vec<Event>,
    plan: Option<Plan>,
    counted: u64,
    fired: bool,
    rng: Rng,
    locks: Locks,
    next_owner: u64,
}

impl SimDisk {
    /// A disk that holds `image`, all of it durable. `seed` decides what failing calls do in part.
    pub fn new(image: Image, seed: u64) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    base: image.clone(),
                    live: image.clone(),
                    durable: image,
                    pending: Vec::new(),
                    trace: Vec::new(),
                    plan: None,
                    counted: 0,
                    fired: false,
                    rng: Rng::with_seed(seed),
                    locks: Locks::default(),
                    next_owner: 0,
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

    /// Opens the file: a handle with locks of its own.
    pub fn open(&self) -> SimFile {
        let mut state = self.state();
        state.next_owner += 1;
        SimFile::new(self.clone(), state.next_owner)
    }

    /// Lets the calls fail as `plan` says, counted from now.
    pub fn fail(&self, plan: Plan) {
        let mut state = self.state();
        state.plan = Some(plan);
        state.counted = 0;
        state.fired = false;
    }

    /// Whether the planned failure happened so far.
    pub fn fired(&self) -> bool {
        self.state().fired
    }

    /// Whether the planned failure happened. From here on, without a plan.
    pub fn heal(&self) -> bool {
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

    /// What reads show: the file as a process finds it that opens it again without a power cut.
    pub fn live(&self) -> Image {
        self.state().live.clone()
    }

    /// What is left after a power cut at this moment.
    pub fn crash(&self, tear: Tear, rng: &mut Rng) -> Image {
        let state = self.state();
        tear.cut(&state.durable, &state.pending, rng)
    }

    /// Drops the page cache: what was lost by a lying flush is no longer shown, what is pending is.
    pub fn drop_cache(&self) {
        let mut state = self.state();
        let mut live = state.durable.clone();
        for event in &state.pending {
            event.apply(&mut live);
        }
        state.live = live;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .expect("no call on the disk panics")
    }
}

impl State {
    /// Whether this call fails, and how.
    fn failure(&mut self, call: Call) -> Option<Failure> {
        let plan = self.plan?;
        let full = self.fired && plan.failure == Failure::Enospc;
        if full && matches!(call, Call::Write | Call::SetLen) {
            return Some(plan.failure);
        }
        if plan.call != call || self.fired {
            return None;
        }
        self.counted += 1;
        if self.counted <= plan.nth {
            return None;
        }
        self.fired = true;
        Some(plan.failure)
    }

    /// Does `event`, on the cache and in the record.
    fn change(&mut self, event: Event) {
        event.apply(&mut self.live);
        self.trace.push(event.clone());
        self.pending.push(event);
    }

    fn sync(&mut self) {
        for event in std::mem::take(&mut self.pending) {
            event.apply(&mut self.durable);
        }
        self.trace.push(Event::Sync);
    }

    fn lie(&mut self) {
        let chance = *self.rng.choice(&[0.0, 0.5]).expect("not empty");
        let mut landed = std::mem::take(&mut self.pending);
        landed.retain(|_| self.rng.f64() < chance);
        for event in &landed {
            event.apply(&mut self.durable);
        }
        let landed = landed.into();
        self.trace.push(Event::Lie { landed });
    }
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
