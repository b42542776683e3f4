//! What a store in two redb files, journal and state, keeps when power fails, calls fail, flushes lie and bits rot.
//!
//! Every run is on a simulated disk and follows from its seed; a failure names it. `SESSIOND_SCALE` says how many are
//! run, and each test asserts that it ran as many as it was asked for. `story` is the reason for two-phase commits; the
//! others hold the store to its promise: whole commits, and all that were acknowledged.

#[path = "crash_redb/faults.rs"]
mod faults;
#[path = "crash_redb/met.rs"]
mod met;
#[path = "crash_redb/points.rs"]
mod points;
#[path = "crash_redb/rot.rs"]
mod rot;
#[path = "crash_redb/run.rs"]
mod run;
#[path = "crash_redb/story.rs"]
mod story;
#[path = "crash_redb/workload.rs"]
mod workload;

use std::ops::RangeInclusive;
use std::thread;

use fastrand::Rng;
use sessiond_tests::scale::Scale;

/// Workers of one test. The figures are met together.
const WORKERS: u64 = 2;

/// Runs `work` on seeds that nobody else has until it has done its share of `target`; answers what was done in all.
///
/// `work` gets a seed and what is left to do, answers how much it did, and panics with the seed when a promise is
/// broken.
fn spread(target: u64, work: impl Fn(Seed, u64) -> u64 + Sync) -> u64 {
    let share = target.div_ceil(WORKERS);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let work = &work;
                scope.spawn(move || {
                    let mut done = 0;
                    let mut seed = worker;
                    while done < share {
                        done += work(Seed(seed), share - done);
                        seed += WORKERS;
                    }
                    done
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .sum()
    })
}

/// How far it is from one call that is tried to the next. A quick run skips most of them, so that it sees all parts of
/// several lives instead of every call at the beginning of one.
fn stride() -> RangeInclusive<usize> {
    Scale::from_env().pick(1..=15, 1..=1, 1..=1)
}

/// What one run follows from.
#[derive(Clone, Copy, Debug)]
struct Seed(u64);

impl Seed {
    fn rng(self) -> Rng {
        Rng::with_seed(self.0)
    }
}
