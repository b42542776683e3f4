//! A real server in this process, reached over the wire, whose clock stands still until a test moves it.
//!
//! Everything but time is real: the engine on its thread, the store on its disk, gRPC on a port. So a promised instant is
//! met exactly: nothing happens a millisecond before it, and it has happened when [`Simulated::advance`] returns. It
//! cannot be killed; `server.rs` has a server for that. Deadlines of the edge (long polls, heartbeats, bookmarks) stay
//! real.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sessiond::app::{self, Running};
use sessiond::config::{Log, Settings};
use sessiond::env::{Clock, Disk, Env, Machine};
use sessiond::logging::LogFormat;
use sessiond_core::ids::Namespace;
use sessiond_core::limits::Policy;
use sessiond_core::time::WallTime;
use sessiond_proto::v1 as pb;
use tempfile::TempDir;

use crate::caller::Caller;
use crate::scripted_agent::ScriptedAgent;
use crate::scripted_files::ScriptedFiles;

/// Where the wall clock stands when the first server of a test starts: 2026-03-01 12:00 UTC.
pub const STARTS_AT_MS: u64 = 1_772_366_400_000;

/// Looks at what is due, after which something must have come to rest.
const LOOKS_MAX: usize = 100_000;

/// The hands of both clocks.
#[derive(Debug)]
struct Hands {
    monotonic: AtomicU64,
    wall: AtomicU64,
}

impl Clock for Hands {
    fn monotonic_ms(&self) -> u64 {
        self.monotonic.load(Ordering::SeqCst)
    }

    fn wall(&self) -> WallTime {
        WallTime(self.wall.load(Ordering::SeqCst))
    }
}

/// A server whose time is in the test's hands.
#[derive(Debug)]
pub struct Simulated {
    hands: Arc<Hands>,
    env: Env,
    settings: Settings,
    running: Option<Running>,
    caller: Caller,
    /// Removes the directory when it is dropped.
    _temporary: TempDir,
}

impl Simulated {
    /// A server with the default limits.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A server with other limits.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start_with(change: impl FnOnce(&mut Policy)) -> Self {
        Self::start_in(Machine::env(), change, |_, _| {}).await
    }

    /// A server with other limits, whose releases do what a script says.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start_with_agent(agent: &ScriptedAgent, change: impl FnOnce(&mut Policy)) -> Self {
        let env = Env {
            agent: Arc::new(agent.clone()),
            ..Machine::env()
        };
        Self::start_in(env, change, |_, _| {}).await
    }

    /// A server with other limits, on a disk that may have little room.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start_on(disk: Arc<dyn Disk>, change: impl FnOnce(&mut Policy)) -> Self {
        let env = Env {
            disk,
            ..Machine::env()
        };
        Self::start_in(env, change, |_, _| {}).await
    }

    /// A server with other limits that exports sessions before they are purged, on a disk that may have little room, into
    /// files that may fail.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start_exporting(
        files: &ScriptedFiles,
        disk: Arc<dyn Disk>,
        change: impl FnOnce(&mut Policy),
    ) -> Self {
        let env = Env {
            disk,
            exports: Arc::new(files.clone()),
            ..Machine::env()
        };
        Self::start_in(env, change, |settings, directory| {
            settings.export_before_purge = Some(directory.join("exports"));
        })
        .await
    }

    async fn start_in(
        env: Env,
        change: impl FnOnce(&mut Policy),
        set: impl FnOnce(&mut Settings, &Path),
    ) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary directory can be made");
        let mut policy = Policy::default();
        change(&mut policy);
        let namespace = Namespace::parse(sessiond_proto::DEFAULT_NAMESPACE).expect("a name");
        let mut settings = Settings {
            data_dir: temporary.path().join("data"),
            listen: "127.0.0.1:0".parse().expect("an address"),
            namespaces: [namespace].into(),
            log: Log {
                level: "off".to_owned(),
                format: LogFormat::default(),
            },
            policy,
            ..Settings::default()
        };
        let hands = Arc::new(Hands {
            monotonic: AtomicU64::new(0),
            wall: AtomicU64::new(STARTS_AT_MS),
        });
        set(&mut settings, temporary.path());
        let env = Env {
            clock: Arc::clone(&hands) as Arc<dyn Clock>,
            ..env
        };
        let (running, caller) = serve(&settings, &env).await;
        Self {
            hands,
            env,
            settings,
            running: Some(running),
            caller,
            _temporary: temporary,
        }
    }

    /// Its data directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.settings.data_dir
    }

    /// The directory of its exports.
    ///
    /// # Panics
    /// If it has none.
    #[must_use]
    pub fn exports(&self) -> &Path {
        let directory = self.settings.export_before_purge.as_deref();
        directory.expect("it exports sessions before they are purged")
    }

    /// A caller of the server that runs now.
    #[must_use]
    pub fn caller(&self) -> Caller {
        self.caller.clone()
    }

    /// Lets time pass, on both clocks and in one step, and waits until everything is done that came due.
    pub async fn advance(&self, span: Duration) {
        let ms = u64::try_from(span.as_millis()).expect("tests are short");
        self.hands.monotonic.fetch_add(ms, Ordering::SeqCst);
        self.hands.wall.fetch_add(ms, Ordering::SeqCst);
        self.settle().await;
    }

    /// Moves the wall clock alone, as a person or a time server does.
    pub async fn step_wall(&self, ms: i64) {
        let step = |wall: u64| Some(wall.saturating_add_signed(ms));
        let stepped = self
            .hands
            .wall
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, step);
        stepped.expect("every step is taken");
        self.settle().await;
    }

    /// Waits until nothing is left to do at this instant.
    ///
    /// # Panics
    /// If the server does not come to rest.
    pub async fn settle(&self) {
        let mut before = None;
        for _ in 0..LOOKS_MAX {
            // Any question has the engine look at what is due; it is answered after the commit of that.
            let asked = pb::ListWorkersRequest::default();
            self.caller.list_workers(asked).await.expect("a list");
            let stats = self.caller.stats(pb::GetStatsRequest::default()).await;
            let engine = stats.expect("the server counts").engine.expect("counts");
            if before == Some(engine.commits) {
                return;
            }
            before = Some(engine.commits);
        }
        panic!("something is due again and again");
    }

    /// Stops the server in order and starts another on the same data; no time passes meanwhile.
    ///
    /// # Panics
    /// If it does not start again.
    pub async fn restart(&mut self) {
        self.restart_after(|_| {}).await;
    }

    /// The same, with something done to the data directory in between.
    ///
    /// # Panics
    /// If it does not start again.
    pub async fn restart_after(&mut self, meanwhile: impl FnOnce(&Path)) {
        let running = self.running.take().expect("it runs");
        running.stop().await;
        meanwhile(&self.settings.data_dir);
        let (running, caller) = serve(&self.settings, &self.env).await;
        self.running = Some(running);
        self.caller = caller;
    }
}

async fn serve(settings: &Settings, env: &Env) -> (Running, Caller) {
    let running = app::start(settings, env).await.expect("it starts");
    let caller = Caller::at(&format!("http://{}", running.address())).await;
    (running, caller)
}
