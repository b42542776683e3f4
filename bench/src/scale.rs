//! How much of everything one run does: full, quick or smoke.
//!
//! Invariant: every number that makes a run long is here, so that the bounds (30 min, 4 min, 40 s) are
//! kept by changing this file only. What it deliberately does not do: leave a path out.

use std::time::Duration;

/// How much one run does.
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    /// Times each system is measured on a path, in alternation.
    pub(crate) repetitions: usize,
    /// The same for paths that have to store or open very much first.
    pub(crate) heavy_repetitions: usize,
    /// How long callers run before anything counts.
    pub(crate) warm_up: Duration,
    /// How long one system is measured once.
    pub(crate) duration: Duration,
    /// The stored work of "1x"; "10x" has ten times as much.
    pub(crate) stored: Stored,
    /// Sessions ended at once.
    pub(crate) sessions_to_end: usize,
    /// How long a server must have done nothing to count as idle: longer than it puts work off.
    pub(crate) calm_for: Duration,
    /// How long an idle server is looked at.
    pub(crate) idle_for: Duration,
    /// Kills and restarts of one store.
    pub(crate) restarts: usize,
    /// How long latencies are followed, and in windows of what length.
    pub(crate) follow: Duration,
    pub(crate) window: Duration,
    /// How long files and memory are followed under full load.
    pub(crate) endurance: Duration,
    /// Watchers of the smaller and the larger fan-out.
    pub(crate) watchers: [usize; 2],
    /// Events of one burst: half of them opens, half of them ends.
    pub(crate) burst_events: usize,
}

/// What is stored beforehand at 1x.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored {
    /// Pending messages when messages go on being enqueued.
    pub(crate) messages: usize,
    /// Pending messages at a restart.
    pub(crate) restart_messages: usize,
    /// Idle sessions.
    pub(crate) sessions: usize,
}

/// The sizes of run there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// The whole table, at most 30 minutes.
    Full,
    /// The whole table with smaller numbers, at most 4 minutes.
    Quick,
    /// Every path once, to see that it works, at most 40 seconds.
    Smoke,
}

impl Scale {
    pub(crate) fn of(size: Size) -> Self {
        match size {
            Size::Full => Self::full(),
            Size::Quick => Self::quick(),
            Size::Smoke => Self::smoke(),
        }
    }

    fn full() -> Self {
        Self {
            repetitions: 5,
            heavy_repetitions: 3,
            warm_up: Duration::from_millis(300),
            duration: Duration::from_millis(1_500),
            stored: Stored {
                messages: 20_000,
                restart_messages: 100_000,
                sessions: 100_000,
            },
            sessions_to_end: 100_000,
            calm_for: Duration::from_secs(2),
            idle_for: Duration::from_secs(10),
            restarts: 5,
            follow: Duration::from_secs(20),
            window: Duration::from_secs(1),
            endurance: Duration::from_secs(60),
            watchers: [1_000, 5_000],
            burst_events: 1_000,
        }
    }

    fn quick() -> Self {
        Self {
            repetitions: 3,
            heavy_repetitions: 1,
            warm_up: Duration::from_millis(100),
            duration: Duration::from_millis(300),
            stored: Stored {
                messages: 2_000,
                restart_messages: 5_000,
                sessions: 5_000,
            },
            sessions_to_end: 10_000,
            calm_for: Duration::from_millis(1_500),
            idle_for: Duration::from_secs(2),
            restarts: 2,
            follow: Duration::from_secs(6),
            window: Duration::from_millis(500),
            endurance: Duration::from_secs(8),
            watchers: [1_000, 5_000],
            burst_events: 200,
        }
    }

    fn smoke() -> Self {
        Self {
            repetitions: 1,
            heavy_repetitions: 1,
            warm_up: Duration::from_millis(10),
            // Long enough for 256 callers of an unoptimised server to begin an operation behind the warm-up.
            duration: Duration::from_millis(250),
            stored: Stored {
                messages: 100,
                restart_messages: 200,
                sessions: 200,
            },
            sessions_to_end: 500,
            calm_for: Duration::from_millis(40),
            idle_for: Duration::from_millis(100),
            restarts: 1,
            follow: Duration::from_millis(200),
            window: Duration::from_millis(50),
            endurance: Duration::from_millis(400),
            watchers: [20, 100],
            burst_events: 40,
        }
    }
}
