//! SIGHUP: what may change while the server runs is read again, which are the files of TLS.
//!
//! On a terminal it is left alone: there it means that the terminal is gone, and the process with it. What this deliberately
//! does not do: change settings.

use std::io::{self, IsTerminal as _};

use sessiond::transport::tls::Tls;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals, as they come.
#[derive(Debug)]
pub(crate) struct Hangups(Option<Signal>);

impl Hangups {
    /// Takes them from here on.
    pub(crate) fn take() -> Self {
        let take = || signal(SignalKind::hangup()).expect("the runtime takes signals");
        Self((!io::stdin().is_terminal()).then(take))
    }

    /// Reads again with each, until the process ends.
    pub(crate) async fn heed(self, tls: Option<Tls>) {
        let Some(mut hangups) = self.0 else { return };
        while hangups.recv().await.is_some() {
            match tls.clone() {
                // The disk may take its time.
                Some(tls) => {
                    let read = tokio::task::spawn_blocking(move || tls.refresh());
                    // Only a stop of the process keeps it from being done.
                    drop(read.await);
                }
                None => tracing::info!("SIGHUP: there are no files of TLS to read again"),
            }
        }
    }
}
