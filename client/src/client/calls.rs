//! The unary calls about sessions, one method for each RPC: a request message
//! in, the answer or a typed error out; and what all unary calls have in common.
//!
//! Keeps every mutation safe to repeat: where the caller gave no request id, one
//! is made before the first attempt and stays the same. The handles of
//! `session.rs` are the comfortable way; nothing is hidden here.

use std::time::Duration;

use sessiond_proto::v1 as pb;
use uuid::Uuid;

use super::{Client, DECODE_BYTES_MAX, Sessions};
use crate::error::Error;
use crate::retry::Repeat;

/// How long one call about many sessions may work and wait for its turn,
/// beside the deadline of every call: a full page takes seconds.
pub(super) const BULK_WAIT: Duration = Duration::from_secs(60);

impl Client {
    /// Opens a session, or returns the live one of its key.
    ///
    /// # Errors
    ///
    /// What `OpenSession` refuses, for example [`Error::AlreadyExists`] and
    /// [`Error::ResourceExhausted`] (the pool is full).
    pub async fn open(
        &self,
        mut request: pb::OpenSessionRequest,
    ) -> Result<pb::OpenSessionResponse, Error> {
        fill_request_id(&mut request.request_id);
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut sessions = self.sessions();
            async move { sessions.open_session(request).await }
        })
        .await
    }

    /// Reads one session as of the newest commit.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub async fn get(&self, session: pb::SessionRef) -> Result<pb::Session, Error> {
        let request = pb::GetSessionRequest {
            r#ref: Some(session),
        };
        let answer = self
            .call(Repeat::Harmless, Duration::ZERO, request, |request| {
                let mut sessions = self.sessions();
                async move { sessions.get_session(request).await }
            })
            .await?;
        answer.session.ok_or_else(no_session)
    }

    /// Explains a session: what holds it, what becomes of it and when, and why
    /// its pending work does not move.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub async fn explain(
        &self,
        session: pb::SessionRef,
    ) -> Result<pb::ExplainSessionResponse, Error> {
        let request = pb::ExplainSessionRequest {
            r#ref: Some(session),
        };
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut sessions = self.sessions();
            async move { sessions.explain_session(request).await }
        })
        .await
    }

    /// Lists one page of sessions.
    ///
    /// # Errors
    ///
    /// What `ListSessions` refuses.
    pub async fn list(
        &self,
        request: pb::ListSessionsRequest,
    ) -> Result<pb::ListSessionsResponse, Error> {
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut sessions = self.sessions();
            async move { sessions.list_sessions(request).await }
        })
        .await
    }

    /// Changes the metadata of a live session.
    ///
    /// # Errors
    ///
    /// What `UpdateSession` refuses, for example [`Error::Conflict`] when its
    /// etag is another.
    pub async fn update(
        &self,
        mut request: pb::UpdateSessionRequest,
    ) -> Result<pb::UpdateSessionResponse, Error> {
        fill_request_id(&mut request.request_id);
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut sessions = self.sessions();
            async move { sessions.update_session(request).await }
        })
        .await
    }

    /// Says that a session is in use. With a usage it is repeated only when the
    /// server certainly refused it, because usage would count twice.
    ///
    /// # Errors
    ///
    /// What `TouchSession` refuses.
    pub async fn touch(
        &self,
        request: pb::TouchSessionRequest,
    ) -> Result<pb::TouchSessionResponse, Error> {
        let repeat = match request.usage_delta {
            Some(_) => Repeat::CountsTwice,
            None => Repeat::Harmless,
        };
        self.call(repeat, Duration::ZERO, request, |request| {
            let mut sessions = self.sessions();
            async move { sessions.touch_session(request).await }
        })
        .await
    }

    /// Says that a session is in use for a while, or renews such a request. An
    /// answer that is lost costs little: the call is repeated, and a request that
    /// nobody knows of ends by its lease. [`crate::SessionHandle::begin_request`]
    /// renews by itself.
    ///
    /// # Errors
    ///
    /// What `BeginRequest` refuses.
    pub async fn begin_request(
        &self,
        request: pb::BeginRequestRequest,
    ) -> Result<pb::BeginRequestResponse, Error> {
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut sessions = self.sessions();
            async move { sessions.begin_request(request).await }
        })
        .await
    }

    /// Says that a request is over. One that is over already is no failure.
    ///
    /// # Errors
    ///
    /// What `EndRequest` refuses.
    pub async fn end_request(
        &self,
        request: pb::EndRequestRequest,
    ) -> Result<pb::EndRequestResponse, Error> {
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut sessions = self.sessions();
            async move { sessions.end_request(request).await }
        })
        .await
    }

    /// Ends a session. Ending an ended one answers with its original end.
    ///
    /// # Errors
    ///
    /// What `EndSession` refuses.
    pub async fn end(
        &self,
        mut request: pb::EndSessionRequest,
    ) -> Result<pb::EndSessionResponse, Error> {
        fill_request_id(&mut request.request_id);
        let wait = span(request.wait.as_ref());
        self.call(Repeat::Harmless, wait, request, |request| {
            let mut sessions = self.sessions();
            async move { sessions.end_session(request).await }
        })
        .await
    }

    /// Ends one page of many sessions; each is answered by a result of its own.
    /// [`Client::end_sessions`] is the comfortable way.
    ///
    /// # Errors
    ///
    /// What `EndSessions` refuses.
    pub async fn end_sessions_page(
        &self,
        request: pb::EndSessionsRequest,
    ) -> Result<pb::EndSessionsResponse, Error> {
        self.call(Repeat::Harmless, BULK_WAIT, request, |request| {
            let mut sessions = self.sessions();
            async move { sessions.end_sessions(request).await }
        })
        .await
    }

    /// Ends a live session and opens its successor in one commit.
    ///
    /// # Errors
    ///
    /// What `ResetSession` refuses, for example [`Error::FailedPrecondition`] when
    /// the session has ended.
    pub async fn reset(
        &self,
        mut request: pb::ResetSessionRequest,
    ) -> Result<pb::ResetSessionResponse, Error> {
        fill_request_id(&mut request.request_id);
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut sessions = self.sessions();
            async move { sessions.reset_session(request).await }
        })
        .await
    }

    /// Deletes one page of ended sessions; each is answered by a result of its own.
    /// [`Client::purge_sessions`] is the comfortable way.
    ///
    /// # Errors
    ///
    /// What `PurgeSessions` refuses.
    pub async fn purge_sessions_page(
        &self,
        request: pb::PurgeSessionsRequest,
    ) -> Result<pb::PurgeSessionsResponse, Error> {
        self.call(Repeat::Harmless, BULK_WAIT, request, |request| {
            let mut sessions = self.sessions();
            async move { sessions.purge_sessions(request).await }
        })
        .await
    }

    fn sessions(&self) -> Sessions {
        Sessions::new(self.channels.unary.clone()).max_decoding_message_size(DECODE_BYTES_MAX)
    }
}

/// Names a session by its id: one incarnation and no other.
#[must_use]
pub fn session_id(id: impl Into<String>) -> pb::SessionRef {
    pb::SessionRef {
        r#ref: Some(pb::session_ref::Ref::SessionId(id.into())),
    }
}

/// Names a session by its key.
#[must_use]
pub fn session_key(key: impl Into<String>) -> pb::SessionRef {
    pb::SessionRef {
        r#ref: Some(pb::session_ref::Ref::Key(key.into())),
    }
}

pub(crate) fn no_session() -> Error {
    Error::protocol("the server answered without a session")
}

/// A request id for a request that has none.
pub(super) fn fill_request_id(request_id: &mut String) {
    if request_id.is_empty() {
        *request_id = Uuid::now_v7().to_string();
    }
}

/// How long the server was asked to wait. What is not a duration is refused by
/// the server, so it counts as nothing here.
pub(super) fn span(duration: Option<&prost_types::Duration>) -> Duration {
    duration
        .and_then(|duration| Duration::try_from(*duration).ok())
        .unwrap_or_default()
}
