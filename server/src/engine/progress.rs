//! How the engine is getting on, readable without asking it: for health and statistics.
//!
//! Invariant: whoever reads waits for nobody. What this deliberately does not do: survive a restart, or judge.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use sessiond_core::event::{EventKind, EventRow};
use sessiond_core::session::{EndClass, Lifecycle};
use sessiond_core::time::WallTime;

/// Counters that only the engine moves, but for repairs, which the reconciler counts.
#[derive(Debug)]
pub struct Progress {
    commands: AtomicU64,
    commits: AtomicU64,
    events: AtomicU64,
    sessions_created: AtomicU64,
    sessions_cleaned: AtomicU64,
    cleanup_runs: AtomicU64,
    cleanup_errors: AtomicU64,
    repairs: AtomicU64,
    acked: AtomicU64,
    /// Wall-clock milliseconds of the last commit with an ack; 0 before the first.
    last_ack: AtomicU64,
    commit_seconds: Histogram,
    commit_commands: Histogram,
    /// Monotonic milliseconds plus one at which the batch under way began; 0 between batches.
    working_since: AtomicU64,
}

/// What one batch did.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Commands decided.
    pub(super) commands: u64,
    /// Commands of the server's own timers among them.
    pub(super) looks: u64,
    /// Those of them that were refused.
    pub(super) looks_refused: u64,
    /// Events written.
    pub(super) events: u64,
    /// Sessions opened.
    pub(super) opened: u64,
    /// Sessions ended by a limit or because somebody is gone.
    pub(super) cleaned: u64,
    /// Messages acked.
    pub(super) acked: u64,
}

impl Tally {
    /// Counts an event.
    pub(super) fn count(&mut self, event: &EventRow) {
        self.events += 1;
        self.opened += u64::from(event.kind == EventKind::SessionOpened);
        if event.kind == EventKind::SessionEnd
            && let Some(view) = event.session()
            && let Lifecycle::Ended(end) = &view.session.lifecycle
        {
            let cleaned = matches!(end.reason.class(), EndClass::Reaped | EndClass::Lost);
            self.cleaned += u64::from(cleaned);
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        // From what the fastest disk takes to what a probe calls hung; from one command to a full batch.
        let seconds = exponential_buckets(0.000_1, 2.0, 18);
        let commands = exponential_buckets(1.0, 2.0, 11);
        Self {
            commands: AtomicU64::default(),
            commits: AtomicU64::default(),
            events: AtomicU64::default(),
            sessions_created: AtomicU64::default(),
            sessions_cleaned: AtomicU64::default(),
            cleanup_runs: AtomicU64::default(),
            cleanup_errors: AtomicU64::default(),
            repairs: AtomicU64::default(),
            acked: AtomicU64::default(),
            last_ack: AtomicU64::default(),
            commit_seconds: Histogram::new(seconds),
            commit_commands: Histogram::new(commands),
            working_since: AtomicU64::default(),
        }
    }
}

impl Progress {
    /// A batch is taken up, or what comes instead of one while nothing is asked.
    pub(super) fn begun(&self, monotonic_ms: u64) {
        self.working_since
            .store(monotonic_ms + 1, Ordering::Relaxed);
    }

    /// It is done with.
    pub(super) fn done(&self) {
        self.working_since.store(0, Ordering::Relaxed);
    }

    /// Counts what a batch decided, whether or not it changed anything that is committed.
    pub(super) fn decided(&self, tally: &Tally) {
        self.commands.fetch_add(tally.commands, Ordering::Relaxed);
        let runs = u64::from(tally.looks > 0);
        self.cleanup_runs.fetch_add(runs, Ordering::Relaxed);
        self.cleanup_errors
            .fetch_add(tally.looks_refused, Ordering::Relaxed);
    }

    /// Counts what a batch committed, and how long that took.
    pub(super) fn committed(&self, tally: &Tally, now: WallTime, took: Duration) {
        self.commit_seconds.observe(took.as_secs_f64());
        self.commit_commands.observe(tally.commands as f64);
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.events.fetch_add(tally.events, Ordering::Relaxed);
        self.sessions_created
            .fetch_add(tally.opened, Ordering::Relaxed);
        self.sessions_cleaned
            .fetch_add(tally.cleaned, Ordering::Relaxed);
        if tally.acked > 0 {
            self.acked.fetch_add(tally.acked, Ordering::Relaxed);
            self.last_ack.store(now.0, Ordering::Relaxed);
        }
    }

    /// Counts something that should have been watched and was not.
    pub(crate) fn repaired(&self, count: u64) {
        self.repairs.fetch_add(count, Ordering::Relaxed);
    }

    /// How long the batch under way has taken so far, from its first decision to its last answer.
    #[must_use]
    pub fn batch_age(&self, monotonic_ms: u64) -> Duration {
        match self.working_since.load(Ordering::Relaxed) {
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

    /// How long commits took since start, in seconds.
    #[must_use]
    pub fn commit_seconds(&self) -> &Histogram {
        &self.commit_seconds
    }

    /// How many commands each of them was for.
    #[must_use]
    pub fn commit_commands(&self) -> &Histogram {
        &self.commit_commands
    }

    /// Events written since start.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Messages acked since start.
    #[must_use]
    pub fn acked(&self) -> u64 {
        self.acked.load(Ordering::Relaxed)
    }

    /// When the last of them was; none before the first.
    #[must_use]
    pub fn last_ack(&self) -> Option<WallTime> {
        let at = self.last_ack.load(Ordering::Relaxed);
        (at > 0).then_some(WallTime(at))
    }

    /// Sessions opened since start.
    #[must_use]
    pub fn sessions_created(&self) -> u64 {
        self.sessions_created.load(Ordering::Relaxed)
    }

    /// Sessions that a limit ended since start, or that whoever was responsible is gone.
    #[must_use]
    pub fn sessions_cleaned(&self) -> u64 {
        self.sessions_cleaned.load(Ordering::Relaxed)
    }

    /// Batches since start in which something was due.
    #[must_use]
    pub fn cleanup_runs(&self) -> u64 {
        self.cleanup_runs.load(Ordering::Relaxed)
    }

    /// Looks at what was due that were refused since start.
    #[must_use]
    pub fn cleanup_errors(&self) -> u64 {
        self.cleanup_errors.load(Ordering::Relaxed)
    }

    /// What should have been watched since start and was not, until the reconciler found it.
    #[must_use]
    pub fn repairs(&self) -> u64 {
        self.repairs.load(Ordering::Relaxed)
    }
}
