//! The arguments about TLS.
//!
//! What this deliberately does not do: read the files; whoever builds the client does.

use std::path::PathBuf;

use clap::parser::ValueSource;
use sessiond_client::{CA_ENV, CLIENT_CERTIFICATE_ENV, CLIENT_KEY_ENV, TlsFiles};

/// The files of TLS, for `https`.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct TlsArgs {
    /// The authorities whose servers are trusted, a PEM file, for https:// [default: those of the system].
    #[arg(long, global = true, env = CA_ENV, value_name = "FILE", help_heading = "Server")]
    ca: Option<PathBuf>,
    /// The certificate that says who is calling, a PEM file, for https://.
    #[arg(
        long,
        global = true,
        env = CLIENT_CERTIFICATE_ENV,
        value_name = "FILE",
        help_heading = "Server"
    )]
    client_certificate: Option<PathBuf>,
    /// The key of that certificate, a PEM file.
    #[arg(
        long,
        global = true,
        env = CLIENT_KEY_ENV,
        value_name = "FILE",
        help_heading = "Server"
    )]
    client_key: Option<PathBuf>,
}

impl TlsArgs {
    pub(super) fn files(&self) -> TlsFiles {
        TlsFiles {
            ca: self.ca.clone(),
            certificate: self.client_certificate.clone(),
            key: self.client_key.clone(),
        }
    }

    /// Those that were given as flags, for a command that is run elsewhere. One whose path is no text is left out.
    pub(super) fn flags(&self, source: impl Fn(&str) -> Option<ValueSource>) -> Vec<String> {
        let all = [
            ("ca", "--ca", &self.ca),
            (
                "client_certificate",
                "--client-certificate",
                &self.client_certificate,
            ),
            ("client_key", "--client-key", &self.client_key),
        ];
        let given = all.into_iter().filter_map(|(name, flag, file)| {
            let is_flag = source(name) == Some(ValueSource::CommandLine);
            let file = std::path::absolute(file.as_ref().filter(|_| is_flag)?).ok()?;
            Some([flag.to_owned(), file.to_str()?.to_owned()])
        });
        given.flatten().collect()
    }
}
