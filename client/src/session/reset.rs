//! How a session is reset.
//!
//! Keeps nothing of its own: it fills in one request and sends it. What is not
//! set goes over from the session that ends.

use std::time::Duration;

use sessiond_proto::v1 as pb;

use super::open::to_limit;
use super::{Opened, SessionHandle};
use crate::client::Client;
use crate::error::Error;

/// The reset of a session, to be sent.
#[derive(Clone, Debug)]
#[must_use = "nothing is reset before `send`"]
pub struct ResetBuilder {
    client: Client,
    request: pb::ResetSessionRequest,
}

// === impl ResetBuilder ===

impl ResetBuilder {
    pub(super) fn new(client: Client, session: pb::SessionRef) -> Self {
        let request = pb::ResetSessionRequest {
            r#ref: Some(session),
            ..Default::default()
        };
        Self { client, request }
    }

    /// Says why: RESET, COMPACTED, SCHEDULED or REPLACED. Default: RESET.
    pub fn reason(mut self, reason: pb::EndReason) -> Self {
        self.request.set_reason(reason);
        self
    }

    /// Says more about it, for a person.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.request.detail = detail.into();
        self
    }

    /// Sets the id of the successor. Default: the server makes one.
    pub fn new_session_id(mut self, id: impl Into<String>) -> Self {
        self.request.new_session_id = id.into();
        self
    }

    /// Sets what becomes of the messages. Default: MOVE.
    pub fn carry(mut self, carry: pb::Carry) -> Self {
        self.request.set_carry(carry);
        self
    }

    /// Resets the session only if it still has this etag.
    pub fn etag(mut self, etag: impl Into<String>) -> Self {
        self.request.etag = etag.into();
        self
    }

    /// Sets the project the successor works in.
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.request.project = project.into();
        self
    }

    /// Says what opens the successor.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.request.source = source.into();
        self
    }

    /// Sets the agent the successor belongs to.
    pub fn agent_id(mut self, agent_id: impl Into<String>) -> Self {
        self.request.agent_id = agent_id.into();
        self
    }

    /// Adds a label of the successor. With one, no label goes over.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.request.labels.insert(name.into(), value.into());
        self
    }

    /// Sets the first prompt of the successor. Default: none.
    pub fn prompt(mut self, prompt: impl Into<String>) -> Self {
        self.request.prompt = prompt.into();
        self
    }

    /// Sets the transcript of the successor. Default: none.
    pub fn transcript_path(mut self, path: impl Into<String>) -> Self {
        self.request.transcript_path = path.into();
        self
    }

    /// Ends the successor when it is idle for longer; `None`: never.
    pub fn idle_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.request.idle_timeout = Some(to_limit(limit.into()));
        self
    }

    /// Ends the successor when it is active for longer; `None`: never.
    pub fn max_lifetime(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.request.max_lifetime = Some(to_limit(limit.into()));
        self
    }

    /// Ends the successor when its owner does not touch it for longer; `None`:
    /// never.
    pub fn owner_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.request.owner_timeout = Some(to_limit(limit.into()));
        self
    }

    /// Sets in which order the successor's messages are handed out.
    pub fn ordering(mut self, ordering: pb::Ordering) -> Self {
        self.request.set_ordering(ordering);
        self
    }

    /// Sets how many of the successor's messages may be in flight at once.
    pub fn max_in_flight(mut self, messages: u32) -> Self {
        self.request.max_in_flight = Some(messages);
        self
    }

    /// Names the session on whose behalf the successor is opened.
    pub fn parent(mut self, session_id: impl Into<String>) -> Self {
        self.request.parent_session_id = session_id.into();
        self
    }

    /// Ends the session and opens its successor, which the handle is of.
    ///
    /// # Errors
    ///
    /// What `ResetSession` refuses.
    pub async fn send(self) -> Result<SessionHandle, Error> {
        let answer = self.client.reset(self.request).await?;
        let session = answer.successor.ok_or_else(crate::client::no_session)?;
        Ok(SessionHandle {
            client: self.client,
            session_id: session.session_id,
            key: session.key,
            opened: Opened::Created,
        })
    }
}
