//! The one port: binds it, and serves connections until the server stops.
//!
//! ```text
//!  accept (accept.rs) ──► TLS (tls.rs) and first bytes (opening.rs), 5 s ──► HTTP/2 or HTTP/1 (connection.rs) ──► the routes
//!                              a place in the register of connections (register.rs) from accept to close
//! ```
//!
//! Bounds that a peer meets before any handler does are set here and below: how many connections there are, how long one may
//! say nothing and how old it may be, streams per connection, windows, buffers, keepalive, and the guard against browsers'
//! pages. When all of them end is decided in `app`, for one that is old in `connection.rs`. What this deliberately does not
//! do: know what is served.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::net::{TcpListener, UnixListener};
use tonic::service::Routes;

use crate::config::Listen;
use crate::env::Network;
use crate::stopping::Stopping;
use tls::Tls;

mod accept;
mod call_deadline;
mod connection;
mod max_age;
mod opening;
mod register;
pub mod tls;

pub(crate) use max_age::MaxAge;
pub(crate) use register::Counts;
pub use register::Register;

/// A bound listener.
#[derive(Debug)]
pub enum Bound {
    /// On TCP, in TLS if there is any.
    Tcp(TcpListener, Option<Tls>),
    /// On a socket file.
    Unix(UnixListener),
}

impl Bound {
    /// Its TLS, where there is any.
    #[must_use]
    pub fn tls(&self) -> Option<Tls> {
        match self {
            Self::Tcp(_, tls) => tls.clone(),
            Self::Unix(_) => None,
        }
    }
}

/// Binds where `listen` says, with TLS for TCP; answers also with the address clients use.
///
/// # Errors
/// The system's, with the address not yet in it.
pub async fn bind(
    network: &dyn Network,
    listen: &Listen,
    tls: Option<Tls>,
) -> std::io::Result<(Bound, String)> {
    match listen {
        Listen::Tcp(address) => {
            let listener = network.listen(*address).await?;
            let address = listener.local_addr()?.to_string();
            Ok((Bound::Tcp(listener, tls), address))
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

/// Serves until the server stops and every connection is done; as many at a time as the register has room for.
pub async fn serve(bound: Bound, routes: Routes, stopping: Stopping, register: Register) {
    accept::run(bound, routes, stopping, register).await;
}
