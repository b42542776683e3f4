//! The listener and the HTTP/2 settings of the one port.
//!
//! Bounds that a peer meets before any handler does are set here: streams per connection, windows,
//! keepalive, and the guard against browsers' pages. When streams are told to end and connections are
//! cut is decided in `app`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::{Connected, TcpIncoming};

use crate::config::Listen;
use crate::env::Network;
use crate::http::LocalPagesOnly;
use crate::limits::STOP_CLOSING_AFTER;
use crate::stopping::Stopping;

/// Streams one connection may have open.
const STREAMS_PER_CONNECTION: u32 = 256;
/// Bytes one stream may send ahead of its reader.
const STREAM_WINDOW: u32 = 256 * 1_024;
/// Bytes one connection may send ahead: every stream its window, or two unread streams would block
/// every call beside them.
const CONNECTION_WINDOW: u32 = STREAMS_PER_CONNECTION * STREAM_WINDOW;
/// How often a silent connection is asked whether it is there.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
/// How long it may take to answer.
const KEEPALIVE_WITHIN: Duration = Duration::from_secs(10);

/// A bound listener.
#[derive(Debug)]
pub enum Bound {
    /// On TCP.
    Tcp(TcpListener),
    /// On a socket file.
    Unix(UnixListener),
}

/// Binds where `listen` says; answers also with the address clients use.
///
/// # Errors
/// The system's, with the address not yet in it.
pub async fn bind(network: &dyn Network, listen: &Listen) -> std::io::Result<(Bound, String)> {
    match listen {
        Listen::Tcp(address) => {
            let listener = network.listen(*address).await?;
            let address = listener.local_addr()?.to_string();
            Ok((Bound::Tcp(listener), address))
        }
        Listen::Unix(path) => {
            remove_dead_socket(path).await?;
            let listener = UnixListener::bind(path)?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
            Ok((Bound::Unix(listener), format!("unix:{}", path.display())))
        }
    }
}

/// A socket file that nobody answers on is left over from a server that was killed.
async fn remove_dead_socket(path: &Path) -> std::io::Result<()> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    let socket = std::os::unix::fs::FileTypeExt::is_socket(&metadata.file_type());
    let dead = socket && tokio::net::UnixStream::connect(path).await.is_err();
    if dead {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// Serves until the server stops and every connection is done.
///
/// # Errors
/// tonic's, if the listener fails.
pub async fn serve(
    bound: Bound,
    routes: Routes,
    stopping: Stopping,
) -> Result<(), tonic::transport::Error> {
    match bound {
        Bound::Tcp(listener) => {
            // Set here because the builder's own setting is ignored with a listener of ours.
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            serve_on(incoming, routes, stopping).await
        }
        Bound::Unix(listener) => {
            serve_on(UnixListenerStream::new(listener), routes, stopping).await
        }
    }
}

async fn serve_on<I, C>(
    incoming: I,
    routes: Routes,
    stopping: Stopping,
) -> Result<(), tonic::transport::Error>
where
    I: Stream<Item = std::io::Result<C>>,
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    C::ConnectInfo: Clone + Send + Sync + 'static,
{
    Server::builder()
        .accept_http1(true)
        .max_concurrent_streams(Some(STREAMS_PER_CONNECTION))
        .initial_stream_window_size(Some(STREAM_WINDOW))
        .initial_connection_window_size(Some(CONNECTION_WINDOW))
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_WITHIN))
        .layer(LocalPagesOnly)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, async move {
            stopping.begun().await;
            // A call that was under way when the switch was thrown is answered or refused with a reason; one that
            // meets a closing connection is only cut.
            tokio::time::sleep(STOP_CLOSING_AFTER).await;
        })
        .await
}
