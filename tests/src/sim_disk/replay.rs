//! The record of one run, walked call by call: the image of a crash at each of them, without running it again.

use fastrand::Rng;

use super::{Event, FileId, Image, PerFile, Recorded, Tear, cut};

/// The calls of one run, of both files in their order, and the bytes it began with.
#[derive(Clone, Debug)]
pub struct Trace {
    pub(super) base: PerFile<Image>,
    pub(super) events: Vec<Recorded>,
}

impl Trace {
    /// How many calls there are. A crash point lies before each and after the last.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The calls.
    pub fn events(&self) -> &[Recorded] {
        &self.events
    }

    /// Walks the calls from the first one.
    pub fn replay(&self) -> Replay<'_> {
        Replay {
            events: &self.events,
            at: 0,
            durable: self.base.clone(),
            pending: PerFile::default(),
        }
    }
}

/// A run stopped between two calls.
#[derive(Clone, Debug)]
pub struct Replay<'a> {
    events: &'a [Recorded],
    at: usize,
    durable: PerFile<Image>,
    pending: PerFile<Vec<Event>>,
}

impl Replay<'_> {
    /// How many calls were made.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Makes calls until `at` of them were made.
    ///
    /// # Panics
    ///
    /// When there are fewer, or it is past that point.
    pub fn advance(&mut self, at: usize) {
        for Recorded { file, event } in &self.events[self.at..at] {
            let (durable, pending) = (self.durable.of_mut(*file), self.pending.of_mut(*file));
            match event {
                Event::Write { .. } | Event::SetLen(_) => pending.push(event.clone()),
                Event::Sync => {
                    for done in pending.drain(..) {
                        done.apply(durable);
                    }
                }
                Event::Lie { landed } => {
                    pending.clear();
                    for done in landed.iter() {
                        done.apply(durable);
                    }
                }
            }
        }
        self.at = at;
    }

    /// What a power cut leaves of the files here.
    pub fn crash(&self, tear: Tear, rng: &mut Rng) -> PerFile<Image> {
        cut(tear, &self.durable, &self.pending, rng)
    }

    /// How many calls on `file` are not flushed.
    pub fn pending(&self, file: FileId) -> usize {
        self.pending.of(file).len()
    }
}
