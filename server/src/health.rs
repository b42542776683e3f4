//! Health: liveness says that the engine gets on, readiness that new work is welcome.
//!
//! The empty name is liveness: it turns NOT_SERVING when a batch hangs, be it in a commit or before or behind one, and
//! stays SERVING while the server stops, so that nobody kills it in the middle. The service names are readiness: they
//! turn first thing in a stop. Neither says whether anybody does the work: a server without workers must still take
//! messages. That is told by GetStats, in `work`.

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::engine::Handle;
use crate::limits::{ENGINE_STUCK_AFTER, HEALTH_EVERY};
use crate::stopping::Stopping;

/// The services whose readiness is told.
pub const READINESS: [&str; 3] = [
    "sessiond.v1.SessionService",
    "sessiond.v1.WorkerService",
    "sessiond.v1.MessageService",
];

/// What health is judged by.
#[derive(Clone, Debug)]
pub struct Health {
    engine: Handle,
    stopping: Stopping,
}

impl Health {
    /// Health of an engine.
    #[must_use]
    pub fn new(engine: Handle, stopping: Stopping) -> Self {
        Self { engine, stopping }
    }

    /// Whether the engine gets on.
    #[must_use]
    pub fn live(&self) -> bool {
        let age = self
            .engine
            .progress()
            .batch_age(self.engine.clock().monotonic_ms());
        // An engine that has finished because the server stops is no reason to kill it in the middle.
        let runs = self.engine.is_running() || self.stopping.has_begun();
        runs && age < ENGINE_STUCK_AFTER
    }

    /// Whether new work is welcome.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.live() && !self.stopping.is_draining()
    }

    /// Keeps the health service told until the server is gone.
    pub async fn report(self, reporter: HealthReporter) {
        let mut told = None;
        loop {
            let state = (self.live(), self.ready());
            if told != Some(state) {
                let (live, ready) = state;
                reporter.set_service_status("", status(live)).await;
                for service in READINESS {
                    reporter.set_service_status(service, status(ready)).await;
                }
                told = Some(state);
            }
            // Whichever comes first: a stop is told at once, everything else at the next look.
            tokio::select! {
                () = tokio::time::sleep(HEALTH_EVERY) => {}
                () = self.stopping.draining(), if state.1 => {}
            }
        }
    }
}

fn status(good: bool) -> ServingStatus {
    if good {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    }
}
