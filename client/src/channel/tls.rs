//! What a client trusts and shows on connections with TLS.
//!
//! Keeps files as they were named until a client is built; then they are read, once, and what is wrong with one is told with
//! its name. A client that is to show a new certificate is built again.

use std::path::{Path, PathBuf};

use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::error::Error;

/// The environment variable with [`TlsFiles::ca`].
pub const CA_ENV: &str = "SESSIOND_CA";

/// The environment variable with [`TlsFiles::certificate`].
pub const CLIENT_CERTIFICATE_ENV: &str = "SESSIOND_CLIENT_CERTIFICATE";

/// The environment variable with [`TlsFiles::key`].
pub const CLIENT_KEY_ENV: &str = "SESSIOND_CLIENT_KEY";

/// The files of TLS, each PEM, for addresses that begin with `https`. An empty name
/// is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authorities whose servers are trusted; none: those of the system.
    pub ca: Option<PathBuf>,
    /// The certificate that says who is calling, and those between it and its
    /// authority.
    pub certificate: Option<PathBuf>,
    /// The private key of that certificate.
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    /// Those which the environment names.
    pub(crate) fn from_variables(
        read: impl Fn(&'static str) -> Result<Option<String>, Error>,
    ) -> Result<Self, Error> {
        let file = |variable| read(variable).map(|file| file.map(PathBuf::from));
        Ok(Self {
            ca: file(CA_ENV)?,
            certificate: file(CLIENT_CERTIFICATE_ENV)?,
            key: file(CLIENT_KEY_ENV)?,
        })
    }

    /// The files that are named, each with the environment variable that names it to
    /// a program.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let all = [
            (CA_ENV, &self.ca),
            (CLIENT_CERTIFICATE_ENV, &self.certificate),
            (CLIENT_KEY_ENV, &self.key),
        ];
        all.into_iter()
            .filter_map(|(variable, file)| Some((variable, named(file)?)))
    }

    /// Whether any is named.
    pub(crate) fn is_empty(&self) -> bool {
        self.variables().next().is_none()
    }

    /// Reads them.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a file that cannot be read, or a certificate or key
    /// without the other one.
    pub(super) fn config(&self) -> Result<ClientTlsConfig, Error> {
        let config = ClientTlsConfig::new();
        let config = match named(&self.ca) {
            Some(ca) => {
                config.ca_certificate(Certificate::from_pem(read(ca, "CA", "CERTIFICATE")?))
            }
            None => config.with_native_roots(),
        };
        match (named(&self.certificate), named(&self.key)) {
            (None, None) => Ok(config),
            (Some(certificate), Some(key)) => {
                let certificate = read(certificate, "client certificate", "CERTIFICATE")?;
                let key = read(key, "client key", "PRIVATE KEY")?;
                Ok(config.identity(Identity::from_pem(certificate, key)))
            }
            (Some(_), None) => Err(Error::setting(
                "a client certificate is of no use without its key",
            )),
            (None, Some(_)) => Err(Error::setting(
                "a client key is of no use without its certificate",
            )),
        }
    }
}

fn named(file: &Option<PathBuf>) -> Option<&Path> {
    file.as_deref().filter(|file| !file.as_os_str().is_empty())
}

/// Reads a file that has something of a kind in it.
fn read(file: &Path, what: &str, kind: &str) -> Result<String, Error> {
    let wrong = |why: String| Error::setting(format!("the {what} `{}`: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    if text.contains(&format!("{kind}-----")) {
        Ok(text)
    } else {
        Err(wrong(format!("has no {kind} in PEM")))
    }
}
