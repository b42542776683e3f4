//! How each path is measured, one file a family.
//!
//! Invariant: every measurement starts its own server on an empty directory, so that none depends on
//! what ran before it. What it deliberately does not do: choose, repeat or compare.

use std::sync::Arc;

use anyhow::{Result, bail, ensure};

use crate::caller::{Caller, ids_of_nobody};
use crate::path::{Path, System};
use crate::samples::{Load, Samples};
use crate::scale::Scale;
use crate::server::{Places, Server};

mod crowd;
mod end_all;
mod endurance;
mod enqueue;
mod event_count;
mod fan_out;
mod idle_sessions;
mod idle_watchers;
mod open_end;
mod over_time;
mod pipeline;
mod restart;
mod stream;
mod wake;
mod watchers;
mod work;
mod work_stream;
mod worker;

/// What one measurement found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// Rate and latencies, where the path has them.
    pub(crate) samples: Option<Samples>,
    /// Everything else, by name; the unit is the last part of the name.
    pub(crate) facts: Vec<(&'static str, f64)>,
}

impl From<Samples> for Outcome {
    fn from(samples: Samples) -> Self {
        Self {
            samples: Some(samples),
            facts: Vec::new(),
        }
    }
}

impl Outcome {
    /// An outcome without a rate.
    fn facts(facts: Vec<(&'static str, f64)>) -> Self {
        Self {
            samples: None,
            facts,
        }
    }
}

/// What measurements need to know.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) scale: Scale,
    pub(crate) places: Places,
}

impl Plan {
    /// The load of a path with this many callers.
    pub(crate) fn load(&self, path: Path, callers: usize) -> Load {
        Load {
            callers,
            payload_bytes: path.payload(),
            warm_up: self.scale.warm_up,
            duration: self.scale.duration,
        }
    }
}

/// Measures a path once on sessiond, watched or not, or on the no-op server.
///
/// # Errors
/// Whatever an operation answers that is not what it should be.
pub(crate) async fn measure(plan: &Plan, path: Path, system: System) -> Result<Outcome> {
    ensure!(
        path.systems().contains(&system),
        "{} has no {path}",
        system.name()
    );
    let load = |callers| plan.load(path, callers);
    let stored = plan.scale.stored;
    match path {
        Path::Enqueue {
            callers, regime, ..
        } => enqueue::measure(plan, &load(callers), system, regime).await,
        Path::EnqueueBesideStored { stored: times } => {
            enqueue::measure_beside(plan, &load(64), times.of(stored.messages)).await
        }
        Path::Stream { in_flight, regime } => {
            stream::measure(plan, &load(in_flight), system, regime).await
        }
        Path::Work { credit } => work::measure(plan, &load(credit)).await,
        Path::Wake => wake::measure(plan, &load(1)).await,
        Path::Open { callers } => open_end::open(plan, &load(callers)).await,
        Path::End { callers } => open_end::end(plan, &load(callers)).await,
        Path::FanOut { audience, filter } => fan_out::measure(plan, audience, filter).await,
        Path::IdleWatchers => idle_watchers::measure(plan, &load(64), system).await,
        Path::EndAll => end_all::measure(plan).await,
        Path::IdleSessions { stored: times } => {
            idle_sessions::measure(plan, times.of(stored.sessions)).await
        }
        Path::Restart { stored: times } => {
            restart::measure(plan, &load(1), times.of(stored.restart_messages)).await
        }
        Path::OverTime => over_time::measure(plan, &load(64)).await,
        Path::Endurance => endurance::measure(plan, &load(1_024)).await,
    }
}

/// What a measurement runs against, started for it alone.
#[derive(Debug)]
struct Target {
    /// Kept so that it lives as long as the measurement.
    server: Server,
    caller: Caller,
    /// Where messages go.
    sessions: Arc<[String]>,
}

/// Starts sessiond with open sessions, or the no-op server, and connects to it.
async fn start(plan: &Plan, system: System) -> Result<Target> {
    match system {
        System::Sessiond | System::SessiondWatched => {
            let server = Server::sessiond(&plan.places, &[]).await?;
            let caller = Caller::connect(server.address()).await?;
            let sessions = caller.open_sessions().await?;
            Ok(Target {
                server,
                caller,
                sessions,
            })
        }
        System::Noop => {
            let server = Server::noop(&plan.places).await?;
            let caller = Caller::connect(server.address()).await?;
            Ok(Target {
                server,
                caller,
                sessions: ids_of_nobody(),
            })
        }
        System::Peer(kind) => bail!("{kind} is asked by its own means"),
    }
}
