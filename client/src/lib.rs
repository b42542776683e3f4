//! The Rust SDK of sessiond: a client whose handles reconnect, resume and renew.
//!
//! ```no_run
//! # async fn example() -> Result<(), sessiond_client::Error> {
//! use sessiond_client::{Client, NewMessage};
//!
//! let client = Client::from_env()?;
//! let session = client.session("workspace-1").project("demo").open().await?;
//! session.send(NewMessage::new("observation").payload("{}")).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Keeps the transport out of its interface: errors are [`Error`], data are the
//! messages of [`pb`]. What is repeated is decided in `retry.rs` alone. It keeps
//! no state on disk, and whatever runs in the background ends when the value
//! that started it is dropped.

pub mod hook;

mod cause;
mod channel;
mod client;
mod dead_letters;
mod discard;
mod drain;
mod error;
mod export;
mod link;
mod many_messages;
mod plugin;
mod resources;
mod retry;
mod session;
mod watch;
mod worker;

pub use sessiond_proto::reason::Reason;
/// The messages of the wire, as data.
pub use sessiond_proto::v1 as pb;

pub use self::cause::CAUSE_ENV;
pub use self::channel::{
    ADDR_DEFAULT, CA_ENV, CLIENT_CERTIFICATE_ENV, CLIENT_KEY_ENV, CONNECT_TIMEOUT_DEFAULT, TlsFiles,
};
pub use self::client::{
    ADDR_ENV, Client, ClientBuilder, DEADLINE_DEFAULT, DECODE_BYTES_MAX, NAMESPACE_ENV, TOKEN_ENV,
    session_id, session_key,
};
pub use self::dead_letters::{DeadLetters, RequeueBuilder};
pub use self::discard::DiscardBuilder;
pub use self::drain::DrainStream;
pub use self::error::{Error, Refusal, Violation};
pub use self::export::Export;
pub use self::link::{LinkObserver, LinkState};
pub use self::plugin::{
    HandlerError, PLUGIN_STOP_GRACE_DEFAULT, Plugin, PluginBuilder, PluginError, PluginEvent,
    PluginHandler, PluginNotice, PluginObserver, PluginState,
};
pub use self::resources::{
    DeclareBuilder, RESOURCE_ENV, ReleaseBuilder, ReleaseSelection, Resources,
};
pub use self::retry::{BACKOFF_FIRST, BACKOFF_MAX, RETRY_TOTAL_DEFAULT, RetryPolicy};
pub use self::session::{
    EndBuilder, EndSelection, EndSessionsBuilder, KeepAlive, NewMessage, OpenBuilder, Opened,
    PurgeSelection, PurgeSessionsBuilder, RequestGuard, ResetBuilder, SESSION_ID_ENV,
    SESSION_KEY_ENV, SessionHandle, SpawnError, Spawned,
};
pub use self::watch::{EventStream, WatchBuilder, WatchItem};
pub use self::worker::{
    Cancellation, Delivery, Handler, Outcome, STOP_GRACE_DEFAULT, WINDOW_MESSAGES_DEFAULT,
    WINDOW_MESSAGES_MAX, Worker, WorkerBuilder, WorkerEvent,
};
