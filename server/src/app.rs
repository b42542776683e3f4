//! Start and stop: builds the server from its parts, in order, and takes it down in the reverse one.
//!
//! Start: store, engine with recovery, services, listener; the address is told only when all of that
//! works. Stop: sessions are ended if they are to be (`drain.rs`), streams told to go away, connections closed and releases
//! under way finished, engine emptied, store closed; each step has a deadline.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sessiond_core::drain::{DrainRow, DrainSessions};
use sessiond_core::limits::Policy;
use sessiond_core::session::EndReason;
use sessiond_core::time::Limit;
use sessiond_store::data_dir::OpenError;
use sessiond_store::fault::Fault;
use sessiond_store::kv::redb::Identity;
use sessiond_store::store::Store;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::checkpoint::Pace;
use crate::config::Settings;
use crate::consumers::Consumers;
use crate::dispatch::Dispatcher;
use crate::drain::{self, Asked, Drainer, Drains};
use crate::engine::{Engine, Handle, Parts};
use crate::env::Env;
use crate::exports::Exporting;
use crate::feed::Feed;
use crate::grpc;
use crate::grpc::context::{Context, Identification};
use crate::health::Health;
use crate::limits::{
    SHUTDOWN_BUDGET, STOP_CONNECTIONS_WITHIN, STOP_EXPORTS_WITHIN, STOP_LOG_WITHIN,
    STOP_RELEASES_WITHIN, STOP_STORE_WITHIN, STOP_STREAMS_WITHIN,
};
use crate::nodes::Nodes;
use crate::releaser::Bell;
use crate::room;
use crate::stopping::Stopping;
use crate::transport;
use crate::transport::tls::{Tls, Wrong};

mod background;

/// The version of this server.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Why a server did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The data directory was refused.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store could not be read.
    #[error("failed to recover from the store")]
    Recovery(#[from] Fault),
    /// No export can be written.
    #[error("failed to write into the directory for exports {}", directory.display())]
    Exports {
        /// The directory as it was set.
        directory: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The address could not be bound.
    #[error("failed to listen on {address}")]
    Listen {
        /// The address as asked for.
        address: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The files of TLS cannot be used.
    #[error("failed to use the files of [tls]")]
    Tls(Vec<Wrong>),
    /// The reflection service was not built from our descriptors.
    #[error("failed to build the reflection service")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A server that serves.
#[derive(Debug)]
pub struct Running {
    address: String,
    tls: Option<Tls>,
    stopping: Stopping,
    drainer: Arc<Drainer>,
    engine: Handle,
    engine_done: oneshot::Receiver<Result<(), Fault>>,
    logged: oneshot::Receiver<()>,
    released: oneshot::Receiver<()>,
    exported: mpsc::Receiver<Infallible>,
    served: oneshot::Receiver<()>,
}

/// How a server stopped.
#[derive(Debug)]
pub enum Stopped {
    /// Everything it had is on disk, and nobody was cut off.
    Clean,
    /// Everything it had is on disk; connections were cut that did not close in time.
    ConnectionsCut,
    /// The store failed; what was not answered may not be on disk.
    Fault(Fault),
    /// The engine did not finish in time, or died.
    Unclean,
}

/// Starts a server.
///
/// # Errors
/// [`StartError`]; nothing is left running.
pub async fn start(settings: &Settings, env: &Env) -> Result<Running, StartError> {
    let opened = env.disk.open(&settings.data_dir, &identity(env))?;
    let store = Store::new(opened.kv);
    let reader = store.reader();
    let counters = reader.snapshot()?.counters()?;
    let (pace, checkpointer) = (Pace::default(), store.checkpointer());
    let identification = Identification::new(opened.log_id, env.clock.as_ref());
    let log_id = identification.log_id.clone();
    let feed = Arc::new(Feed::new(reader.clone(), log_id, counters.revision));
    let dispatcher = Arc::new(Dispatcher::default());
    let (consumers, left) = Consumers::new(&counters);
    let exporting = Exporting::prepare(settings, env)?;
    let policy = policy(settings);
    let releases = Bell::default();
    let parts = Parts {
        policy: Arc::clone(&policy),
        clock: Arc::clone(&env.clock),
        dispatcher: Arc::clone(&dispatcher),
        feed: Arc::clone(&feed),
        consumers: consumers.clone(),
        pace: pace.clone(),
        releases: releases.clone(),
        exports: exporting.as_ref().map(Exporting::exports),
        live_sessions: settings.live_sessions,
        daily_reset: settings.calendar.daily(),
        ids: Arc::clone(&env.ids),
    };
    let (engine, handle) = Engine::new(store, parts)?;
    // Bound before anything runs, so that a taken address leaves nothing to stop.
    let (bound, address) = bind(settings, env).await?;
    let room = room_watch(settings, env, &handle).await;
    let context = Arc::new(Context {
        engine: handle.clone(),
        reader,
        feed,
        dispatcher,
        nodes: Nodes::new(env.ids.salt() >> 1, Arc::clone(&env.spawn)),
        consumers,
        env: env.clone(),
        exports: exporting.as_ref().map(Exporting::exports),
        policy,
        events: settings.events,
        namespaces: settings.namespaces.clone(),
        identification,
        stopping: Stopping::default(),
        drains: drains(settings),
        connections: connections(settings),
    });
    let routes = grpc::routes(&context, health(&context), env)?;
    let logged = background::cleanup_log(&context, counters.revision);
    let engine_done = background::engine(engine, env);
    background::checkpoints(&context, checkpointer, pace);
    let released = background::resources(settings, &context, releases);
    let exported = Exporting::run(exporting, &context, env);
    background::watches(&context, room, left);
    let tls = bound.tls();
    let served = background::transport(bound, routes, &context);
    Ok(Running {
        address,
        tls,
        stopping: context.stopping.clone(),
        drainer: Arc::new(Drainer::of(&context)),
        engine: handle,
        engine_done,
        logged,
        released,
        exported,
        served,
    })
}

/// What probes are told.
fn health(context: &Context) -> Health {
    Health::new(context.engine.clone(), context.stopping.clone())
}

/// Where calls and signals ask this server to go.
fn drains(settings: &Settings) -> Drains {
    Drains::new(drain::Terms {
        budget: settings.shutdown_budget,
        sessions: match settings.cleanup_on_shutdown {
            true => DrainSessions::End,
            false => DrainSessions::Keep,
        },
    })
}

/// The connections there are, which are none yet.
fn connections(settings: &Settings) -> transport::Register {
    let max = usize::try_from(settings.max_connections).unwrap_or(usize::MAX);
    let max_age = match settings.max_connection_age {
        Limit::After(age) => Some(Duration::from_millis(age.0)),
        Limit::Never => None,
    };
    transport::Register::new(max, max_age)
}

async fn bind(settings: &Settings, env: &Env) -> Result<(transport::Bound, String), StartError> {
    let files = settings.tls.files();
    let tls = files.map(|files| Tls::read(&files)).transpose();
    let tls = tls.map_err(StartError::Tls)?;
    let bound = transport::bind(env.network.as_ref(), &settings.listen, tls).await;
    bound.map_err(|source| StartError::Listen {
        address: settings.listen.to_string(),
        source,
    })
}

/// Whoever looks at the disk's room. It is looked at before anybody is served, so that the first call already meets a disk
/// that was.
async fn room_watch(settings: &Settings, env: &Env, engine: &Handle) -> room::Watch {
    let (disk, directory) = (Arc::clone(&env.disk), settings.data_dir.clone());
    let mut room = room::Watch::new(disk, directory, settings.min_free);
    // An engine that has ended by now is met by whoever asks it next.
    let _told = room.tell(engine).await;
    room
}

/// The limits in force.
fn policy(settings: &Settings) -> Arc<Policy> {
    Arc::new(Policy {
        export_before_purge: settings.export_before_purge.is_some(),
        ..settings.policy.clone()
    })
}

/// What a new store is marked with.
fn identity(env: &Env) -> Identity {
    Identity {
        version: VERSION.to_owned(),
        log_id: env.ids.log(),
    }
}

impl Running {
    /// The address it serves on, with the real port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its TLS, where there is any.
    #[must_use]
    pub fn tls(&self) -> Option<Tls> {
        self.tls.clone()
    }

    /// Completes when the engine has ended by itself: with the fault that ended it, or without one if
    /// it died.
    pub async fn failed(&mut self) -> Option<Fault> {
        match (&mut self.engine_done).await {
            Ok(Err(fault)) => Some(fault),
            Ok(Ok(())) | Err(_) => None,
        }
    }

    /// Where calls and signals ask this server to go.
    #[must_use]
    pub fn drains(&self) -> Drains {
        self.drainer.drains.clone()
    }

    /// Announces the drain that was asked for, if it is to be; answers when that is over, whether the server goes. False when
    /// it was called off: everything goes on as if nobody had asked.
    pub fn announced(&self, asked: Asked) -> impl Future<Output = bool> + Send + use<> {
        let drainer = Arc::clone(&self.drainer);
        async move { drainer.announce(asked).await }
    }

    /// Ends every live session for this reason, unless they are kept, and takes nothing new any more; answers with what came
    /// of it. None if that could not be done in its part of the time, or the engine has ended: the next start does the rest.
    pub async fn drain(&self, reason: EndReason, sessions: DrainSessions) -> Option<Arc<DrainRow>> {
        self.drainer.run_in_time(reason, sessions).await
    }

    /// Stops it, step by step, each within its deadline. Sessions that live by then stay live on record.
    pub async fn stop(self) -> Stopped {
        self.stop_within(Duration::from_millis(SHUTDOWN_BUDGET.0))
            .await
    }

    /// The same, in less time if there is less.
    pub async fn stop_within(self, left: Duration) -> Stopped {
        self.stopping.begin();
        // The store comes last, and must have some time too.
        let leaving = left * 3 / 5;
        let within = leaving.min(STOP_STREAMS_WITHIN + STOP_CONNECTIONS_WITHIN);
        let served = tokio::time::timeout(within, self.served);
        let within = leaving.min(STOP_RELEASES_WITHIN);
        let released = tokio::time::timeout(within, self.released);
        let (served, released) = tokio::join!(served, released);
        if released.is_err() {
            tracing::warn!("resources are still being released; the next start goes on with it");
        }
        let cut = served.is_err();
        self.engine.stop();
        let engine_done = tokio::time::timeout(STOP_STORE_WITHIN, self.engine_done).await;
        let mut exported = self.exported;
        // A file that is not whole by then is begun anew by the next start.
        drop(tokio::time::timeout(STOP_EXPORTS_WITHIN, exported.recv()).await);
        // A log that nobody reads holds up nothing.
        drop(tokio::time::timeout(STOP_LOG_WITHIN, self.logged).await);
        match engine_done {
            Ok(Ok(Ok(()))) if cut => Stopped::ConnectionsCut,
            Ok(Ok(Ok(()))) => Stopped::Clean,
            Ok(Ok(Err(fault))) => Stopped::Fault(fault),
            Ok(Err(_)) | Err(_) => Stopped::Unclean,
        }
    }
}
