//! Addresses: what is understood, and what is refused by name.

use super::*;

#[test]
fn addresses_are_understood() {
    for (text, expected) in [
        ("http://127.0.0.1:7377", "http://127.0.0.1:7377"),
        ("127.0.0.1:9000", "http://127.0.0.1:9000"),
        (" localhost:9000 ", "http://localhost:9000"),
        ("localhost", "http://localhost:7377"),
        ("HTTP://host:1", "http://host:1"),
        ("http://host", "http://host"),
        ("http://host:80/", "http://host:80"),
        ("https://host", "https://host"),
        ("HTTPS://[::1]:7377/", "https://[::1]:7377"),
        ("[::1]:7377", "http://[::1]:7377"),
        ("[::1]", "http://[::1]:7377"),
        ("unix:/run/s.sock", "unix:/run/s.sock"),
        ("unix:///run/s.sock", "unix:/run/s.sock"),
        ("unix:relative.sock", "unix:relative.sock"),
    ] {
        let addr = Addr::parse(text).expect(text);
        assert_eq!(addr.to_string(), expected, "{text}");
    }
}

#[test]
fn other_texts_are_refused_by_name() {
    for text in [
        "",
        "ftp://host:1",
        "http://",
        "http://host:1/path",
        "host:1?query",
        "user@host:1",
        "host:",
        "host:0",
        "host:99999",
        "host:port",
        "two words",
        "unix:",
        "unix://",
    ] {
        let error = Addr::parse(text).expect_err(text);
        assert!(matches!(error, Error::Setting(_)), "{text}: {error:?}");
        assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
    }
}

#[tokio::test]
async fn files_of_tls_are_used_with_tls_or_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file.pem");
    std::fs::write(&file, "no PEM").unwrap();
    let check = |addr: &str, ca: bool, certificate: bool, key: bool, words: &str| {
        let named = |is_named: bool| is_named.then(|| file.clone());
        let tls = TlsFiles {
            ca: named(ca),
            certificate: named(certificate),
            key: named(key),
        };
        let addr = Addr::parse(addr).unwrap();
        let error = Channels::new(&addr, &tls, CONNECT_TIMEOUT_DEFAULT).unwrap_err();
        assert!(matches!(error, Error::Setting(_)), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    };
    check(
        "http://host:1",
        true,
        false,
        false,
        "only `https://` has TLS",
    );
    check("unix:/s", false, true, true, "only `https://` has TLS");
    check("https://host:1", false, true, false, "without its key");
    check(
        "https://host:1",
        false,
        false,
        true,
        "without its certificate",
    );
    check("https://host:1", false, true, true, "client certificate `");
    check("https://host:1", true, false, false, "CA `");
    std::fs::remove_file(&file).unwrap();
    check("https://host:1", true, false, false, "No such file");
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let addr = Addr::parse(ADDR_DEFAULT).unwrap();
    let error = Channels::new(&addr, &TlsFiles::default(), CONNECT_TIMEOUT_DEFAULT).unwrap_err();
    assert!(error.to_string().contains("tokio"), "{error}");
}
