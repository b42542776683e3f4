//! Engine time: the highest value in the store at start, then plus what the monotonic clock has run.
//!
//! So downtime, suspend and steps of the wall clock end nothing and extend nothing. The two clocks tick at different
//! fractions of a millisecond; the distance between them follows the wall clock only when it is moved, or a deadline
//! that stands still would be shown a millisecond earlier or later from one answer to the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sessiond_core::time::{EngineTime, Now, WallTime};

use crate::env::Clock;

/// What the distance between two clocks that both tick in milliseconds may seem to change by while neither is moved.
const JITTER_MS: u64 = 1;

/// Reads both clocks.
#[derive(Clone, Debug)]
pub struct EngineClock {
    clock: Arc<dyn Clock>,
    /// Engine time at start, less the monotonic clock's reading then.
    base: i128,
    /// Wall time less engine time, as it is shown. Shared by all clones, for they show the same deadlines.
    distance: Arc<AtomicI64>,
}

impl EngineClock {
    /// A clock that reads `start` now.
    pub(super) fn new(clock: Arc<dyn Clock>, start: EngineTime) -> Self {
        let base = i128::from(start.0) - i128::from(clock.monotonic_ms());
        let distance = Arc::new(AtomicI64::new(distance(start, clock.wall())));
        Self {
            clock,
            base,
            distance,
        }
    }

    /// The present on both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        let engine = self.base + i128::from(self.clock.monotonic_ms());
        let engine = EngineTime(u64::try_from(engine).unwrap_or(0));
        let found = distance(engine, self.clock.wall());
        let shown = self.distance.load(Ordering::Relaxed);
        if found.abs_diff(shown) > JITTER_MS {
            self.distance.store(found, Ordering::Relaxed);
            return now(engine, found);
        }
        now(engine, shown)
    }

    /// Milliseconds on the monotonic clock.
    #[must_use]
    pub fn monotonic_ms(&self) -> u64 {
        self.clock.monotonic_ms()
    }
}

fn distance(engine: EngineTime, wall: WallTime) -> i64 {
    let ms = i128::from(wall.0) - i128::from(engine.0);
    i64::try_from(ms).expect("neither clock reads more than 63 bits of milliseconds")
}

fn now(engine: EngineTime, distance: i64) -> Now {
    Now {
        engine,
        wall: WallTime(engine.0.saturating_add_signed(distance)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[derive(Debug, Default)]
    struct Hands {
        monotonic: AtomicU64,
        wall: AtomicU64,
    }

    impl Clock for Hands {
        fn monotonic_ms(&self) -> u64 {
            self.monotonic.load(Ordering::Relaxed)
        }

        fn wall(&self) -> WallTime {
            WallTime(self.wall.load(Ordering::Relaxed))
        }
    }

    /// Reads a clock that began at engine time 100 and wall time 50,000, with the hands at these places.
    fn read(clock: &EngineClock, hands: &Hands, monotonic: u64, wall: u64) -> (u64, u64) {
        hands.monotonic.store(monotonic, Ordering::Relaxed);
        hands.wall.store(wall, Ordering::Relaxed);
        let now = clock.now();
        (now.engine.0, now.wall.0)
    }

    #[test]
    fn ticks_at_different_fractions_do_not_show_and_steps_do() {
        let hands = Arc::new(Hands::default());
        hands.wall.store(50_000, Ordering::Relaxed);
        let clock = EngineClock::new(Arc::clone(&hands) as Arc<dyn Clock>, EngineTime(100));
        assert_eq!(read(&clock, &hands, 10, 50_011), (110, 50_010));
        assert_eq!(read(&clock, &hands, 11, 50_010), (111, 50_011));
        assert_eq!(read(&clock, &hands, 12, 40_000), (112, 40_000));
        assert_eq!(read(&clock, &hands, 13, 40_002), (113, 40_001));
        assert_eq!(read(&clock, &hands, 14, 60_000), (114, 60_000));
    }
}
