//! Accepting: takes connections as they come, one task for each, until the server stops.
//!
//! Invariant: nothing that a peer does ends it. A machine without descriptors or memory for one more is asked again after a
//! pause, which grows to a second; whoever waits meanwhile waits with the system. What this deliberately does not do: close
//! connections when the server stops; each is told to, and the process ends with those that do not.

use std::io;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::server::Connected as _;
use tower::Layer as _;

use super::Bound;
use super::call_deadline::CallDeadlines;
use super::connection::{self, Accepted};
use super::register::Register;
use super::tls::Tls;
use crate::http::Pages;
use crate::limits::STOP_CLOSING_AFTER;
use crate::stopping::Stopping;

/// After the first failure, and as long as a burst takes to be served.
const PAUSE_MIN: Duration = Duration::from_millis(5);
/// After many.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How often it is told that connections are refused.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Serves whoever connects until the server stops, and then those that are connected until they are done.
pub(super) async fn run(bound: Bound, routes: Routes, stopping: Stopping, register: Register) {
    let service = CallDeadlines.layer(bound.pages().layer(routes.prepare()));
    let closing = CancellationToken::new();
    let mut connections = JoinSet::new();
    let mut troubles = Troubles::default();
    let leaving = async {
        stopping.begun().await;
        // A call that was under way when the switch was thrown is answered or refused with a reason; one that
        // meets a closing connection is only cut.
        tokio::time::sleep(STOP_CLOSING_AFTER).await;
    };
    tokio::pin!(leaving);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut leaving => break,
            // One that panicked took its calls with it, and nobody else's.
            Some(_ended) = connections.join_next() => continue,
            accepted = bound.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => {
                troubles.accepted();
                if let Some(place) = register.admit() {
                    let (service, closing) = (service.clone(), closing.clone());
                    connections.spawn(connection::serve(accepted, service, place, closing));
                } else {
                    troubles.refused(register.max());
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                let pause = troubles.failed(&error);
                tokio::select! {
                    () = &mut leaving => break,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }
    drop(bound);
    closing.cancel();
    while connections.join_next().await.is_some() {}
}

impl Bound {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener, tls) => {
                let (socket, from) = listener.accept().await?;
                // A peer that is gone already is found out when it is read from.
                drop(socket.set_nodelay(true));
                Ok(Accepted {
                    socket: Either::Left(socket),
                    from: Some(from),
                    peer: None,
                    tls: tls.as_ref().map(Tls::acceptor),
                })
            }
            Self::Unix(listener) => {
                let (socket, _) = listener.accept().await?;
                let peer = socket.connect_info();
                Ok(Accepted {
                    socket: Either::Right(socket),
                    from: None,
                    peer: Some(peer),
                    tls: None,
                })
            }
        }
    }

    /// The pages that may call.
    fn pages(&self) -> Pages {
        match self {
            Self::Tcp(_, Some(_)) => Pages::OfTheHost,
            Self::Tcp(_, None) | Self::Unix(_) => Pages::Local,
        }
    }
}

/// Whether it is about a connection that was gone before it was accepted, and about no other.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// What keeps connections out, and when it was told last.
#[derive(Debug, Default)]
struct Troubles {
    pause: Option<Duration>,
    refused: u64,
    told: Option<tokio::time::Instant>,
}

impl Troubles {
    fn accepted(&mut self) {
        self.pause = None;
    }

    /// How long to wait after one more failure.
    fn failed(&mut self, error: &io::Error) -> Duration {
        let pause = self
            .pause
            .map_or(PAUSE_MIN, |pause| (pause * 2).min(PAUSE_MAX));
        self.pause = Some(pause);
        if self.is_to_be_told() {
            tracing::warn!(%error, "no connection can be accepted; trying again");
        }
        pause
    }

    /// One connection was closed because there are too many.
    fn refused(&mut self, connections_max: usize) {
        self.refused += 1;
        if self.is_to_be_told() {
            tracing::warn!(
                connections = connections_max,
                refused = self.refused,
                "connections are refused: as many as there may be have a call open ([server] max_connections)",
            );
            self.refused = 0;
        }
    }

    fn is_to_be_told(&mut self) -> bool {
        let is_due = self.told.is_none_or(|told| told.elapsed() >= TOLD_EVERY);
        if is_due {
            self.told = Some(tokio::time::Instant::now());
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_second_and_begin_anew() {
        let full = io::Error::from_raw_os_error(24);
        assert!(!is_of_one_connection(&full));
        let mut troubles = Troubles::default();
        let pauses: Vec<u64> = (0..10)
            .map(|_| troubles.failed(&full).as_millis().try_into().unwrap())
            .collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 1_000, 1_000]);
        troubles.accepted();
        assert_eq!(troubles.failed(&full), PAUSE_MIN);
    }
}
