//! The seams to the world: clocks, ids, disk, network, spawning and signalling, each passed in.
//!
//! The server reads no clock, draws no id, opens no file, starts no task and ends no process but through here, so that
//! all of it can run under a simulator.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use sessiond_core::ids::SessionId;
use sessiond_core::resource::{Attempt, ResourceToken, Target};
use sessiond_core::time::{Span, WallTime};
use sessiond_store::data_dir::{self, OpenError};
use sessiond_store::kv::Kv;
use sessiond_store::kv::redb::Identity;
use sessiond_store::space::{self, Space};

use crate::exports::files::{ExportFiles, LocalFiles};
use crate::limits::{RELEASE_GRACE_DEFAULT, RELEASE_VERIFY_DEFAULT};
use crate::local_agent::LocalAgent;

/// All seams.
#[derive(Clone, Debug)]
pub struct Env {
    /// Reads time.
    pub clock: Arc<dyn Clock>,
    /// Draws ids.
    pub ids: Arc<dyn Ids>,
    /// Opens the store, and says how much room there is.
    pub disk: Arc<dyn Disk>,
    /// Listens.
    pub network: Arc<dyn Network>,
    /// Starts tasks and threads.
    pub spawn: Arc<dyn Spawn>,
    /// Ends what sessions have outside.
    pub agent: Arc<dyn Agent>,
    /// Keeps exports of sessions.
    pub exports: Arc<dyn ExportFiles>,
}

/// Ends what sessions have outside, and says whether it is there. All of it blocks, for as long as its terms say.
pub trait Agent: Send + Sync + Debug {
    /// Ends a resource and sees that it is gone.
    fn release(&self, token: ResourceToken, target: &Target, terms: &ReleaseTerms) -> Attempt;
    /// Whether a resource is there that was registered: what it turned out to be, or anything else that carries its mark.
    fn presence(&self, token: ResourceToken, target: &Target, terms: &ReleaseTerms) -> Presence;
    /// The processes that carry the mark of any resource; none if that cannot be told.
    fn marked(&self) -> Vec<Marked>;
    /// Finds out what is meant by somebody who names it, and whether they may have it ended some day.
    fn register(&self, sought: &Sought, proof: Proof) -> Result<Target, Unregistered>;
}

/// What is to be a resource, as its caller names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sought {
    /// A process by its number, which is more than zero.
    Process(i32),
    /// A tmux session.
    Tmux {
        /// The socket of its server; none is the one that tmux takes by default.
        socket: Option<PathBuf>,
        /// Its exact name.
        name: String,
    },
}

/// What entitles a caller to have something registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The resource that was declared, whose mark it carries.
    pub marker: Option<ResourceToken>,
    /// Who asks.
    pub caller: LocalCaller,
}

/// Who asks, as far as the connection tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalCaller {
    /// The user of this process: it could end anyway what it names.
    SameUser,
    /// Anybody.
    Unknown,
}

/// Why something is not registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unregistered {
    /// The caller may not: why, and what to do.
    NotEntitled {
        /// In words.
        why: String,
    },
    /// It cannot be a resource, or is not there.
    Unfit {
        /// The field of the request that is wrong.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

/// A process that carries the mark of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    /// Its number.
    pub pid: u32,
    /// Clock ticks from boot to its start.
    pub start_ticks: u64,
    /// The mark.
    pub marker: String,
}

/// How a release goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReleaseTerms {
    /// How long a tree of processes has to end by itself once it was asked to.
    pub grace: Span,
    /// How long it is waited for after it was killed.
    pub verify: Span,
    /// Whether a process may be ended that only its number and the tick of its start tell from others.
    pub weak_identities: bool,
}

impl Default for ReleaseTerms {
    fn default() -> Self {
        Self {
            grace: RELEASE_GRACE_DEFAULT,
            verify: RELEASE_VERIFY_DEFAULT,
            weak_identities: false,
        }
    }
}

/// Whether a resource is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    There,
    /// It is not, or something else is in its place.
    Gone,
    /// That cannot be told.
    Unknown,
}

/// Reads time.
pub trait Clock: Send + Sync + Debug {
    /// Milliseconds since some fixed instant; never goes back, stands still in suspend.
    fn monotonic_ms(&self) -> u64;
    /// The machine's idea of the time of day.
    fn wall(&self) -> WallTime;
}

/// Draws ids.
pub trait Ids: Send + Sync + Debug {
    /// A new session id, unique and sortable by time.
    fn session(&self) -> SessionId;
    /// The identity of a new log.
    fn log(&self) -> [u8; 16];
    /// A number drawn at random, by which the resources of one store are told from those of another.
    fn salt(&self) -> u64;
}

/// Opens the store, and says how much room there is. All of it may wait for the disk.
pub trait Disk: Send + Sync + Debug {
    /// Opens the store in `directory`, creating it if there is none. On a full disk the ballast is removed first.
    fn open(&self, directory: &Path, identity: &Identity) -> Result<Opened, OpenError>;
    /// How much room the file system of an open store has.
    fn space(&self, directory: &Path) -> io::Result<Space>;
    /// Makes the ballast of an open store, unless it is there.
    fn lay_ballast(&self, directory: &Path) -> io::Result<()>;
}

/// An open store.
#[derive(Debug)]
pub struct Opened {
    /// Its tables.
    pub kv: Arc<dyn Kv>,
    /// The identity of its log.
    pub log_id: [u8; 16],
}

/// Listens.
pub trait Network: Send + Sync + Debug {
    /// Binds a TCP address.
    fn listen(
        &self,
        address: std::net::SocketAddr,
    ) -> BoxFuture<'static, io::Result<tokio::net::TcpListener>>;
}

/// Starts tasks and threads.
pub trait Spawn: Send + Sync + Debug {
    /// Runs a future beside the others.
    fn task(&self, name: &'static str, task: BoxFuture<'static, ()>);
    /// Runs a future that waits for the disk, on a thread of its own where it blocks nobody.
    fn thread(&self, name: &'static str, task: BoxFuture<'static, ()>);
}

/// The real machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    start: Instant,
}

impl Machine {
    /// Seams onto the real machine, for the current tokio runtime.
    #[must_use]
    pub fn env() -> Env {
        let machine = Self {
            start: Instant::now(),
        };
        Env {
            clock: Arc::new(machine),
            ids: Arc::new(machine),
            disk: Arc::new(machine),
            network: Arc::new(machine),
            spawn: Arc::new(machine),
            agent: Arc::new(LocalAgent),
            exports: Arc::new(LocalFiles),
        }
    }
}

impl Clock for Machine {
    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn wall(&self) -> WallTime {
        // A clock before 1970 shows as 1970: wall time is for display, and for the calendar, which has no days before that.
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Ids for Machine {
    fn session(&self) -> SessionId {
        SessionId::parse(uuid::Uuid::now_v7().to_string()).expect("a UUID is an id")
    }

    fn log(&self) -> [u8; 16] {
        uuid::Uuid::now_v7().into_bytes()
    }

    fn salt(&self) -> u64 {
        fastrand::u64(..)
    }
}

impl Disk for Machine {
    fn open(&self, directory: &Path, identity: &Identity) -> Result<Opened, OpenError> {
        let kv = data_dir::open(directory, identity)?;
        let log_id = kv.log_id();
        Ok(Opened {
            kv: Arc::new(kv),
            log_id,
        })
    }

    fn space(&self, directory: &Path) -> io::Result<Space> {
        space::of(directory)
    }

    fn lay_ballast(&self, directory: &Path) -> io::Result<()> {
        data_dir::lay_ballast(directory)
    }
}

impl Network for Machine {
    fn listen(
        &self,
        address: std::net::SocketAddr,
    ) -> BoxFuture<'static, io::Result<tokio::net::TcpListener>> {
        Box::pin(tokio::net::TcpListener::bind(address))
    }
}

impl Spawn for Machine {
    fn task(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        tracing::trace!(name, "task started");
        tokio::spawn(task);
    }

    fn thread(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || runtime.block_on(task))
            .expect("a process that cannot start a thread cannot serve");
    }
}
