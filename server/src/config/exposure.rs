//! Who could reach the port, and whether that may be.
//!
//! Invariant: nobody but this machine reaches a server that does not know who calls. What this deliberately does not do: read
//! the files; whether they can be used is found out by the start.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::problem::{KeyPath, Origin, Problem};
use super::{Listen, Settings};
use crate::transport::tls::Files;

/// What `[tls]` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// The server's certificate.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// The authorities of clients.
    pub client_ca: Option<PathBuf>,
}

impl TlsSettings {
    /// The files that TLS is made of; none without TLS.
    #[must_use]
    pub fn files(&self) -> Option<Files> {
        let (certificate, key) = self.certificate.clone().zip(self.key.clone())?;
        Some(Files {
            certificate,
            key,
            client_ca: self.client_ca.clone(),
        })
    }

    /// The keys, and whether each is set.
    fn keys(&self) -> [(&'static str, bool); 3] {
        [
            ("certificate", self.certificate.is_some()),
            ("key", self.key.is_some()),
            ("client_ca", self.client_ca.is_some()),
        ]
    }
}

/// What of the settings would let somebody in who must not be, or is meant to encrypt and does not. Keys of `broken` are not
/// judged: their values were refused.
pub(super) fn judge(
    settings: &Settings,
    origins: &BTreeMap<KeyPath, Origin>,
    broken: &BTreeSet<KeyPath>,
) -> Vec<Problem> {
    let keys = settings.tls.keys();
    let listen = KeyPath::of("server", "listen");
    let refused = |key| broken.contains(&KeyPath::of("tls", key));
    if broken.contains(&listen) || keys.iter().any(|(key, _)| refused(key)) {
        return Vec::new();
    }
    let (set, unset): (Vec<_>, Vec<_>) = keys.into_iter().partition(|(_, is_set)| *is_set);
    let problem = |key: &KeyPath, what: String| Problem::of(origins, key, what);
    let missing = |needed: &[&str]| {
        let missing = unset.iter().map(|(key, _)| *key);
        let missing: Vec<&str> = missing.filter(|key| needed.contains(key)).collect();
        missing.join(" and ")
    };
    match &settings.listen {
        Listen::Unix(_) => {
            let spare = set.iter().map(|(key, _)| {
                let what = "is of no use on a socket file, which only its owner reaches: leave it away, or listen on HOST:PORT";
                problem(&KeyPath::of("tls", key), what.to_owned())
            });
            spare.collect()
        }
        Listen::Tcp(address) if !address.ip().is_loopback() && !unset.is_empty() => {
            let what = format!(
                "{address} is not a loopback address, and others are let in only with TLS and a certificate of their own: \
                 set [tls] {}, or listen on 127.0.0.1, [::1] or unix:PATH",
                missing(&["certificate", "key", "client_ca"]),
            );
            vec![problem(&listen, what)]
        }
        Listen::Tcp(_) => {
            let lacks = missing(&["certificate", "key"]);
            let half = set.iter().filter(|_| !lacks.is_empty()).map(|(key, _)| {
                let what =
                    format!("does nothing without TLS: set [tls] {lacks} too, or leave it away");
                problem(&KeyPath::of("tls", key), what)
            });
            half.collect()
        }
    }
}
