//! Which server a command talks to, as whom, and where that was said.
//!
//! Invariant: a flag wins over the environment, the environment over the default; an empty value
//! is none. What this deliberately does not do: connect.

use std::fmt;
use std::time::Duration;

use clap::ArgMatches;
use clap::parser::ValueSource;
use sessiond_client::{
    ADDR_DEFAULT, ADDR_ENV, CAUSE_ENV, Client, ClientBuilder, Error, RetryPolicy, TlsFiles,
};

mod tls_args;

use tls_args::TlsArgs;

/// How long a command repeats a call before it reports. Long enough for a server that is just
/// starting, short enough for a person who waits.
const RETRY_TOTAL: Duration = Duration::from_secs(3);

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A server and an identity.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) addr: String,
    pub(crate) origin: Origin,
    /// Empty: the server's default.
    pub(crate) namespace: String,
    pub(crate) namespace_origin: Origin,
    token: Option<String>,
    cause: Option<String>,
    tls: TlsFiles,
    /// The arguments with which another command finds the same files.
    pub(crate) tls_flags: Vec<String>,
}

/// Where an address or a namespace was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag,
    Environment,
    Default,
}

/// The arguments that every command takes about its server.
#[derive(Clone, clap::Args)]
pub(crate) struct TargetArgs {
    /// The server: HOST:PORT, http://HOST:PORT, https://HOST:PORT or unix:PATH [default: http://127.0.0.1:7377].
    #[arg(long, global = true, env = ADDR_ENV, value_name = "ADDR", help_heading = "Server")]
    addr: Option<String>,
    /// The namespace [default: the server's `default`].
    #[arg(long, global = true, env = sessiond_client::NAMESPACE_ENV, help_heading = "Server")]
    namespace: Option<String>,
    /// The token that says who is calling.
    #[arg(
        long,
        global = true,
        env = sessiond_client::TOKEN_ENV,
        hide_env_values = true,
        help_heading = "Server"
    )]
    token: Option<String>,
    /// The event whose handling this is part of, by its event_id: what it changes carries it, and a handler that feeds
    /// itself is refused. Workers, hooks and the spool have nothing to do with it.
    #[arg(long, global = true, env = CAUSE_ENV, value_name = "EVENT_ID", help_heading = "Server")]
    cause: Option<String>,
    #[command(flatten)]
    tls: TlsArgs,
}

// === impl Target ===

impl Target {
    /// The target of parsed arguments; `matches` says where they come from.
    pub(crate) fn new(args: &TargetArgs, matches: &ArgMatches) -> Self {
        Self::from_parts(args, |name| matches.value_source(name))
    }

    fn from_parts(args: &TargetArgs, source: impl Fn(&str) -> Option<ValueSource>) -> Self {
        let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        let said = |name: &str, value: &Option<String>| match (given(value), source(name)) {
            (Some(value), Some(ValueSource::CommandLine)) => (Some(value), Origin::Flag),
            (Some(value), _) => (Some(value), Origin::Environment),
            (None, _) => (None, Origin::Default),
        };
        let (addr, origin) = said("addr", &args.addr);
        let (namespace, namespace_origin) = said("namespace", &args.namespace);
        Self {
            addr: addr.unwrap_or_else(|| ADDR_DEFAULT.to_owned()),
            origin,
            namespace: namespace.unwrap_or_default(),
            namespace_origin,
            token: given(&args.token),
            cause: given(&args.cause),
            tls: args.tls.files(),
            tls_flags: args.tls.flags(source),
        }
    }

    /// A client for a person or a script.
    pub(crate) fn client(&self) -> Result<Client, Error> {
        self.builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .retry(RetryPolicy::within(RETRY_TOTAL))
            .build()
    }

    /// The same for what may be part of handling an event.
    pub(crate) fn handling(&self) -> Result<Client, Error> {
        let client = self.client()?;
        match &self.cause {
            Some(event_id) => client.caused_by(event_id),
            None => Ok(client),
        }
    }

    /// A client still to be configured.
    pub(crate) fn builder(&self) -> ClientBuilder {
        let mut builder = Client::builder().addr(&self.addr);
        if !self.namespace.is_empty() {
            builder = builder.namespace(&self.namespace);
        }
        if let Some(token) = &self.token {
            builder = builder.token(token);
        }
        builder.tls(self.tls.clone())
    }

    /// The namespace by its name, also when none was given.
    pub(crate) fn namespace_name(&self) -> &str {
        if self.namespace.is_empty() {
            sessiond_proto::DEFAULT_NAMESPACE
        } else {
            &self.namespace
        }
    }

    /// The address and where it was said.
    pub(crate) fn described(&self) -> String {
        format!("{} ({})", self.addr, self.origin)
    }

    /// What to tell somebody who cannot connect.
    pub(crate) fn is_it_running(&self) -> String {
        format!(
            "{}: is sessiond running? start one with: sessiond",
            self.described()
        )
    }
}

impl fmt::Debug for Target {
    /// Never shows the token.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Target")
            .field("addr", &self.addr)
            .field("origin", &self.origin)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TargetArgs {
    /// Never shows the token.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TargetArgs")
            .field("addr", &self.addr)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Flag => "from --addr",
            Self::Environment => "from SESSIOND_ADDR",
            Self::Default => "the default",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_knows_where_it_was_said() {
        let check = |addr: Option<&str>, source, expected: &str, origin| {
            let args = TargetArgs {
                addr: addr.map(str::to_owned),
                namespace: Some(String::new()),
                cause: None,
                tls: TlsArgs::default(),
                token: Some("secret".to_owned()),
            };
            let target = Target::from_parts(&args, |_| source);
            assert_eq!((target.addr.as_str(), target.origin), (expected, origin));
            assert_eq!(target.namespace, "");
            assert!(!format!("{target:?}{args:?}").contains("secret"));
        };
        let flag = Some(ValueSource::CommandLine);
        let env = Some(ValueSource::EnvVariable);
        check(Some("h:1"), flag, "h:1", Origin::Flag);
        check(Some("h:1"), env, "h:1", Origin::Environment);
        check(Some(""), env, ADDR_DEFAULT, Origin::Default);
        check(None, None, ADDR_DEFAULT, Origin::Default);
    }
}
