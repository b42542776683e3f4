//! How the engine is getting on, readable without asking it: for health and statistics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters that only the engine moves.
#[derive(Debug, Default)]
pub struct Progress {
    commands: AtomicU64,
    commits: AtomicU64,
    events: AtomicU64,
    /// Monotonic milliseconds plus one at which the commit under way began; 0 between commits.
    committing_since: AtomicU64,
}

impl Progress {
    pub(super) fn committing(&self, monotonic_ms: u64) {
        self.committing_since
            .store(monotonic_ms + 1, Ordering::Relaxed);
    }

    /// Counts what a batch decided, whether or not it changed anything that is committed.
    pub(super) fn decided(&self, commands: u64) {
        self.commands.fetch_add(commands, Ordering::Relaxed);
    }

    pub(super) fn committed(&self, events: u64) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.events.fetch_add(events, Ordering::Relaxed);
        self.committing_since.store(0, Ordering::Relaxed);
    }

    /// How long the commit under way has taken so far.
    #[must_use]
    pub fn commit_age(&self, monotonic_ms: u64) -> Duration {
        match self.committing_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_millis(monotonic_ms.saturating_sub(since - 1)),
        }
    }

    /// Commands decided since start, refused ones included.
    #[must_use]
    pub fn commands(&self) -> u64 {
        self.commands.load(Ordering::Relaxed)
    }

    /// Commits since start.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Events written since start.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }
}
