//! How a session is opened.
//!
//! Keeps nothing of its own: it fills in one request and sends it. What is not
//! set takes the server's default.

use std::time::Duration;

use sessiond_proto::v1 as pb;

use super::{Opened, SessionHandle};
use crate::client::Client;
use crate::error::Error;

/// A session to be opened.
#[derive(Clone, Debug)]
pub struct OpenBuilder {
    client: Client,
    request: pb::OpenSessionRequest,
}

// === impl OpenBuilder ===

impl OpenBuilder {
    pub(super) fn new(client: Client, key: String) -> Self {
        let request = pb::OpenSessionRequest {
            key,
            ..Default::default()
        };
        Self { client, request }
    }

    /// Sets the id of a new session. Default: the server makes one.
    #[must_use]
    pub fn session_id(mut self, id: impl Into<String>) -> Self {
        self.request.session_id = id.into();
        self
    }

    /// Sets the pool to count against.
    #[must_use]
    pub fn pool(mut self, pool: impl Into<String>) -> Self {
        self.request.pool = pool.into();
        self
    }

    /// Sets the project the session works in.
    #[must_use]
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.request.project = project.into();
        self
    }

    /// Says what opens the session.
    #[must_use]
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.request.source = source.into();
        self
    }

    /// Sets the agent the session belongs to.
    #[must_use]
    pub fn agent_id(mut self, agent_id: impl Into<String>) -> Self {
        self.request.agent_id = agent_id.into();
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.request.labels.insert(name.into(), value.into());
        self
    }

    /// Sets the user's prompt.
    #[must_use]
    pub fn prompt(mut self, prompt: impl Into<String>) -> Self {
        self.request.prompt = prompt.into();
        self
    }

    /// Sets the transcript of the conversation.
    #[must_use]
    pub fn transcript_path(mut self, path: impl Into<String>) -> Self {
        self.request.transcript_path = path.into();
        self
    }

    /// Ends the session when it is idle for longer; `None`: never.
    #[must_use]
    pub fn idle_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.request.idle_timeout = Some(to_limit(limit.into()));
        self
    }

    /// Ends the session when it is active for longer; `None`: never.
    #[must_use]
    pub fn max_lifetime(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.request.max_lifetime = Some(to_limit(limit.into()));
        self
    }

    /// Ends the session when its owner does not touch it for longer; `None`:
    /// never.
    #[must_use]
    pub fn owner_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.request.owner_timeout = Some(to_limit(limit.into()));
        self
    }

    /// Says what to do when the key has a live session.
    #[must_use]
    pub fn conflict_policy(mut self, policy: pb::ConflictPolicy) -> Self {
        self.request.set_conflict_policy(policy);
        self
    }

    /// Accepts to wait for a slot of a full pool, at most this long: the session
    /// is then QUEUED, and [`SessionHandle::admitted`] waits for its slot.
    #[must_use]
    pub fn wait_for_slot(mut self, wait: Duration) -> Self {
        self.request.wait_for_slot = Some(to_span(wait));
        self
    }

    /// Sets in which order messages are handed out.
    #[must_use]
    pub fn ordering(mut self, ordering: pb::Ordering) -> Self {
        self.request.set_ordering(ordering);
        self
    }

    /// Sets how many messages may be in flight at once.
    #[must_use]
    pub fn max_in_flight(mut self, messages: u32) -> Self {
        self.request.max_in_flight = Some(messages);
        self
    }

    /// Names the session on whose behalf this one is opened.
    #[must_use]
    pub fn parent(mut self, session_id: impl Into<String>) -> Self {
        self.request.parent_session_id = session_id.into();
        self
    }

    /// The request as it stands, for example for `open_if_missing`.
    #[must_use]
    pub fn into_request(self) -> pb::OpenSessionRequest {
        self.request
    }

    /// Opens the session, or takes the live one of the key.
    ///
    /// # Errors
    ///
    /// What `OpenSession` refuses.
    pub async fn open(self) -> Result<SessionHandle, Error> {
        let answer = self.client.open(self.request).await?;
        let session = answer.session.ok_or_else(crate::client::no_session)?;
        let opened = if answer.created {
            Opened::Created
        } else {
            Opened::Existing
        };
        Ok(SessionHandle {
            client: self.client,
            session_id: session.session_id,
            key: session.key,
            opened,
        })
    }
}

/// A limit as the wire has it; `None` turns it off.
pub(super) fn to_limit(limit: Option<Duration>) -> pb::Limit {
    let bound = match limit {
        Some(after) => pb::limit::Bound::After(to_span(after)),
        None => pb::limit::Bound::Never(true),
    };
    pb::Limit { bound: Some(bound) }
}

/// A span as the wire has it. One that the wire cannot express becomes the
/// longest it can, which the server refuses and names.
pub(crate) fn to_span(span: Duration) -> prost_types::Duration {
    span.try_into().unwrap_or(prost_types::Duration {
        seconds: i64::MAX,
        nanos: 0,
    })
}
