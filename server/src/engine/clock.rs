//! Engine time: the highest value in the store at start, then plus what the monotonic clock has run.
//!
//! So downtime, suspend and steps of the wall clock end nothing and extend nothing.

use std::sync::Arc;

use sessiond_core::time::{EngineTime, Now};

use crate::env::Clock;

/// Reads both clocks.
#[derive(Clone, Debug)]
pub struct EngineClock {
    clock: Arc<dyn Clock>,
    /// Engine time at start, less the monotonic clock's reading then.
    base: i128,
}

impl EngineClock {
    /// A clock that reads `start` now.
    pub(super) fn new(clock: Arc<dyn Clock>, start: EngineTime) -> Self {
        let base = i128::from(start.0) - i128::from(clock.monotonic_ms());
        Self { clock, base }
    }

    /// The present on both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        let engine = self.base + i128::from(self.clock.monotonic_ms());
        Now {
            engine: EngineTime(u64::try_from(engine).unwrap_or(0)),
            wall: self.clock.wall(),
        }
    }

    /// Milliseconds on the monotonic clock.
    #[must_use]
    pub fn monotonic_ms(&self) -> u64 {
        self.clock.monotonic_ms()
    }
}
