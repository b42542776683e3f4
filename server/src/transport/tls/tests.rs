//! What files are taken, what is said of others, and that those in use are replaced as a whole.

use std::fs;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use super::*;

/// A certificate that signs itself, and its key.
fn signed() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let params = CertificateParams::new(names).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// Files in a directory of their own.
struct Written {
    directory: TempDir,
    files: Files,
}

impl Written {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let files = Files {
            certificate: file("server.pem"),
            key: file("server.key"),
            client_ca: Some(file("clients.pem")),
        };
        let written = Self { directory, files };
        let (certificate, key) = signed();
        written.write(&certificate, &key, &certificate);
        written
    }

    fn write(&self, certificate: &str, key: &str, client_ca: &str) {
        for (name, text) in [
            ("server.pem", certificate),
            ("server.key", key),
            ("clients.pem", client_ca),
        ] {
            fs::write(self.directory.path().join(name), text).unwrap();
        }
    }

    /// What is wrong with these: the key of each, and words of it.
    fn check(&self, files: [&str; 3], expected: &[(&str, &str)]) {
        let [certificate, key, client_ca] = files;
        self.write(certificate, key, client_ca);
        let wrong = Tls::read(&self.files).expect_err("they are wrong");
        assert_eq!(wrong.len(), expected.len(), "{wrong:?}");
        for (wrong, (key, words)) in wrong.iter().zip(expected) {
            assert_eq!(wrong.key, *key);
            assert!(wrong.what.contains(words), "{wrong:?}");
        }
    }
}

/// The configuration that a new connection meets.
fn met(tls: &Tls) -> Arc<ServerConfig> {
    Arc::clone(tls.acceptor().config())
}

#[test]
fn all_that_is_wrong_is_told_with_its_file() {
    let written = Written::new();
    let ((certificate, key), (_, other_key)) = (signed(), signed());
    let (certificate, key) = (certificate.as_str(), key.as_str());
    written.check(
        [certificate, &other_key, certificate],
        &[("key", "is not the key of the certificate")],
    );
    written.check(
        ["", "text", key],
        &[
            ("certificate", "no certificate in PEM"),
            ("key", "no private key in PEM"),
            ("client_ca", "no certificate in PEM"),
        ],
    );
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    written.check(
        [certificate, key, broken],
        &[("client_ca", "cannot be used")],
    );
    let large = "x".repeat(usize::try_from(FILE_BYTES_MAX).unwrap() + 1);
    written.check(
        [&large, key, certificate],
        &[("certificate", "has more than 1048576 bytes")],
    );
    fs::remove_file(&written.files.key).unwrap();
    fs::remove_file(&written.files.certificate).unwrap();
    let wrong = Tls::read(&written.files).expect_err("two are missing");
    let keys: Vec<&str> = wrong.iter().map(|wrong| wrong.key).collect();
    assert_eq!(keys, ["certificate", "key"]);
    assert!(wrong[0].what.contains("server.pem cannot be read"));
}

#[test]
fn changed_files_are_taken_as_a_whole_or_not_at_all() {
    let written = Written::new();
    let tls = Tls::read(&written.files).expect("they are sound");
    let first = met(&tls);
    assert_eq!(tls.reread(), Reread::Same);
    assert!(Arc::ptr_eq(&first, &met(&tls)));
    // As if somebody had written one of two files yet.
    let (certificate, key) = signed();
    fs::write(&written.files.certificate, &certificate).unwrap();
    assert!(matches!(tls.reread(), Reread::Refused(_)));
    assert!(Arc::ptr_eq(&first, &met(&tls)));
    fs::write(&written.files.key, &key).unwrap();
    assert_eq!(tls.reread(), Reread::Taken);
    let second = met(&tls);
    assert!(!Arc::ptr_eq(&first, &second));
    // Whose clients are let in changes too.
    fs::write(written.directory.path().join("clients.pem"), &certificate).unwrap();
    assert_eq!(tls.reread(), Reread::Taken);
    assert!(!Arc::ptr_eq(&second, &met(&tls)));
}

#[tokio::test(start_paused = true)]
async fn the_files_are_looked_at_once_a_minute_until_the_stop() {
    let written = Written::new();
    let tls = Tls::read(&written.files).expect("they are sound");
    let stopping = Stopping::default();
    let first = met(&tls);
    let watch = tokio::spawn(tls.clone().watch(stopping.clone()));
    let (certificate, key) = signed();
    written.write(&certificate, &key, &certificate);
    tokio::task::yield_now().await;
    tokio::time::advance(REREAD_EVERY - Duration::from_millis(1)).await;
    tokio::task::yield_now().await;
    assert!(Arc::ptr_eq(&first, &met(&tls)));
    tokio::time::advance(Duration::from_millis(2)).await;
    tokio::task::yield_now().await;
    assert!(!Arc::ptr_eq(&first, &met(&tls)));
    stopping.begin();
    watch.await.expect("it ends");
}
