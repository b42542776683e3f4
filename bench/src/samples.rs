//! The load, the samples taken under it, and the closed loop that takes them.
//!
//! Invariant: only operations begun inside the measured time count, every one of them counts, and one
//! that fails ends the measurement with its error: a rate never contains refusals. What it deliberately
//! does not do: pace callers (each begins its next operation when the last one is answered), or judge.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

/// The longest latency told apart, in microseconds; a longer one counts as this.
const LATENCY_MAX_US: u64 = 60_000_000;
/// Digits of a latency that are kept: 1 % is far below the noise, and keeps each caller's record small
/// enough to stay in the cache.
const LATENCY_DIGITS: u8 = 2;
/// How long callers may take to finish their last operation before the measurement is given up.
pub(crate) const LAST_ANSWERS_WITHIN: Duration = Duration::from_secs(60);

/// What callers do, and for how long.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// How many operations are under way at any time.
    pub(crate) callers: usize,
    /// Bytes of payload in a message.
    pub(crate) payload_bytes: usize,
    /// How long callers run before anything counts.
    pub(crate) warm_up: Duration,
    /// How long operations are begun that count.
    pub(crate) duration: Duration,
}

/// What a measurement saw.
#[derive(Debug, Clone)]
pub(crate) struct Samples {
    /// Operations begun in the measured time.
    pub(crate) operations: u64,
    /// From the first of them to the end of the last.
    pub(crate) elapsed: Duration,
    /// How long each took, in microseconds.
    pub(crate) latencies: Histogram<u64>,
}

impl Samples {
    /// Operations a second.
    pub(crate) fn rate(&self) -> f64 {
        self.operations as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The median latency.
    pub(crate) fn p50(&self) -> Duration {
        Duration::from_micros(self.latencies.value_at_quantile(0.5))
    }

    /// The latency that one operation in a hundred exceeds.
    pub(crate) fn p99(&self) -> Duration {
        Duration::from_micros(self.latencies.value_at_quantile(0.99))
    }
}

/// The measured time of one load: when it starts and ends, and what was begun in it.
///
/// For measurements that keep several operations under way in one task; [`closed_loop`] is made of it.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    counts_from: Instant,
    ends_at: Instant,
    window: Duration,
    windows: Vec<Histogram<u64>>,
}

impl Recorder {
    /// Starts the clock of `load`: its warm-up begins now.
    pub(crate) fn start(load: &Load) -> Self {
        Self::in_windows(load, load.duration)
    }

    /// The same, telling apart what was begun in each `window` of the measured time.
    pub(crate) fn in_windows(load: &Load, window: Duration) -> Self {
        let counts_from = Instant::now() + load.warm_up;
        Self {
            counts_from,
            ends_at: counts_from + load.duration,
            window: window.max(Duration::from_millis(1)),
            windows: Vec::new(),
        }
    }

    /// Whether an operation may begin at `now`.
    pub(crate) fn goes_on(&self, now: Instant) -> bool {
        now < self.ends_at
    }

    /// Whether what begins at `now` counts.
    pub(crate) fn counts(&self, now: Instant) -> bool {
        now >= self.counts_from && now < self.ends_at
    }

    /// Records an operation that began and ended so; nothing, when it began outside the measured time.
    pub(crate) fn record(&mut self, begun: Instant, ended: Instant) {
        if !self.counts(begun) {
            return;
        }
        let since = begun.duration_since(self.counts_from);
        let index = (since.as_nanos() / self.window.as_nanos()) as usize;
        while self.windows.len() <= index {
            self.windows.push(latencies());
        }
        let took = ended.saturating_duration_since(begun).as_micros();
        self.windows[index].saturating_record(u64::try_from(took).unwrap_or(LATENCY_MAX_US).max(1));
    }

    /// Adds what another caller of the same load recorded.
    fn merge(&mut self, other: &Self) -> Result<()> {
        while self.windows.len() < other.windows.len() {
            self.windows.push(latencies());
        }
        for (mine, theirs) in self.windows.iter_mut().zip(&other.windows) {
            mine.add(theirs).context("failed to add latencies")?;
        }
        Ok(())
    }

    /// What was recorded in all; the last operation ends now.
    ///
    /// # Errors
    /// When nothing was: a rate of nothing is a mistake in the harness or a system that hangs.
    pub(crate) fn finish(self) -> Result<Samples> {
        let elapsed = self.counts_from.elapsed();
        let mut all = latencies();
        for window in &self.windows {
            all.add(window).context("failed to add latencies")?;
        }
        ensure!(!all.is_empty(), "no operation began in the measured time");
        Ok(Samples {
            operations: all.len(),
            elapsed,
            latencies: all,
        })
    }

    /// What was recorded, window by window; a window is as long as it was told to be.
    fn finish_windows(self) -> Vec<Samples> {
        let elapsed = self.window;
        let samples = self.windows.into_iter().map(|latencies| Samples {
            operations: latencies.len(),
            elapsed,
            latencies,
        });
        samples.collect()
    }
}

/// An empty record of latencies, in microseconds.
pub(crate) fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX_US, LATENCY_DIGITS)
        .expect("the bounds and the digits are constants that the histogram takes")
}

/// `callers` tasks, each repeating its own operation until the time is over; only operations begun after
/// the warm-up count. `caller` makes the operation of the caller with that index.
///
/// # Errors
/// The first operation's that failed, and one when callers do not end in time or nothing counted.
pub(crate) async fn closed_loop<Op, Fut>(
    load: &Load,
    caller: impl Fn(usize) -> Op,
) -> Result<Samples>
where
    Op: FnMut() -> Fut + Send + 'static,
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    run(load, Recorder::start(load), caller).await?.finish()
}

/// The same, told apart by when operations began, in windows of this length.
///
/// # Errors
/// As [`closed_loop`], except that windows without an operation are no error.
pub(crate) async fn closed_loop_windows<Op, Fut>(
    load: &Load,
    window: Duration,
    caller: impl Fn(usize) -> Op,
) -> Result<Vec<Samples>>
where
    Op: FnMut() -> Fut + Send + 'static,
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    let recorder = Recorder::in_windows(load, window);
    Ok(run(load, recorder, caller).await?.finish_windows())
}

async fn run<Op, Fut>(
    load: &Load,
    recorder: Recorder,
    caller: impl Fn(usize) -> Op,
) -> Result<Recorder>
where
    Op: FnMut() -> Fut + Send + 'static,
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    let mut callers = JoinSet::new();
    for index in 0..load.callers {
        callers.spawn(repeat(recorder.clone(), caller(index)));
    }
    let within = load.warm_up + load.duration + LAST_ANSWERS_WITHIN;
    tokio::time::timeout(within, join_all(recorder, callers))
        .await
        .context("callers did not end: an operation got no answer")?
}

/// Dropping the set on the first error ends the other callers.
async fn join_all(mut all: Recorder, mut callers: JoinSet<Result<Recorder>>) -> Result<Recorder> {
    while let Some(ended) = callers.join_next().await {
        all.merge(&ended.context("a caller died")??)?;
    }
    Ok(all)
}

async fn repeat<Op, Fut>(mut recorder: Recorder, mut operation: Op) -> Result<Recorder>
where
    Op: FnMut() -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let mut now = Instant::now();
    while recorder.goes_on(now) {
        let begun = now;
        operation().await?;
        now = Instant::now();
        recorder.record(begun, now);
    }
    Ok(recorder)
}

/// Does `operation` once for each item, `callers` at a time, as fast as it goes; answers with what came
/// of them, in no order. Every operation counts.
///
/// # Errors
/// The first operation's that failed, and one when there is nothing to do.
pub(crate) async fn each_once<T, R, Fut>(
    callers: usize,
    items: Vec<T>,
    operation: impl Fn(T) -> Fut + Clone + Send + 'static,
) -> Result<(Vec<R>, Samples)>
where
    T: Send + 'static,
    R: Send + 'static,
    Fut: Future<Output = Result<R>> + Send + 'static,
{
    let mut shares: Vec<Vec<T>> = (0..callers).map(|_| Vec::new()).collect();
    for (index, item) in items.into_iter().enumerate() {
        shares[index % callers].push(item);
    }
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for share in shares {
        tasks.spawn(one_by_one(share, operation.clone()));
    }
    let mut all = latencies();
    let mut results = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        let (some, taken) = ended.context("a caller died")??;
        results.extend(some);
        all.add(taken).context("failed to add latencies")?;
    }
    ensure!(!all.is_empty(), "there was nothing to do");
    let samples = Samples {
        operations: all.len(),
        elapsed: begun.elapsed(),
        latencies: all,
    };
    Ok((results, samples))
}

/// One caller's share; an operation without an answer ends it.
async fn one_by_one<T, R, Fut>(
    items: Vec<T>,
    operation: impl Fn(T) -> Fut,
) -> Result<(Vec<R>, Histogram<u64>)>
where
    Fut: Future<Output = Result<R>>,
{
    let mut taken = latencies();
    let mut results = Vec::with_capacity(items.len());
    for item in items {
        let begun = Instant::now();
        let answer = tokio::time::timeout(LAST_ANSWERS_WITHIN, operation(item));
        results.push(answer.await.context("an operation got no answer")??);
        taken.saturating_record(
            u64::try_from(begun.elapsed().as_micros()).unwrap_or(LATENCY_MAX_US),
        );
    }
    Ok((results, taken))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use anyhow::bail;

    use super::*;

    fn load(callers: usize, warm_up_ms: u64, duration_ms: u64) -> Load {
        Load {
            callers,
            payload_bytes: 0,
            warm_up: Duration::from_millis(warm_up_ms),
            duration: Duration::from_millis(duration_ms),
        }
    }

    #[tokio::test]
    async fn every_operation_after_the_warm_up_counts_and_none_before() {
        let done = Arc::new(AtomicU64::new(0));
        let load_of_three = load(3, 0, 20);
        let samples = closed_loop(&load_of_three, |_| {
            let done = Arc::clone(&done);
            move || {
                let done = Arc::clone(&done);
                async move {
                    done.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                    Ok(())
                }
            }
        });
        let samples = samples.await.unwrap();
        assert_eq!(samples.operations, done.load(Ordering::Relaxed));
        assert_eq!(samples.operations, samples.latencies.len());
        assert!(samples.rate() > 0.0);

        let load = load(1, 1_000, 1_000);
        let mut recorder = Recorder::start(&load);
        let start = recorder.counts_from;
        let second = Duration::from_secs(1);
        recorder.record(start - Duration::from_nanos(1), start + second);
        recorder.record(start, start + Duration::from_micros(50));
        recorder.record(start + second, start + second);
        assert_eq!(recorder.finish().unwrap().operations, 1);
    }

    #[tokio::test]
    async fn a_failed_operation_fails_the_measurement() {
        let long = load(2, 0, 60_000);
        let error = closed_loop(&long, |index| {
            move || async move {
                if index == 1 {
                    bail!("refused");
                }
                tokio::task::yield_now().await;
                Ok(())
            }
        });
        assert_eq!(error.await.unwrap_err().to_string(), "refused");
    }

    #[tokio::test]
    async fn each_item_is_taken_once() {
        let (mut taken, samples) = each_once(3, (0..10).collect(), |item: u32| async move {
            tokio::task::yield_now().await;
            Ok(item)
        })
        .await
        .unwrap();
        taken.sort_unstable();
        assert_eq!(taken, (0..10).collect::<Vec<_>>());
        assert_eq!(samples.operations, 10);

        let refused = each_once(3, vec![1, 2], |_: u32| async { bail!("refused") });
        let refused: Result<(Vec<()>, Samples)> = refused.await;
        assert_eq!(refused.unwrap_err().to_string(), "refused");
    }

    #[test]
    fn nothing_measured_is_an_error_not_a_rate() {
        assert!(Recorder::start(&load(1, 0, 10)).finish().is_err());
    }

    #[test]
    fn windows_are_told_apart_by_when_an_operation_began() {
        let load = load(1, 0, 3_000);
        let mut recorder = Recorder::in_windows(&load, Duration::from_secs(1));
        let start = recorder.counts_from;
        let at = |ms| start + Duration::from_millis(ms);
        recorder.record(at(999), at(2_500));
        recorder.record(at(2_000), at(2_001));
        let windows: Vec<u64> = recorder
            .finish_windows()
            .iter()
            .map(|samples| samples.operations)
            .collect();
        assert_eq!(windows, [1, 0, 1]);
    }
}
