//! The record of one run, walked call by call: the image of a crash at each of them, without running it again.

use fastrand::Rng;

use super::{Event, Image, Tear};

/// The calls of one run and the bytes it began with.
#[derive(Clone, Debug)]
pub struct Trace {
    pub(super) base: Image,
    pub(super) events: Vec<Event>,
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
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Walks the calls from the first one.
    pub fn replay(&self) -> Replay<'_> {
        Replay {
            events: &self.events,
            at: 0,
            durable: self.base.clone(),
            pending: Vec::new(),
        }
    }
}

/// A run stopped between two calls.
#[derive(Clone, Debug)]
pub struct Replay<'a> {
    events: &'a [Event],
    at: usize,
    durable: Image,
    pending: Vec<Event>,
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
        for event in &self.events[self.at..at] {
            match event {
                Event::Write { .. } | Event::SetLen(_) => self.pending.push(event.clone()),
                Event::Sync => {
                    for done in self.pending.drain(..) {
                        done.apply(&mut self.durable);
                    }
                }
                Event::Lie { landed } => {
                    self.pending.clear();
                    for done in landed.iter() {
                        done.apply(&mut self.durable);
                    }
                }
            }
        }
        self.at = at;
    }

    /// What a power cut leaves here.
    pub fn crash(&self, tear: Tear, rng: &mut Rng) -> Image {
        tear.cut(&self.durable, &self.pending, rng)
    }

    /// How many calls are not flushed.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }
}
