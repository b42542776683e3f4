//! Workers that claim and settle what was enqueued before: the backlog's size, and the loop.
//!
//! Invariant: only messages claimed while every worker still found work are counted, over just that
//! time. What it deliberately does not do: enqueue beside the workers, which would share their processors.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::task::JoinSet;

use super::ANSWER_WITHIN;
use crate::samples::{Load, Samples, latencies};

/// The largest backlog of one measurement, in bytes of payload: what fits the memory of a small machine.
const BACKLOG_BYTES_MAX: usize = 2 << 30;

/// The least backlog, in messages a worker: enough to say something of a peer that is slow.
const BACKLOG_EACH_MIN: usize = 64;

/// What a worker found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// A message, which is settled.
    Settled,
    /// Nothing to claim: the backlog is used up.
    Empty,
}

/// How fast a peer can be drained at most. Too low only makes a measurement shorter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Messages a second and worker.
    pub(crate) each: usize,
    /// Messages a second in all.
    pub(crate) most: usize,
}

impl Pace {
    /// How many messages `workers` need to be busy for the whole of `load`.
    pub(crate) fn backlog(self, workers: usize, load: &Load) -> usize {
        let rate = self.most.min(self.each * workers);
        let seconds = (load.warm_up + load.duration).as_secs_f64();
        let wanted = (rate as f64 * seconds) as usize;
        let bytes_max = BACKLOG_BYTES_MAX / load.payload_bytes.max(1);
        wanted.max(BACKLOG_EACH_MIN * workers).min(bytes_max)
    }
}

/// `workers` tasks that claim and settle until the time is over or the first of them finds nothing.
///
/// # Errors
/// The first claim's that failed; one when nothing was claimed after the warm-up.
pub(crate) async fn drain<Op, Fut>(
    load: &Load,
    workers: usize,
    worker: impl Fn(usize) -> Op,
) -> Result<Samples>
where
    Op: FnMut() -> Fut + Send + 'static,
    Fut: Future<Output = Result<Claim>> + Send + 'static,
{
    let counts_from = Instant::now() + load.warm_up;
    let ends_at = counts_from + load.duration;
    let mut tasks = JoinSet::new();
    for index in 0..workers {
        tasks.spawn(work(ends_at, worker(index)));
    }
    let within = load.warm_up + load.duration + ANSWER_WITHIN;
    let shifts = tokio::time::timeout(within, ended(tasks)).await;
    let shifts = shifts.context("workers did not end: a claim got no answer")??;
    summary(counts_from, ends_at, &shifts)
}

/// What one worker did.
#[derive(Debug, Default)]
struct Shift {
    /// When each message was asked for, and when it was settled.
    claims: Vec<(Instant, Instant)>,
    /// When it asked for one in vain.
    dry_at: Option<Instant>,
}

async fn work<Op, Fut>(ends_at: Instant, mut claim: Op) -> Result<Shift>
where
    Op: FnMut() -> Fut,
    Fut: Future<Output = Result<Claim>>,
{
    let mut shift = Shift::default();
    let mut now = Instant::now();
    while now < ends_at {
        let begun = now;
        match claim().await? {
            Claim::Settled => {
                now = Instant::now();
                shift.claims.push((begun, now));
            }
            Claim::Empty => {
                shift.dry_at = Some(begun);
                break;
            }
        }
    }
    Ok(shift)
}

/// Dropping the set on the first error ends the other workers.
async fn ended(mut tasks: JoinSet<Result<Shift>>) -> Result<Vec<Shift>> {
    let mut shifts = Vec::new();
    while let Some(shift) = tasks.join_next().await {
        shifts.push(shift.context("a worker died")??);
    }
    Ok(shifts)
}

fn summary(counts_from: Instant, ends_at: Instant, shifts: &[Shift]) -> Result<Samples> {
    let dry_at = shifts.iter().filter_map(|shift| shift.dry_at).min();
    let until = dry_at.unwrap_or(ends_at).min(ends_at);
    let mut latencies = latencies();
    let mut last = counts_from;
    let claims = shifts.iter().flat_map(|shift| &shift.claims);
    for (begun, settled) in claims.filter(|(begun, _)| (counts_from..until).contains(begun)) {
        latencies.saturating_record(micros(settled.duration_since(*begun)));
        last = last.max(*settled);
    }
    if latencies.is_empty() {
        bail!("the backlog was used up before anything counted");
    }
    Ok(Samples {
        operations: latencies.len(),
        elapsed: last.duration_since(counts_from),
        latencies,
    })
}

fn micros(latency: Duration) -> u64 {
    u64::try_from(latency.as_micros())
        .unwrap_or(u64::MAX)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn load(payload_bytes: usize) -> Load {
        Load {
            callers: 1,
            payload_bytes,
            warm_up: SECOND,
            duration: SECOND,
        }
    }

    #[test]
    fn a_backlog_lasts_for_the_whole_load_within_its_bounds() {
        let pace = Pace {
            each: 1_000,
            most: 4_000,
        };
        assert_eq!(pace.backlog(1, &load(0)), 2_000);
        assert_eq!(pace.backlog(64, &load(0)), 8_000);
        assert_eq!(pace.backlog(64, &load(1 << 20)), 2_048);
        let slow = Pace { each: 1, most: 1 };
        assert_eq!(slow.backlog(8, &load(1)), 512);
    }

    #[test]
    fn only_what_was_claimed_before_the_first_worker_ran_dry_counts() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let shifts = [
            Shift {
                claims: vec![
                    (at(0), at(10)),
                    (at(1_000), at(1_100)),
                    (at(1_600), at(1_700)),
                ],
                dry_at: None,
            },
            Shift {
                claims: vec![(at(1_050), at(1_250))],
                dry_at: Some(at(1_500)),
            },
        ];
        let samples = summary(at(1_000), at(2_000), &shifts).unwrap();
        assert_eq!(samples.operations, 2);
        assert_eq!(samples.elapsed, Duration::from_millis(250));
        assert!(summary(at(1_800), at(2_000), &shifts).is_err());
    }

    #[tokio::test]
    async fn workers_end_when_there_is_nothing_and_fail_when_one_does() {
        let load = Load {
            warm_up: Duration::ZERO,
            ..load(1)
        };
        let samples = drain(&load, 2, |_| {
            let mut left = 3;
            move || {
                let claim = if left == 0 {
                    Claim::Empty
                } else {
                    Claim::Settled
                };
                left -= usize::from(claim == Claim::Settled);
                async move {
                    tokio::task::yield_now().await;
                    Ok(claim)
                }
            }
        });
        assert!((3..=6).contains(&samples.await.unwrap().operations));
        let failed = drain(&load, 1, |_| || async { bail!("refused") });
        assert_eq!(failed.await.unwrap_err().to_string(), "refused");
    }
}
