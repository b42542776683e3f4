//! Who a caller has proven to be: the name in the certificate that its connection was let in with.
//!
//! Invariant: it is of a certificate that was verified, visible ASCII, and at most as long as an actor's name. What this
//! deliberately does not do: say what a caller may do.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use sessiond_core::limits::ID_BYTES_MAX;
use sha2::{Digest as _, Sha256};
use webpki::EndEntityCert;

/// A caller's name. In the extensions of the requests of its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal(Arc<str>);

impl Principal {
    /// The first URI of a verified certificate, or else its first DNS name, or else its SHA-256.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Self {
        let parsed = EndEntityCert::try_from(certificate).ok();
        let named = parsed.as_ref().and_then(|parsed| {
            let mut names = parsed.valid_uri_names().chain(parsed.valid_dns_names());
            names.find(|name| is_usable(name)).map(Arc::from)
        });
        Self(named.unwrap_or_else(|| fingerprint(certificate).into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_usable(name: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

fn fingerprint(certificate: &[u8]) -> String {
    let mut name = "sha256:".to_owned();
    for byte in Sha256::digest(certificate) {
        write!(name, "{byte:02x}").expect("a string takes anything");
    }
    name
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn check(names: &[SanType], expected: Option<&str>) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.to_vec();
        let key = KeyPair::generate().unwrap();
        let signed = params.self_signed(&key).unwrap();
        let principal = Principal::of(signed.der());
        match expected {
            Some(name) => assert_eq!(principal.as_str(), name),
            None => assert_eq!(principal.as_str(), fingerprint(signed.der())),
        }
    }

    #[test]
    fn a_uri_goes_before_a_dns_name_and_that_before_the_hash() {
        let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
        let uri = |name: &str| SanType::URI(name.try_into().unwrap());
        check(&[dns("worker-1"), dns("other")], Some("worker-1"));
        let spiffe = "spiffe://example.org/worker/1";
        check(&[dns("worker-1"), uri(spiffe)], Some(spiffe));
        check(&[], None);
        check(&[SanType::IpAddress([10, 0, 0, 1].into())], None);
        let long = format!("spiffe://example.org/{}", "x".repeat(ID_BYTES_MAX));
        check(&[uri(&long), dns("worker-1")], Some("worker-1"));
        check(&[uri("spiffe://a b"), dns("worker-1")], Some("worker-1"));
    }

    #[test]
    fn a_hash_is_told_as_such() {
        let name = fingerprint(b"");
        assert_eq!(
            name,
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
