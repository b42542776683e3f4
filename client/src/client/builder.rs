//! How a client is configured: by hand or by the environment.
//!
//! Keeps bad settings out: every value is checked when the client is built, and
//! the error names it. It makes no call, except that `connect` asks the server
//! once who it is.

use std::env::{self, VarError};
use std::sync::Arc;
use std::time::Duration;

use tonic::metadata::AsciiMetadataValue;

use super::{Client, DEADLINE_DEFAULT, Identity};
use crate::channel::{ADDR_DEFAULT, Addr, CONNECT_TIMEOUT_DEFAULT, Channels, TlsFiles};
use crate::error::Error;
use crate::retry::RetryPolicy;

/// The environment variable with the address of the server.
pub const ADDR_ENV: &str = "SESSIOND_ADDR";

/// The environment variable with the caller's token.
pub const TOKEN_ENV: &str = "SESSIOND_TOKEN";

/// The environment variable with the namespace.
pub const NAMESPACE_ENV: &str = "SESSIOND_NAMESPACE";

/// The settings of a [`Client`].
#[derive(Clone)]
pub struct ClientBuilder {
    addr: String,
    namespace: Option<String>,
    token: Option<String>,
    tls: TlsFiles,
    connect_timeout: Duration,
    deadline: Duration,
    retry: RetryPolicy,
}

// === impl ClientBuilder ===

impl ClientBuilder {
    pub(super) fn new() -> Self {
        Self {
            addr: ADDR_DEFAULT.to_owned(),
            namespace: None,
            token: None,
            tls: TlsFiles::default(),
            connect_timeout: CONNECT_TIMEOUT_DEFAULT,
            deadline: DEADLINE_DEFAULT,
            retry: RetryPolicy::default(),
        }
    }

    /// The settings which the environment has: `SESSIOND_ADDR`,
    /// `SESSIOND_TOKEN`, `SESSIOND_NAMESPACE`, and for `https` `SESSIOND_CA`,
    /// `SESSIOND_CLIENT_CERTIFICATE` and `SESSIOND_CLIENT_KEY`. An empty variable
    /// is none.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a variable that is not UTF-8.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_variables(env::var)
    }

    fn from_variables(
        variable: impl Fn(&'static str) -> Result<String, VarError>,
    ) -> Result<Self, Error> {
        let read = |name| match variable(name) {
            Ok(value) if value.is_empty() => Ok(None),
            Ok(value) => Ok(Some(value)),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => {
                Err(Error::setting(format!("`{name}` is not valid UTF-8")))
            }
        };
        let mut builder = Self::new();
        if let Some(addr) = read(ADDR_ENV)? {
            builder.addr = addr;
        }
        builder.token = read(TOKEN_ENV)?;
        builder.namespace = read(NAMESPACE_ENV)?;
        builder.tls = TlsFiles::from_variables(read)?;
        Ok(builder)
    }

    /// Sets the server's address: `http://HOST:PORT`, `https://HOST:PORT`,
    /// `HOST:PORT`, `HOST` (port 7377) or `unix:PATH`. Only `https` has TLS.
    /// Default: `http://127.0.0.1:7377`.
    #[must_use]
    pub fn addr(mut self, addr: impl Into<String>) -> Self {
        self.addr = addr.into();
        self
    }

    /// Sets the namespace of every call. Default: the server's `default`.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Sets the bearer token of every call. Default: none.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets the files of TLS. Default: the authorities of the system are trusted,
    /// and nothing is shown. For `https` only.
    #[must_use]
    pub fn tls(mut self, files: TlsFiles) -> Self {
        self.tls = files;
        self
    }

    /// Sets how long a connection may take to be made. Default: 5 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long one attempt of a unary call may take; what the call itself
    /// waits for comes on top. Default: 10 s.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets how calls are repeated. Default: for at most 30 s.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Builds the client. No connection is made before the first call.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a value that cannot be used, or when there is no
    /// tokio runtime.
    pub fn build(self) -> Result<Client, Error> {
        for (name, span) in [
            ("connect timeout", self.connect_timeout),
            ("deadline", self.deadline),
        ] {
            if span.is_zero() {
                return Err(Error::setting(format!("the {name} must be more than zero")));
            }
        }
        let identity = Identity {
            namespace: self.namespace.as_deref().map(namespace_value).transpose()?,
            authorization: self.token.as_deref().map(token_value).transpose()?,
            cause: None,
        };
        let addr = Addr::parse(&self.addr)?;
        Ok(Client {
            channels: Channels::new(&addr, &self.tls, self.connect_timeout)?,
            addr: Arc::new(addr),
            identity: Arc::new(identity),
            deadline: self.deadline,
            retry: self.retry,
        })
    }

    /// Builds the client and asks the server who it is, so that a wrong address
    /// shows at once.
    ///
    /// # Errors
    ///
    /// Those of [`ClientBuilder::build`], and [`Error::Unavailable`] when the
    /// server cannot be reached within the policy of repeating.
    pub async fn connect(self) -> Result<Client, Error> {
        let client = self.build()?;
        client.server_info().await?;
        Ok(client)
    }
}

impl std::fmt::Debug for ClientBuilder {
    /// Never shows the token.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ClientBuilder")
            .field("addr", &self.addr)
            .field("namespace", &self.namespace)
            .field("token", &self.token.as_ref().map(|_| "(hidden)"))
            .field("tls", &self.tls)
            .field("connect_timeout", &self.connect_timeout)
            .field("deadline", &self.deadline)
            .field("retry", &self.retry)
            .finish()
    }
}

pub(super) fn namespace_value(namespace: &str) -> Result<AsciiMetadataValue, Error> {
    let value = Some(namespace).filter(|name| !name.is_empty());
    value
        .and_then(|name| name.parse().ok())
        .ok_or_else(|| Error::setting(format!("namespace `{namespace}` is not usable")))
}

fn token_value(token: &str) -> Result<AsciiMetadataValue, Error> {
    let mut value: AsciiMetadataValue = format!("Bearer {token}")
        .parse()
        .map_err(|_| Error::setting("the token has characters that no header can carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
