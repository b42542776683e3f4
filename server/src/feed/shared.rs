//! Shared frames: what all watchers of one scope send who stand at the same place.
//!
//! Invariant: a frame is found only by the scope it was made for, the place it begins behind and the
//! one it ends at, so nobody is sent what another namespace's watchers may see. It is made once,
//! outside of the lock; whoever needs it meanwhile waits for it. What this deliberately does not do:
//! know which frame is needed next: the oldest made goes first, and one that is gone is made again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use sessiond_core::ids::{Namespace, Revision};

use super::page::Page;
use crate::limits::FEED_FRAMES_MAX;

/// The frames made last.
#[derive(Debug, Default)]
pub(super) struct SharedFrames {
    kept: Mutex<VecDeque<Kept>>,
}

/// A frame, or that nothing of the scope is between the two places.
type Frame = Arc<OnceLock<Option<Bytes>>>;

#[derive(Debug)]
struct Kept {
    /// Of this namespace; none: of all.
    scope: Option<Namespace>,
    after: Revision,
    through: Revision,
    frame: Frame,
}

impl SharedFrames {
    /// The frame of a page for everybody of a scope, made by `make` if it is not at hand.
    pub(super) fn of(
        &self,
        scope: Option<&Namespace>,
        page: &Page,
        make: impl FnOnce() -> Option<Bytes>,
    ) -> Option<Bytes> {
        self.place(scope, page).get_or_init(make).clone()
    }

    fn place(&self, scope: Option<&Namespace>, page: &Page) -> Frame {
        let (after, through) = (page.after(), page.through());
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |one: &&Kept| {
            one.through == through && one.after == after && one.scope.as_ref() == scope
        };
        // The newest is the one that most ask for.
        if let Some(found) = kept.iter().rev().find(same) {
            return Arc::clone(&found.frame);
        }
        if kept.len() >= FEED_FRAMES_MAX {
            kept.pop_front();
        }
        let frame = Frame::default();
        kept.push_back(Kept {
            scope: scope.cloned(),
            after,
            through,
            frame: Arc::clone(&frame),
        });
        frame
    }
}
