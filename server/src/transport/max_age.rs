//! The age at which a connection is closed: so that connections spread over servers, and whoever is let in is looked at again.
//!
//! The connection takes no new calls first, and then the streams on it are told, so that whoever comes back comes on another
//! one. Invariant: it comes once and stays. What this deliberately does not do: end anything; streams do when they are told,
//! and the connection is closed when they have.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic::Request;

/// How much sooner or later than the others one connection reaches its age, in percent: those that were made together do
/// not come back together.
const SPREAD_PERCENT: u64 = 10;

/// Whether the connection of a call has reached its age.
#[derive(Clone, Debug, Default)]
pub(crate) struct MaxAge(CancellationToken);

impl MaxAge {
    /// That of the connection on which a call came; without one it is never reached.
    pub(crate) fn of<T>(request: &Request<T>) -> Self {
        request.extensions().get().cloned().unwrap_or_default()
    }

    /// Tells everybody.
    pub(super) fn reach(&self) {
        self.0.cancel();
    }

    /// Whether it is reached.
    pub(crate) fn is_reached(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Completes when it is.
    pub(crate) async fn reached(&self) {
        self.0.cancelled().await;
    }
}

/// The age of one connection, near to what is set.
pub(super) fn spread(age: Duration) -> Duration {
    let percent = fastrand::u64(100 - SPREAD_PERCENT..=100 + SPREAD_PERCENT);
    let millis = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(millis.saturating_mul(percent) / 100)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ages_are_spread_by_a_tenth() {
        let age = Duration::from_secs(3_600);
        let ages: BTreeSet<u64> = (0..10_000).map(|_| spread(age).as_secs()).collect();
        assert_eq!(ages.first(), Some(&3_240));
        assert_eq!(ages.last(), Some(&3_960));
        assert_eq!(ages.len(), 21, "each percent");
    }
}
