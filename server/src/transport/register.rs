//! The connections there are, how many that may be, and which one gives way.
//!
//! When there are as many as there may be, the newcomer takes the place of the one on which no call has been open for longest:
//! so whoever opens connections and says nothing keeps nobody out. Only where each of them has a call is it refused. Invariant:
//! a place is held from accept to close and counts once; one that gave way counts no longer. What this deliberately does not
//! do: close anything; whoever serves a connection does that.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::max_age::spread;

/// The connections there are; shared.
#[derive(Clone, Debug)]
pub struct Register(Arc<Shared>);

/// What became of connections so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Those that are open and have a place.
    pub(crate) open: u64,
    /// Those that were given one.
    pub(crate) admitted: u64,
    /// Those of them whose place went to a newcomer.
    pub(crate) displaced: u64,
    /// Those that were given none.
    pub(crate) refused: u64,
}

#[derive(Debug)]
struct Shared {
    max: usize,
    max_age: Option<Duration>,
    /// What times are counted from.
    start: Instant,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// By their numbers, which ascend.
    connections: BTreeMap<u64, Arc<Use>>,
    /// How many were given a place, which is also the number of the next one.
    admitted: u64,
    displaced: u64,
    refused: u64,
}

/// What a connection is used for.
#[derive(Debug)]
struct Use {
    start: Instant,
    /// Calls that are open on it.
    calls: AtomicUsize,
    /// Since when there are none, in milliseconds from `start`.
    idle_since_ms: AtomicU64,
    gives_way: CancellationToken,
}

/// The place of one connection; dropping it gives it up.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    usage: Arc<Use>,
    old_at: Option<Instant>,
    register: Register,
}

/// Counts the calls of one connection.
#[derive(Clone, Debug)]
pub(super) struct Calls(Arc<Use>);

/// A call that is open, until it is dropped.
#[derive(Debug)]
pub(super) struct Call(Arc<Use>);

impl Register {
    /// With room for so many, of which each may be about so old; none: of any age.
    #[must_use]
    pub fn new(max: usize, max_age: Option<Duration>) -> Self {
        Self(Arc::new(Shared {
            max,
            max_age,
            start: Instant::now(),
            open: Mutex::default(),
        }))
    }

    /// A place for a newcomer; none if there is none and every connection has a call.
    pub(super) fn admit(&self) -> Option<Place> {
        let mut open = self.open();
        if open.connections.len() >= self.0.max {
            let idle = open.connections.iter();
            let idle = idle.filter(|(_, usage)| usage.calls.load(Ordering::Acquire) == 0);
            let longest = idle.min_by_key(|(_, usage)| usage.idle_since_ms.load(Ordering::Acquire));
            let Some(number) = longest.map(|(number, _)| *number) else {
                open.refused += 1;
                return None;
            };
            if let Some(gone) = open.connections.remove(&number) {
                gone.gives_way.cancel();
                open.displaced += 1;
            }
        }
        let usage = Arc::new(Use {
            start: self.0.start,
            calls: AtomicUsize::new(0),
            idle_since_ms: AtomicU64::new(milliseconds(self.0.start.elapsed())),
            gives_way: CancellationToken::new(),
        });
        let number = open.admitted;
        open.admitted += 1;
        open.connections.insert(number, Arc::clone(&usage));
        Some(Place {
            number,
            usage,
            old_at: self.0.max_age.map(|age| Instant::now() + spread(age)),
            register: self.clone(),
        })
    }

    /// How many there may be.
    pub(super) fn max(&self) -> usize {
        self.0.max
    }

    /// What became of connections so far.
    pub(crate) fn counts(&self) -> Counts {
        let open = self.open();
        Counts {
            open: open.connections.len() as u64,
            admitted: open.admitted,
            displaced: open.displaced,
            refused: open.refused,
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // Nothing that is done under this lock panics half way.
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.register.open().connections.remove(&self.number);
    }
}

impl Place {
    /// Completes when its connection has reached its age.
    pub(super) async fn is_old(&self) {
        match self.old_at {
            Some(old_at) => sleep_until(old_at).await,
            None => std::future::pending().await,
        }
    }

    /// Counts the calls of its connection.
    pub(super) fn calls(&self) -> Calls {
        Calls(Arc::clone(&self.usage))
    }

    /// Completes when it was given to somebody else.
    pub(super) async fn given_away(&self) {
        self.usage.gives_way.cancelled().await;
    }

    /// Completes when no call has been open for so long, beginning now at the earliest.
    pub(super) async fn idle_for(&self, long: Duration) {
        let from = Instant::now();
        loop {
            if self.usage.calls.load(Ordering::Acquire) > 0 {
                sleep(long).await;
                continue;
            }
            let since = self.usage.idle_since_ms.load(Ordering::Acquire);
            let since = self.usage.start + Duration::from_millis(since);
            let at = since.max(from) + long;
            if at <= Instant::now() {
                return;
            }
            sleep_until(at).await;
        }
    }
}

impl Calls {
    /// One more is open until what is returned is dropped.
    pub(super) fn begin(&self) -> Call {
        self.0.calls.fetch_add(1, Ordering::AcqRel);
        Call(Arc::clone(&self.0))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let now = milliseconds(self.0.start.elapsed());
        self.0.idle_since_ms.store(now, Ordering::Release);
        self.0.calls.fetch_sub(1, Ordering::AcqRel);
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn has_given_way(place: &Place) -> bool {
        place.usage.gives_way.is_cancelled()
    }

    async fn later() {
        advance(Duration::from_secs(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_was_idle_for_longest_gives_way() {
        let register = Register::new(3, None);
        let first = register.admit().expect("room");
        later().await;
        let second = register.admit().expect("room");
        let third = register.admit().expect("room");
        later().await;
        // The first was used last.
        drop(first.calls().begin());
        let busy = second.calls().begin();
        let fourth = register.admit().expect("the third gives way");
        assert!(has_given_way(&third));
        assert!(!has_given_way(&first) && !has_given_way(&second));
        // Its own end takes away nobody's place.
        drop(third);
        let also_busy = (first.calls().begin(), fourth.calls().begin());
        assert!(register.admit().is_none(), "all have calls");
        drop(busy);
        register.admit().expect("the second gives way");
        assert!(has_given_way(&second));
        drop(also_busy);
        let counts = Counts {
            open: 2,
            admitted: 5,
            displaced: 2,
            refused: 1,
        };
        // The last one left at once.
        assert_eq!(register.counts(), counts);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_makes_room() {
        let register = Register::new(1, None);
        let place = register.admit().expect("room");
        let call = place.calls().begin();
        assert!(register.admit().is_none());
        drop((call, place));
        assert!(register.admit().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn idle_begins_when_the_last_call_is_over() {
        let register = Register::new(1, None);
        let place = register.admit().expect("room");
        let calls = place.calls();
        let start = Instant::now();
        let (one, other) = (calls.begin(), calls.begin());
        let end = async {
            advance(Duration::from_secs(7)).await;
            drop(one);
            advance(Duration::from_secs(8)).await;
            drop(other);
        };
        tokio::join!(end, place.idle_for(Duration::from_secs(10)));
        assert_eq!(start.elapsed().as_secs(), 25);
    }
}
