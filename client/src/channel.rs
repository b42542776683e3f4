//! Where the server is and how connections to it are made.
//!
//! Keeps unary calls and streams on two connections, so that streams which
//! nobody reads cannot take the flow-control window of a call. Connections are
//! made when they are needed and made again when they break; nothing is repeated
//! here.

use std::fmt;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use crate::error::{Error, in_words};

mod tls;

pub use tls::{CA_ENV, CLIENT_CERTIFICATE_ENV, CLIENT_KEY_ENV, TlsFiles};

/// Where a server listens unless it is told otherwise.
pub const ADDR_DEFAULT: &str = "http://127.0.0.1:7377";

/// The port of an address that names none and has no scheme.
const PORT_DEFAULT: u16 = 7377;

/// How long a connection may take to be made, unless the builder says otherwise.
pub const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);

/// How often an open connection is probed.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// How long a probe may go unanswered before the connection counts as broken.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// The flow-control window of one stream, in bytes.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// The flow-control window of one connection, in bytes: 64 streams that nobody
/// reads fit into it.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// The headers of one answer, in bytes: a refusal names every invalid field.
const HEADER_LIST_BYTES_MAX: u32 = 64 * 1024;

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Addr {
    /// The `HOST:PORT` of `http://HOST:PORT`.
    Http(String),
    /// The same of `https://HOST:PORT`.
    Https(String),
    /// The path of a Unix socket.
    Unix(String),
}

/// The two connections of a client.
#[derive(Clone, Debug)]
pub(crate) struct Channels {
    pub(crate) unary: Channel,
    pub(crate) streams: Channel,
}

// === impl Addr ===

impl Addr {
    /// Reads `http://HOST[:PORT]`, `https://HOST[:PORT]`, `HOST[:PORT]`, `unix:PATH`
    /// or `unix://PATH`. Without a scheme there is no TLS, and the port is 7377 unless
    /// it is given; with one it is that of the scheme.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for anything else.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix:") {
            return Self::parse_unix(text, path);
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        let make = match scheme {
            None => Self::Http,
            Some(scheme) if scheme.eq_ignore_ascii_case("http") => Self::Http,
            Some(scheme) if scheme.eq_ignore_ascii_case("https") => Self::Https,
            Some(_) => {
                let known = "it must begin with `http://`, `https://` or `unix:`";
                return Err(unusable(text, known));
            }
        };
        let host = rest.strip_suffix('/').unwrap_or(rest);
        let uri: tonic::codegen::http::Uri = format!("http://{host}")
            .parse()
            .map_err(|_| unusable(text, "it is no `HOST:PORT`"))?;
        let bare = uri.path() == "/" && uri.query().is_none();
        let authority = uri.authority().filter(|_| bare && !host.contains('@'));
        let Some(authority) = authority.filter(|authority| !authority.host().is_empty()) else {
            return Err(unusable(text, "it must be `HOST:PORT` and nothing else"));
        };
        // An IPv6 address has colons of its own, inside its brackets.
        let tail = host.rsplit_once(']').map_or(host, |(_, tail)| tail);
        match (scheme, tail.contains(':'), authority.port_u16()) {
            (_, true, None | Some(0)) => Err(unusable(text, "its port is no port")),
            (None, false, _) => Ok(make(format!("{host}:{PORT_DEFAULT}"))),
            (_, true, Some(_)) | (Some(_), false, _) => Ok(make(host.to_owned())),
        }
    }

    fn parse_unix(text: &str, path: &str) -> Result<Self, Error> {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() {
            return Err(unusable(text, "the path of the socket is missing"));
        }
        Ok(Self::Unix(path.to_owned()))
    }

    fn endpoint(&self, tls: &TlsFiles, connect_timeout: Duration) -> Result<Endpoint, Error> {
        let endpoint = Endpoint::from_shared(self.to_string())
            .map_err(|error| unusable(&self.to_string(), &error.to_string()))?;
        match self {
            Self::Https(_) => {
                let secured = endpoint.tls_config(tls.config()?.timeout(connect_timeout));
                secured.map_err(|error| Error::setting(in_words(&error)))
            }
            Self::Http(_) | Self::Unix(_) if tls.is_empty() => Ok(endpoint),
            // Whoever names them believes that the connection is a secret.
            Self::Http(_) | Self::Unix(_) => Err(unusable(
                &self.to_string(),
                "files of TLS are named, and only `https://` has TLS",
            )),
        }
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(host) => write!(formatter, "http://{host}"),
            Self::Https(host) => write!(formatter, "https://{host}"),
            Self::Unix(path) => write!(formatter, "unix:{path}"),
        }
    }
}

fn unusable(text: &str, why: &str) -> Error {
    Error::setting(format!("address `{text}` is not usable: {why}"))
}

// === impl Channels ===

impl Channels {
    /// Prepares both connections; neither is made yet.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for an address or files of TLS that cannot be used, or when
    /// there is no tokio runtime to run the connections.
    pub(crate) fn new(
        addr: &Addr,
        tls: &TlsFiles,
        connect_timeout: Duration,
    ) -> Result<Self, Error> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(Error::setting("a client needs a running tokio runtime"));
        }
        let endpoint = addr
            .endpoint(tls, connect_timeout)?
            .user_agent(concat!("sessiond-rust/", env!("CARGO_PKG_VERSION")))
            .map_err(|error| Error::setting(error.to_string()))?
            .connect_timeout(connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_max_header_list_size(HEADER_LIST_BYTES_MAX);
        Ok(Self {
            unary: endpoint.connect_lazy(),
            streams: endpoint.connect_lazy(),
        })
    }
}

#[cfg(test)]
mod tests;
