//! TLS of the port: the certificate the server shows, and whose it asks for.
//!
//! Invariant: what new connections meet is always a whole set of files that fit together. Files that changed are read again
//! while the server runs; where they are wrong it goes on with what it has, and connections that are open are left alone.
//! TLS 1.3 is spoken and nothing older, and each connection shows its certificate. What this deliberately does not do: accept connections, or say what whoever is let in
//! may do.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, version};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;

use crate::stopping::Stopping;

/// Bytes of one file: a bundle of all public authorities has a quarter of it.
const FILE_BYTES_MAX: u64 = 1_024 * 1_024;
/// How often the files are looked at: whoever renews certificates does so days before they are over.
const REREAD_EVERY: Duration = Duration::from_secs(60);

/// The files that TLS is made of, each PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The server's certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The authorities of the certificates that clients must show; none: no client is asked for one.
    pub client_ca: Option<PathBuf>,
}

/// What is wrong with one of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The key of `[tls]` that names it.
    pub key: &'static str,
    /// What is wrong: words for an operator.
    pub what: String,
}

/// TLS as new connections meet it.
#[derive(Clone, Debug)]
pub struct Tls(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    files: Files,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    /// Of what was read.
    digest: Digest,
}

/// Tells whether files changed, without keeping what is in them.
type Digest = [u8; 32];

/// What came of reading the files again.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reread {
    /// They say what they said.
    Same,
    /// New connections meet what they say now.
    Taken,
    /// What they say now cannot be used.
    Refused(Vec<Wrong>),
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn read(files: &Files) -> Result<Self, Vec<Wrong>> {
        let current = Mutex::new(Current::read(files)?);
        let files = files.clone();
        Ok(Self(Arc::new(Shared { files, current })))
    }

    /// For one new connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.current().config).into()
    }

    /// Reads the files again, and tells what came of it. It waits for the disk.
    pub fn refresh(&self) {
        match self.reread() {
            Reread::Same => tracing::debug!("the files of TLS are as they were"),
            Reread::Taken => {
                tracing::info!(target: "audit", "new connections meet the changed files of TLS");
            }
            Reread::Refused(wrong) => {
                for Wrong { key, what } in wrong {
                    tracing::error!("[tls] {key}: {what}; going on with what was read before");
                }
            }
        }
    }

    /// Looks at them until the server stops. On a thread that may wait for the disk.
    pub(crate) async fn watch(self, stopping: Stopping) {
        loop {
            tokio::select! {
                biased;
                () = stopping.begun() => return,
                () = tokio::time::sleep(REREAD_EVERY) => self.refresh(),
            }
        }
    }

    fn reread(&self) -> Reread {
        match Current::read(&self.0.files) {
            Ok(read) => {
                let mut current = self.current();
                if read.digest == current.digest {
                    return Reread::Same;
                }
                *current = read;
                Reread::Taken
            }
            Err(wrong) => Reread::Refused(wrong),
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        // It is replaced as a whole, so whoever panicked left it whole.
        let current = self.0.current.lock();
        current.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn read(files: &Files) -> Result<Self, Vec<Wrong>> {
        let mut digest = Sha256::new();
        let mut wrong = Vec::new();
        let mut sound = |key: &'static str, path: &Path| {
            let bytes = read(path).map_err(|what| wrong.push(Wrong { key, what }));
            let bytes = bytes.unwrap_or_default();
            digest.update(bytes.len().to_le_bytes());
            digest.update(&bytes);
            bytes
        };
        let chain = sound("certificate", &files.certificate);
        let key = sound("key", &files.key);
        let authorities = files.client_ca.as_ref();
        let authorities = authorities.map(|path| sound("client_ca", path));
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let config = configured(&chain, &key, authorities.as_deref())?;
        Ok(Self {
            config: Arc::new(config),
            digest: digest.finalize().into(),
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| {
        let size = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok(size as u64)
    });
    match read {
        Ok(size) if size > FILE_BYTES_MAX => {
            Err(format!("{shown} has more than {FILE_BYTES_MAX} bytes"))
        }
        Ok(_) => Ok(bytes),
        Err(error) => Err(format!("{shown} cannot be read: {error}")),
    }
}

fn configured(
    chain: &[u8],
    key: &[u8],
    authorities: Option<&[u8]>,
) -> Result<ServerConfig, Vec<Wrong>> {
    let of = |key: &'static str| move |what: String| Wrong { key, what };
    let chain = certificates(chain).map_err(of("certificate"));
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| of("key")(format!("has no private key in PEM: {error}")));
    let roots = authorities.map(roots).transpose().map_err(of("client_ca"));
    let (chain, key, roots) = match (chain, key, roots) {
        (Ok(chain), Ok(key), Ok(roots)) => (chain, key, roots),
        (chain, key, roots) => {
            let all = [chain.err(), key.err(), roots.err()];
            return Err(all.into_iter().flatten().collect());
        }
    };
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&version::TLS13])
        .expect("ring speaks TLS 1.3");
    let builder = match roots {
        Some(roots) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            let refused = |error| vec![of("client_ca")(format!("cannot be used: {error}"))];
            builder.with_client_cert_verifier(verifier.map_err(refused)?)
        }
        None => builder.with_no_client_auth(),
    };
    let config = builder.with_single_cert(chain, key);
    let mut config = config.map_err(|error| {
        let what = if matches!(error, rustls::Error::InconsistentKeys(_)) {
            "is not the key of the certificate".to_owned()
        } else {
            format!("cannot be used with the certificate: {error}")
        };
        vec![of("key")(what)]
    })?;
    // Whoever resumes a session shows no certificate again, so one that is over would be let in for ever.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| format!("has no certificates in PEM: {error}"))?;
    if all.is_empty() {
        return Err("has no certificate in PEM".to_owned());
    }
    Ok(all)
}

fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        let added = roots.add(certificate);
        added.map_err(|error| format!("has a certificate that cannot be used: {error}"))?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests;
