//! A count that threads add to and wait for: how far a test is.
//!
//! Invariant: who waits is woken by every addition, so nobody polls. What it deliberately does not do:
//! say what is counted.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The count. Clones are the same count.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    count: u64,
    is_over: bool,
}

impl Progress {
    /// Adds one.
    pub fn step(&self) {
        self.change(|state| state.count += 1);
    }

    /// Says that there will be no more: nobody waits any longer.
    pub fn give_up(&self) {
        self.change(|state| state.is_over = true);
    }

    /// How far it is.
    #[must_use]
    pub fn count(&self) -> u64 {
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner).count
    }

    /// Waits until the count is at least `goal`; answers the count, which is less when `within` is over
    /// or somebody gave up.
    #[must_use]
    pub fn reach(&self, goal: u64, within: Duration) -> u64 {
        let state = self.shared.state.lock();
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let waits = |state: &mut State| state.count < goal && !state.is_over;
        let waited = self.shared.changed.wait_timeout_while(state, within, waits);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.count
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let state = self.shared.state.lock();
        change(&mut state.unwrap_or_else(PoisonError::into_inner));
        self.shared.changed.notify_all();
    }
}
