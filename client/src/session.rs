//! A session as its owner holds it: opened by key, used by id.
//!
//! Keeps to one incarnation: a handle never follows its key to another session
//! by itself, so what it enqueues can not land in a conversation that was
//! restarted meanwhile. Dropping a handle ends nothing on the server.

mod admission;
mod end;
mod end_many;
mod end_terms;
mod keep;
mod message;
mod open;
mod purge;
mod request;
mod reset;
mod spawn;

use std::time::Duration;

use sessiond_proto::v1 as pb;

pub use self::end::EndBuilder;
pub use self::end_many::{EndSelection, EndSessionsBuilder};
pub use self::keep::KeepAlive;
pub use self::message::NewMessage;
pub use self::open::OpenBuilder;
pub(crate) use self::open::to_span;
pub use self::purge::{PurgeSelection, PurgeSessionsBuilder};
pub use self::request::RequestGuard;
pub use self::reset::ResetBuilder;
pub use self::spawn::{SESSION_ID_ENV, SESSION_KEY_ENV, SpawnError, Spawned};
use crate::client::Client;
use crate::error::Error;

/// One incarnation of a session.
#[derive(Clone, Debug)]
pub struct SessionHandle {
    client: Client,
    session_id: String,
    key: String,
    opened: Opened,
}

/// Whether an open made the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It is new.
    Created,
    /// It was there already.
    Existing,
}

// === impl SessionHandle ===

impl SessionHandle {
    /// The id of the session.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.session_id
    }

    /// The key of the session; empty when it has none.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether the open that gave this handle made the session.
    #[must_use]
    pub fn opened(&self) -> Opened {
        self.opened
    }

    /// The session as the requests name it: by id.
    #[must_use]
    pub fn session_ref(&self) -> pb::SessionRef {
        crate::client::session_id(self.session_id.clone())
    }

    /// The client behind the handle.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Reads the session as of the newest commit.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when its record was purged.
    pub async fn get(&self) -> Result<pb::Session, Error> {
        self.client.get(self.session_ref()).await
    }

    /// Makes messages durable, all or none: 1 to 256, at most 16 MiB.
    ///
    /// # Errors
    ///
    /// What `EnqueueMessages` refuses, for example
    /// [`Error::FailedPrecondition`] when the session has ended and
    /// [`Error::ResourceExhausted`] when its queue is full.
    pub async fn enqueue(
        &self,
        messages: impl IntoIterator<Item = impl Into<pb::Message>>,
    ) -> Result<pb::EnqueueMessagesResponse, Error> {
        let request = pb::EnqueueMessagesRequest {
            r#ref: Some(self.session_ref()),
            messages: messages.into_iter().map(Into::into).collect(),
            ..Default::default()
        };
        self.client.enqueue(request).await
    }

    /// Makes one message durable.
    ///
    /// # Errors
    ///
    /// Those of [`SessionHandle::enqueue`].
    pub async fn send(&self, message: impl Into<pb::Message>) -> Result<pb::EnqueueResult, Error> {
        let answer = self.enqueue([message.into()]).await?;
        let result = answer.results.into_iter().next();
        result.ok_or_else(|| Error::protocol("the server answered without a result"))
    }

    /// Says that the session is in use.
    ///
    /// # Errors
    ///
    /// What `TouchSession` refuses.
    pub async fn touch(&self) -> Result<pb::Session, Error> {
        self.touch_with(None).await
    }

    /// Says that the session is in use and adds to its usage.
    ///
    /// # Errors
    ///
    /// What `TouchSession` refuses. When the answer is lost, the usage may have
    /// been added.
    pub async fn add_usage(&self, usage: pb::Usage) -> Result<pb::Session, Error> {
        self.touch_with(Some(usage)).await
    }

    async fn touch_with(&self, usage_delta: Option<pb::Usage>) -> Result<pb::Session, Error> {
        let request = pb::TouchSessionRequest {
            r#ref: Some(self.session_ref()),
            usage_delta,
        };
        let answer = self.client.touch(request).await?;
        answer.session.ok_or_else(crate::client::no_session)
    }

    /// Changes the metadata of the session; the request's `ref` is filled in.
    ///
    /// # Errors
    ///
    /// What `UpdateSession` refuses.
    pub async fn update(
        &self,
        mut request: pb::UpdateSessionRequest,
    ) -> Result<pb::Session, Error> {
        request.r#ref = Some(self.session_ref());
        let answer = self.client.update(request).await?;
        answer.session.ok_or_else(crate::client::no_session)
    }

    /// Closes the circuit of a kind of message, so that it is accepted again at once.
    ///
    /// # Errors
    ///
    /// What `ResetCircuit` refuses.
    pub async fn reset_circuit(&self, kind: impl Into<String>) -> Result<pb::Session, Error> {
        self.reset_breaker(pb::reset_circuit_request::Target::Kind(kind.into()))
            .await
    }

    /// Forgets that its workers failed: one that is suspended is given out
    /// again at once.
    ///
    /// # Errors
    ///
    /// What `ResetCircuit` refuses.
    pub async fn reset_restart_guard(&self) -> Result<pb::Session, Error> {
        self.reset_breaker(pb::reset_circuit_request::Target::RestartGuard(true))
            .await
    }

    async fn reset_breaker(
        &self,
        target: pb::reset_circuit_request::Target,
    ) -> Result<pb::Session, Error> {
        let request = pb::ResetCircuitRequest {
            r#ref: Some(self.session_ref()),
            target: Some(target),
            request_id: String::new(),
        };
        let answer = self.client.reset_circuit(request).await?;
        answer.session.ok_or_else(crate::client::no_session)
    }

    /// Touches the session every `interval` until the guard is dropped: for a
    /// session with an `owner_timeout`, of which a third is a good interval.
    #[must_use = "dropping the guard stops the touching"]
    pub fn keep_alive(&self, interval: Duration) -> KeepAlive {
        KeepAlive::start(self.clone(), interval)
    }

    /// Begins a request: the session is in use until the guard is ended or
    /// dropped. It is not idle meanwhile, and its end waits for the request. The
    /// guard renews the lease of 30 s by itself.
    ///
    /// # Errors
    ///
    /// What `BeginRequest` refuses, for example [`Error::FailedPrecondition`] when
    /// the session is ending.
    pub async fn begin_request(&self) -> Result<RequestGuard, Error> {
        RequestGuard::begin(self.clone(), None).await
    }

    /// The same with another lease, 1 s to 1 h: how long the session counts as in
    /// use when this process dies.
    ///
    /// # Errors
    ///
    /// Those of [`SessionHandle::begin_request`].
    pub async fn begin_request_for(&self, lease: Duration) -> Result<RequestGuard, Error> {
        RequestGuard::begin(self.clone(), Some(lease)).await
    }

    /// Prepares to end the session in favour of a new one of the same key;
    /// [`ResetBuilder::send`] does it and answers with the new one's handle.
    pub fn reset(&self) -> ResetBuilder {
        ResetBuilder::new(self.client.clone(), self.session_ref())
    }

    /// Prepares the end of the session; [`EndBuilder::send`] ends it.
    pub fn end(&self, reason: pb::EndReason) -> EndBuilder {
        EndBuilder::new(self.client.clone(), self.session_ref(), reason)
    }
}

impl Client {
    /// Prepares to open the session of a key; [`OpenBuilder::open`] opens it.
    pub fn session(&self, key: impl Into<String>) -> OpenBuilder {
        OpenBuilder::new(self.clone(), key.into())
    }

    /// A handle of the session which `session` names, live or ended, without
    /// opening one.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub async fn existing(&self, session: pb::SessionRef) -> Result<SessionHandle, Error> {
        let session = self.get(session).await?;
        Ok(SessionHandle {
            client: self.clone(),
            session_id: session.session_id,
            key: session.key,
            opened: Opened::Existing,
        })
    }
}
