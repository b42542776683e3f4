//! Settings: what an operator may say by flag, variable or file, checked before anything starts.
//!
//! A flag wins over its variable, a variable over the file, the file over the default, and each value knows
//! where it is from. Nothing is clamped or ignored: names that do not exist, values out of bounds and settings
//! that contradict one another are refused, all of them at once, each with its place and the fix.
//!
//! How to add a key: the head of `config/keys.rs`. Who may reach the port: `config/exposure.rs`. What this deliberately
//! does not do: read a file again while the server runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::tz::TimeZone;
use sessiond_core::ids::Namespace;
use sessiond_core::limits::Policy;
use sessiond_core::time::{Limit, Span};

use crate::calendar::{DailyReset, TimeOfDay};
use crate::compaction::EventRetention;
use crate::engine::LiveSessions;
use crate::env::ReleaseTerms;
use crate::limits::{
    CONNECTION_AGE_DEFAULT, CONNECTIONS_DEFAULT, MIN_FREE_DEFAULT, SHUTDOWN_BUDGET,
};
use crate::logging::LogFormat;

mod contradiction;
mod environment;
mod exposure;
pub mod field;
mod file;
pub mod keys;
mod literal;
mod nearest;
pub mod problem;
pub mod reference;
mod resolve;
pub mod show;
#[cfg(test)]
mod tests;

pub use environment::Environment;
use environment::flags;
pub use exposure::TlsSettings;
use problem::{KeyPath, Origin, Problem};
use resolve::Resolver;

/// The namespace of a call that names none.
pub const DEFAULT_NAMESPACE: &str = sessiond_proto::DEFAULT_NAMESPACE;

/// The flags of `sessiond serve`. What they take is the keys' business, so they are texts here; their variables
/// are read with those of the keys that have no flag.
#[derive(Args, Clone, Debug, Default)]
pub struct ServeArgs {
    /// The configuration file; see docs/configuration.md. Default: /etc/sessiond/sessiond.toml for root,
    /// sessiond/sessiond.toml in the user's configuration directory otherwise, if it is there.
    /// [env: SESSIOND_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory of the store; created with mode 0700 if missing. Default: the user's state
    /// directory, or /var/lib/sessiond for root. [env: SESSIOND_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Address to listen on: HOST:PORT or unix:PATH. Port 0 picks a free one and prints it. What
    /// is not a loopback address needs TLS and client certificates; see [tls] of the configuration.
    /// [default: 127.0.0.1:7377] [env: SESSIOND_LISTEN]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Namespaces that exist beside `default` and those of the file, separated by commas.
    /// [env: SESSIOND_NAMESPACES]
    #[arg(long, value_name = "NAMES")]
    pub namespaces: Vec<String>,
    /// What to log: error, warn, info, debug, trace, or a filter directive.
    /// [default: info] [env: SESSIOND_LOG]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// How log lines look: auto, human or json. [default: auto] [env: SESSIOND_LOG_FORMAT]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
}

impl ServeArgs {
    /// What a flag of a key says.
    fn flag(&self, flag: &str) -> Option<String> {
        match flag {
            "--data-dir" => self.data_dir.clone(),
            "--listen" => self.listen.clone(),
            "--namespaces" => (!self.namespaces.is_empty()).then(|| self.namespaces.join(",")),
            "--log-level" => self.log_level.clone(),
            "--log-format" => self.log_format.clone(),
            unknown => unreachable!("{unknown} is in the table of keys and not here"),
        }
    }
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// On a TCP address.
    Tcp(SocketAddr),
    /// On a socket file, created with mode 0600.
    Unix(PathBuf),
}

impl std::str::FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err("unix: needs a path after it".to_owned());
            }
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        let address = text
            .to_socket_addrs()
            .map_err(|error| format!("takes HOST:PORT or unix:PATH ({error})"))?
            .next()
            .ok_or_else(|| "names no address".to_owned())?;
        Ok(Self::Tcp(address))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Everything a server is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Directory of the store.
    pub data_dir: PathBuf,
    /// Where to listen.
    pub listen: Listen,
    /// The files of TLS.
    pub tls: TlsSettings,
    /// Connections there may be at a time.
    pub max_connections: u64,
    /// How old one may be.
    pub max_connection_age: Limit,
    /// Bytes that must be free on the disk for anything to be added; none: whatever is free is enough.
    pub min_free: Option<u64>,
    /// The namespaces that exist.
    pub namespaces: BTreeSet<Namespace>,
    /// What is logged.
    pub log: Log,
    /// The limits of the rules.
    pub policy: Policy,
    /// When sessions are reset by the calendar.
    pub calendar: CalendarSettings,
    /// How long events are kept.
    pub events: EventRetention,
    /// How what sessions leave outside is ended.
    pub resources: ReleaseTerms,
    /// The directory into which sessions are exported before they are purged; none: they are not.
    pub export_before_purge: Option<PathBuf>,
    /// Whether a stop ends sessions.
    pub cleanup_on_shutdown: bool,
    /// How long a stop may take.
    pub shutdown_budget: Span,
    /// What becomes of sessions that were live when the server died.
    pub live_sessions: LiveSessions,
}

/// When sessions are reset by the calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarSettings {
    /// At what time of day; none is never.
    pub daily_reset: Option<TimeOfDay>,
    /// By the clocks of where.
    pub zone: TimeZone,
}

impl CalendarSettings {
    /// The resets there are.
    #[must_use]
    pub fn daily(&self) -> Option<DailyReset> {
        self.daily_reset.map(|at| DailyReset {
            at,
            zone: self.zone.clone(),
        })
    }
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A filter directive.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

/// Settings, and where each of them is from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Where the values are from that are not defaults.
    pub origins: BTreeMap<KeyPath, Origin>,
    /// Where sections with names of their own are from: the section, its name.
    pub names: BTreeMap<(&'static str, String), Origin>,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// Variables that were surely meant to set something and set nothing.
    pub warnings: Vec<Problem>,
}

/// The settings of a server with these flags in this environment.
///
/// # Errors
/// Every problem there is, in the order of their places.
pub fn load(args: &ServeArgs, environment: &Environment) -> Result<Loaded, Vec<Problem>> {
    let mut resolver = Resolver::default();
    let path = environment.file(args);
    if let Some(path) = &path {
        resolver.file(path);
    }
    resolver.layer(environment.variables(args));
    resolver.layer(flags(args));
    resolver.data_dir(environment.data_dir());
    let loaded = resolver.finish(path)?;
    Ok(Loaded {
        warnings: environment.suspects(),
        ..loaded
    })
}

/// The settings that a file makes of the defaults, whatever is in the environment.
///
/// # Errors
/// Every problem there is, in the order of their places.
pub fn check(path: &Path) -> Result<Loaded, Vec<Problem>> {
    let mut resolver = Resolver::default();
    resolver.file(path);
    resolver.finish(Some(path.to_owned()))
}

impl Default for Settings {
    /// Those of a server that nothing was said to, but for the data directory: it depends on the machine.
    fn default() -> Self {
        let namespace = Namespace::parse(DEFAULT_NAMESPACE);
        Self {
            data_dir: PathBuf::new(),
            listen: Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 7377))),
            tls: TlsSettings::default(),
            max_connections: CONNECTIONS_DEFAULT,
            max_connection_age: CONNECTION_AGE_DEFAULT,
            events: EventRetention::default(),
            resources: ReleaseTerms::default(),
            export_before_purge: None,
            cleanup_on_shutdown: true,
            shutdown_budget: SHUTDOWN_BUDGET,
            live_sessions: LiveSessions::default(),
            min_free: Some(MIN_FREE_DEFAULT),
            namespaces: [namespace.expect("the default namespace's name is an id")].into(),
            log: Log {
                level: "info".to_owned(),
                format: LogFormat::Auto,
            },
            policy: Policy::default(),
            calendar: CalendarSettings {
                daily_reset: None,
                zone: TimeZone::UTC,
            },
        }
    }
}
