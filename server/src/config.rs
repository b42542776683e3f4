//! Settings: what an operator may say, by flag or environment, checked before anything starts.
//!
//! A flag wins over its variable, a variable over the default. Nothing is clamped: a value out of
//! bounds is refused with the flag's name and what it takes.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use clap::Args;
use sessiond_core::ids::Namespace;
use sessiond_core::limits::Policy;

use crate::logging::LogFormat;

/// The namespace of a call that names none.
pub const DEFAULT_NAMESPACE: &str = sessiond_proto::DEFAULT_NAMESPACE;

/// The flags of `sessiond serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Directory of the store; created with mode 0700 if missing. Default: the user's state
    /// directory, or /var/lib/sessiond for root.
    #[arg(long, env = "SESSIOND_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address to listen on: HOST:PORT or unix:PATH. Port 0 picks a free one and prints it. Only
    /// loopback addresses are taken: this version has neither TLS nor authentication.
    #[arg(
        long,
        env = "SESSIOND_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:7377"
    )]
    pub listen: Listen,
    /// Namespaces that exist beside `default`, separated by commas.
    #[arg(
        long,
        env = "SESSIOND_NAMESPACES",
        value_name = "NAMES",
        value_delimiter = ','
    )]
    pub namespaces: Vec<String>,
    /// What to log: error, warn, info, debug, trace, or a filter directive.
    #[arg(
        long,
        env = "SESSIOND_LOG",
        value_name = "LEVEL",
        default_value = "info"
    )]
    pub log_level: String,
    /// How log lines look.
    #[arg(long, env = "SESSIOND_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// On a loopback TCP address.
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
        if is_loopback(address.ip()) {
            Ok(Self::Tcp(address))
        } else {
            Err(format!(
                "{address} is not a loopback address, and without TLS and authentication nothing \
                 else is served; listen on 127.0.0.1, [::1] or unix:PATH"
            ))
        }
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

fn is_loopback(ip: IpAddr) -> bool {
    ip.is_loopback()
}

/// Everything a server is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Directory of the store.
    pub data_dir: PathBuf,
    /// Where to listen.
    pub listen: Listen,
    /// The namespaces that exist.
    pub namespaces: BTreeSet<Namespace>,
    /// The limits of the rules.
    pub policy: Policy,
}

impl ServeArgs {
    /// The settings these flags mean.
    ///
    /// # Errors
    /// A sentence that names the flag and what it takes.
    pub fn settings(&self) -> Result<Settings, String> {
        let names = self.namespaces.iter().map(String::as_str);
        let namespaces = std::iter::once(DEFAULT_NAMESPACE)
            .chain(names.filter(|name| !name.is_empty()))
            .map(|name| {
                Namespace::parse(name).map_err(|error| format!("--namespaces {name:?}: {error}"))
            })
            .collect::<Result<_, _>>()?;
        Ok(Settings {
            data_dir: match &self.data_dir {
                Some(directory) => directory.clone(),
                None => default_data_dir()?,
            },
            listen: self.listen.clone(),
            namespaces,
            policy: Policy::default(),
        })
    }
}

/// State, not data: it belongs to this machine.
fn default_data_dir() -> Result<PathBuf, String> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/sessiond"));
    }
    let state = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")));
    state.map(|state| state.join("sessiond")).ok_or_else(|| {
        "there is no home directory to keep state in; name one with --data-dir".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_sockets_are_taken() {
        let check = |text: &str| text.parse::<Listen>();
        assert!(matches!(check("127.0.0.1:0"), Ok(Listen::Tcp(_))));
        assert!(matches!(check("[::1]:7377"), Ok(Listen::Tcp(_))));
        assert!(matches!(check("unix:/run/s"), Ok(Listen::Unix(_))));
        for bad in ["0.0.0.0:7377", "[::]:1", "unix:", "7377", "", "127.0.0.1"] {
            assert!(check(bad).is_err(), "{bad:?} was taken");
        }
    }
}
