//! `[server]`: where the server listens and where its data is.

use std::path::{Path, PathBuf};

use super::{Key, Section};
use crate::config::Listen;
use crate::config::field::Field;
use crate::limits::{CONNECTION_AGE_MAX, CONNECTION_AGE_MIN, CONNECTIONS_MAX, CONNECTIONS_MIN};

pub(super) static SECTION: Section = Section {
    name: "server",
    doc: "Where the server listens and keeps its data.",
    names: None,
    keys: &[
        Key {
            default: Some("`sessiond` in the user's state directory; `/var/lib/sessiond` for root"),
            shell: Some(absolute),
            ..Key::new(
                "data_dir",
                Field::Text {
                    takes: "the full path of a directory",
                    get: |settings, _| settings.data_dir.display().to_string(),
                    put: |settings, _, text| {
                        settings.data_dir = full_path(text)?;
                        Ok(())
                    },
                },
                "Directory of the store; created with mode 0700 if it is missing. One server at a time uses it.",
            )
            .flag("--data-dir", "SESSIOND_DATA_DIR")
        },
        Key {
            shell: Some(absolute_socket),
            ..Key::new(
                "listen",
                Field::Text {
                    takes: "HOST:PORT, or unix:PATH with a full path",
                    get: |settings, _| settings.listen.to_string(),
                    put: |settings, _, text| {
                        let listen: Listen = text.parse()?;
                        if let Listen::Unix(path) = &listen
                            && !path.is_absolute()
                        {
                            return Err("the path does not begin with /".to_owned());
                        }
                        settings.listen = listen;
                        Ok(())
                    },
                },
                "Address to listen on. Port 0 picks a free one, which is told on standard error. What is not \
                 a loopback address is refused without TLS and client certificates (`[tls]`). A socket file has mode 0600.",
            )
            .flag("--listen", "SESSIOND_LISTEN")
        },
        Key::new(
            "max_connections",
            Field::Count {
                at: |settings, _| &mut settings.max_connections,
                min: CONNECTIONS_MIN,
                max: CONNECTIONS_MAX,
            },
            "Connections there may be at a time. A newcomer takes the place of the one on which no call has been open for \
             longest, and is refused only when all have one. Each takes a descriptor; the server raises its soft limit of \
             those to the hard one.",
        ),
        Key::new(
            "max_connection_age",
            Field::Limit {
                at: |settings, _| &mut settings.max_connection_age,
                min: CONNECTION_AGE_MIN,
                max: CONNECTION_AGE_MAX,
            },
            "How old a connection may be, give or take a tenth. It takes no new calls then, streams on it are told to come \
             back (go_away, MAX_AGE), and it is closed when its calls are over: so connections spread over servers, and \
             certificates are looked at again.",
        ),
    ],
};

/// A path that means the same wherever the server is started.
pub(super) fn full_path(text: &str) -> Result<PathBuf, String> {
    if text.contains('\0') {
        return Err("no path has a NUL in it".to_owned());
    }
    if Path::new(text).is_absolute() {
        Ok(PathBuf::from(text))
    } else {
        Err("does not begin with /".to_owned())
    }
}

/// What a shell means by a path: from the directory it is in.
pub(super) fn absolute(text: &str) -> String {
    // An empty one stays, and is refused.
    match std::path::absolute(text).ok().map(PathBuf::into_os_string) {
        Some(path) => path.into_string().unwrap_or_else(|_| text.to_owned()),
        None => text.to_owned(),
    }
}

/// The same for the path of a socket.
fn absolute_socket(text: &str) -> String {
    match text.strip_prefix("unix:") {
        Some(path) => format!("unix:{}", absolute(path)),
        None => text.to_owned(),
    }
}
