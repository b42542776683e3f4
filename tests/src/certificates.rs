//! Certificates made for one test: an authority, and what it signs.
//!
//! Invariant: nothing here is valid outside of the process that made it. What this deliberately does not do: look like what
//! real authorities issue.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};

/// Somebody who signs certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate and its key, as PEM.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// One that nobody knows yet.
    ///
    /// # Panics
    /// If no key can be made.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        let issuer = Issuer::new(params, key);
        Self {
            issuer,
            certificate,
        }
    }

    /// What whoever trusts it is given, as PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// For a server on this machine.
    #[must_use]
    pub fn server(&self) -> Signed {
        self.sign(
            &["localhost", "127.0.0.1"],
            ExtendedKeyUsagePurpose::ServerAuth,
            None,
        )
    }

    /// For a client.
    #[must_use]
    pub fn client(&self) -> Signed {
        self.sign(&["worker-1"], ExtendedKeyUsagePurpose::ClientAuth, None)
    }

    /// For a client, up to some time, which may be over.
    #[must_use]
    pub fn client_until(&self, end: SystemTime) -> Signed {
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        self.sign(&["worker-1"], usage, Some(end))
    }

    fn sign(
        &self,
        names: &[&str],
        usage: ExtendedKeyUsagePurpose,
        end: Option<SystemTime>,
    ) -> Signed {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.extended_key_usages = vec![usage];
        if let Some(end) = end {
            let since_1970 = end.duration_since(SystemTime::UNIX_EPOCH);
            let seconds = since_1970.expect("it is no long time ago").as_secs();
            params.not_after = date_time_ymd(1_970, 1, 1) + Duration::from_secs(seconds);
        }
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer);
        Signed {
            certificate: signed.expect("a certificate").pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Signed {
    /// Writes both into a directory; answers with where.
    ///
    /// # Panics
    /// If the directory cannot be written to.
    pub fn write(&self, directory: &Path, name: &str) -> (PathBuf, PathBuf) {
        let certificate = directory.join(format!("{name}.pem"));
        let key = directory.join(format!("{name}.key"));
        std::fs::write(&certificate, &self.certificate).expect("it can be written");
        std::fs::write(&key, &self.key).expect("it can be written");
        (certificate, key)
    }
}
