//! Which addresses are listened on with which settings of TLS.

use super::{check_refused, loaded};

const ALL: &str = "certificate = \"/c\"\nkey = \"/k\"\nclient_ca = \"/a\"\n";

fn tls(listen: &str, tls: &str) -> String {
    format!("[server]\nlisten = \"{listen}\"\n[tls]\n{tls}")
}

#[test]
fn what_is_not_loopback_needs_tls_and_certificates_of_clients() {
    for address in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1"] {
        let settings = loaded(&tls(address, ALL)).settings;
        assert_eq!(settings.listen.to_string(), address);
        let lacks = |text: &str, missing: &str| {
            let expected = format!(
                "2:1: [server] listen: {address} is not a loopback address, and others are let in only with TLS and a \
                 certificate of their own: set [tls] {missing}, or listen on 127.0.0.1, [::1] or unix:PATH"
            );
            check_refused(&tls(address, text), &[&expected]);
        };
        lacks("", "certificate and key and client_ca");
        lacks("certificate = \"/c\"\nkey = \"/k\"\n", "client_ca");
        lacks("key = \"/k\"\nclient_ca = \"/a\"\n", "certificate");
    }
}

#[test]
fn on_loopback_tls_is_whole_or_not_there() {
    for address in ["127.0.0.1:1", "[::1]:1"] {
        assert!(loaded(&tls(address, "")).settings.tls.files().is_none());
        let settings = loaded(&tls(address, "certificate = \"/c\"\nkey = \"/k\"\n")).settings;
        let files = settings.tls.files().expect("it has TLS");
        assert_eq!(files.client_ca, None);
        assert!(loaded(&tls(address, ALL)).settings.tls.files().is_some());
        check_refused(
            &tls(address, "certificate = \"/c\"\n"),
            &[
                "4:1: [tls] certificate: does nothing without TLS: set [tls] key too, or leave it away",
            ],
        );
        check_refused(
            &tls(address, "client_ca = \"/a\"\nkey = \"none\"\n"),
            &[
                "4:1: [tls] client_ca: does nothing without TLS: set [tls] certificate and key too, or leave it away",
            ],
        );
    }
}

#[test]
fn a_socket_file_has_no_tls() {
    let spare = "is of no use on a socket file, which only its owner reaches: leave it away, or listen on HOST:PORT";
    let of = |line: usize, key: &str| format!("{line}:1: [tls] {key}: {spare}");
    let expected = [of(4, "certificate"), of(5, "key"), of(6, "client_ca")];
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check_refused(&tls("unix:/s", ALL), &expected);
}

/// What is wrong with a value is told, and not what follows from its being refused.
#[test]
fn a_value_that_is_refused_is_not_judged_again() {
    check_refused(
        &tls("0.0.0.0:1", "certificate = \"c\"\n"),
        &[
            "4:1: [tls] certificate: \"c\": does not begin with /; takes the full path of a file, or \"none\"",
        ],
    );
}
