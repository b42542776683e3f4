//! `[tls]`: encryption of the port, and whose clients it lets in.

use std::path::PathBuf;

use super::server::{absolute, full_path};
use super::{Key, Section};
use crate::config::field::Field;

/// What a file is when there is none.
const NONE: &str = "none";

pub(super) static SECTION: Section = Section {
    name: "tls",
    doc: "TLS 1.3 on HOST:PORT. The files are PEM. They are read when the server starts, on SIGHUP, and looked at once a \
          minute: what changed is shown to new connections, open ones go on, and files that cannot be used are reported \
          and change nothing. Without certificate and key the port speaks plain text, on loopback only.",
    names: None,
    keys: &[
        file(
            "certificate",
            Field::Text {
                takes: TAKES,
                get: |settings, _| shown(settings.tls.certificate.as_ref()),
                put: |settings, _, text| put(&mut settings.tls.certificate, text),
            },
            "The certificate of the server and those between it and its authority, in this order.",
        ),
        file(
            "key",
            Field::Text {
                takes: TAKES,
                get: |settings, _| shown(settings.tls.key.as_ref()),
                put: |settings, _, text| put(&mut settings.tls.key, text),
            },
            "The private key of the certificate.",
        ),
        file(
            "client_ca",
            Field::Text {
                takes: TAKES,
                get: |settings, _| shown(settings.tls.client_ca.as_ref()),
                put: |settings, _, text| put(&mut settings.tls.client_ca, text),
            },
            "The authorities of clients: whoever shows no certificate of theirs is not let in, probes and scrapers included. \
             Whoever does may do everything, as on loopback. Without it nobody is asked for one.",
        ),
    ],
};

const TAKES: &str = "the full path of a file, or \"none\"";

const fn file(name: &'static str, field: Field, doc: &'static str) -> Key {
    let mut key = Key::new(name, field, doc);
    key.shell = Some(absolute_or_none);
    key
}

fn shown(file: Option<&PathBuf>) -> String {
    file.map_or_else(|| NONE.to_owned(), |file| file.display().to_string())
}

fn put(file: &mut Option<PathBuf>, text: &str) -> Result<(), String> {
    *file = match text {
        NONE => None,
        text => Some(full_path(text)?),
    };
    Ok(())
}

fn absolute_or_none(text: &str) -> String {
    if text == NONE {
        text.to_owned()
    } else {
        absolute(text)
    }
}
