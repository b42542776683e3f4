//! How a worker is configured.
//!
//! Keeps bad settings out before anything is sent, as far as the client can
//! judge them; limits are the server's to check.

use std::time::Duration;

use sessiond_proto::v1 as pb;
use uuid::Uuid;

use super::{RelaxedSessions, Settings, Worker};
use crate::client::Client;
use crate::error::Error;
use crate::link::LinkTeller;

/// How many messages a worker takes at once unless it says otherwise.
pub const WINDOW_MESSAGES_DEFAULT: u32 = 16;

/// How many messages a worker may take at once.
pub const WINDOW_MESSAGES_MAX: u32 = 4_096;

/// How long handlers may go on after the shutdown, unless the builder says
/// otherwise.
pub const STOP_GRACE_DEFAULT: Duration = Duration::from_secs(10);

/// The settings of a [`Worker`].
#[derive(Clone, Debug)]
#[must_use = "a worker does nothing before it is built and run"]
pub struct WorkerBuilder {
    client: Client,
    hello: pb::Hello,
    window: pb::Window,
    targets: Vec<pb::SessionRef>,
    relaxed: RelaxedSessions,
    stop_grace: Duration,
}

// === impl WorkerBuilder ===

impl WorkerBuilder {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            hello: pb::Hello::default(),
            window: pb::Window::default(),
            targets: Vec::new(),
            relaxed: RelaxedSessions::OneByOne,
            stop_grace: STOP_GRACE_DEFAULT,
        }
    }

    /// Sets the worker's name, the same after a restart. Required.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.hello.worker = name.into();
        self
    }

    /// Sets what tells this process from others of the same name. Default: a
    /// fresh UUID. Another stream with the same id takes over from this one.
    pub fn instance_id(mut self, instance_id: impl Into<String>) -> Self {
        self.hello.instance_id = instance_id.into();
        self
    }

    /// Tells operators which build runs.
    pub fn build_id(mut self, build_id: impl Into<String>) -> Self {
        self.hello.build_id = build_id.into();
        self
    }

    /// Adds a label for operators.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.hello.labels.insert(name.into(), value.into());
        self
    }

    /// Sets how many messages are taken, and handlers run, at once: 1 to 4,096.
    /// Default: 16.
    pub fn window(mut self, max_messages: u32) -> Self {
        self.window.max_messages = Some(max_messages);
        self
    }

    /// Sets how many bytes of payload are taken at once. Default: 64 MiB.
    pub fn window_bytes(mut self, max_bytes: u64) -> Self {
        self.window.max_bytes = Some(max_bytes);
        self
    }

    /// Sets how many sessions the server may assign by `serves`. Default: 100.
    pub fn max_sessions(mut self, max_sessions: u32) -> Self {
        self.window.max_sessions = Some(max_sessions);
        self
    }

    /// Lets the server assign matching sessions that have work and no worker. An
    /// empty filter serves any session.
    pub fn serves(mut self, filter: pb::SessionFilter) -> Self {
        self.hello.serves = Some(filter);
        self
    }

    /// Takes this session and takes it again when the lease is lost, as long as
    /// the session lives. May be called many times.
    pub fn attach(mut self, session: pb::SessionRef) -> Self {
        self.targets.push(session);
        self
    }

    /// Works on several deliveries of a session at once when its ordering is
    /// RELAXED. Default: on one after the other, whatever the ordering.
    pub fn parallel_when_relaxed(mut self) -> Self {
        self.relaxed = RelaxedSessions::AtOnce;
        self
    }

    /// Sets how long handlers may go on after the shutdown. Default: 10 s. Then
    /// their deliveries are cancelled, and shortly after they are dropped.
    pub fn stop_grace(mut self, grace: Duration) -> Self {
        self.stop_grace = grace;
        self
    }

    /// Builds the worker. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] without a name, with a window that takes nothing, or
    /// with neither `serves` nor `attach`.
    pub fn build(self) -> Result<Worker, Error> {
        if self.hello.worker.is_empty() {
            return Err(Error::setting("a worker needs a name"));
        }
        if self.hello.serves.is_none() && self.targets.is_empty() {
            return Err(Error::setting("a worker needs `serves` or `attach`"));
        }
        let window_messages = self.window.max_messages.unwrap_or(WINDOW_MESSAGES_DEFAULT);
        if !(1..=WINDOW_MESSAGES_MAX).contains(&window_messages) {
            return Err(Error::setting(format!(
                "the window must be 1 to {WINDOW_MESSAGES_MAX} messages (got {window_messages})"
            )));
        }
        let mut hello = self.hello;
        hello.window = Some(self.window);
        if hello.instance_id.is_empty() {
            hello.instance_id = Uuid::now_v7().to_string();
        }
        Ok(Worker {
            client: self.client,
            settings: Settings {
                hello,
                targets: self.targets,
                window_messages,
                relaxed: self.relaxed,
                stop_grace: self.stop_grace,
            },
            link: LinkTeller::new(),
        })
    }
}
