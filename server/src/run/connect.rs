//! Where the server is, and who calls it: the flags of what this binary does as a client.
//!
//! Invariant: flags and variables are those of `sessionctl`. What this deliberately does not do: connect; a client does that
//! with its first call.

use std::path::PathBuf;

use clap::Args;
use sessiond_client::{
    ADDR_DEFAULT, ADDR_ENV, CA_ENV, CLIENT_CERTIFICATE_ENV, CLIENT_KEY_ENV, Client, ClientBuilder,
    NAMESPACE_ENV, TOKEN_ENV, TlsFiles,
};

/// The flags.
#[derive(Args, Debug)]
pub(crate) struct ConnectArgs {
    /// The server: HOST:PORT, http://HOST:PORT, https://HOST:PORT or unix:PATH.
    #[arg(long, env = ADDR_ENV, value_name = "ADDR", default_value = ADDR_DEFAULT)]
    pub(crate) addr: String,
    /// The namespace [default: the server's `default`].
    #[arg(long, env = NAMESPACE_ENV, default_value = "", hide_default_value = true)]
    pub(crate) namespace: String,
    /// The token that says who is calling.
    #[arg(
        long,
        env = TOKEN_ENV,
        hide_env_values = true,
        default_value = "",
        hide_default_value = true
    )]
    token: String,
    /// The authorities whose servers are trusted, a PEM file, for https:// [default: those of the system].
    #[arg(long, env = CA_ENV, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The certificate that says who is calling, a PEM file, for https://.
    #[arg(long, env = CLIENT_CERTIFICATE_ENV, value_name = "FILE")]
    client_certificate: Option<PathBuf>,
    /// The key of that certificate, a PEM file.
    #[arg(long, env = CLIENT_KEY_ENV, value_name = "FILE")]
    client_key: Option<PathBuf>,
}

impl ConnectArgs {
    /// A client of that server, in that namespace.
    pub(crate) fn client(&self) -> ClientBuilder {
        let mut builder = Client::builder().addr(&self.addr);
        if !self.namespace.is_empty() {
            builder = builder.namespace(&self.namespace);
        }
        if !self.token.is_empty() {
            builder = builder.token(&self.token);
        }
        builder.tls(self.tls())
    }

    /// The files of TLS.
    pub(crate) fn tls(&self) -> TlsFiles {
        TlsFiles {
            ca: self.ca.clone(),
            certificate: self.client_certificate.clone(),
            key: self.client_key.clone(),
        }
    }
}
