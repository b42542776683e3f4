//! How a session is ended.
//!
//! Keeps nothing of its own: it fills in one request and sends it.

use std::time::Duration;

use sessiond_proto::v1 as pb;

use super::end_terms::end_terms;
use super::open::to_span;
use crate::client::Client;
use crate::error::Error;

/// The end of a session, to be sent.
#[derive(Clone, Debug)]
#[must_use = "nothing ends before `send`"]
pub struct EndBuilder {
    client: Client,
    request: pb::EndSessionRequest,
}

// === impl EndBuilder ===

impl EndBuilder {
    pub(super) fn new(client: Client, session: pb::SessionRef, reason: pb::EndReason) -> Self {
        let mut request = pb::EndSessionRequest {
            r#ref: Some(session),
            ..Default::default()
        };
        request.set_reason(reason);
        Self { client, request }
    }

    end_terms!();

    /// Names the session under which the conversation goes on.
    pub fn successor(mut self, session_id: impl Into<String>) -> Self {
        self.request.successor_id = session_id.into();
        self
    }

    /// Waits until the end is reached, at most this long.
    pub fn wait(mut self, wait_for: pb::WaitFor, wait: Duration) -> Self {
        self.request.set_wait_for(wait_for);
        self.request.wait = Some(to_span(wait));
        self
    }

    /// Ends the session.
    ///
    /// # Errors
    ///
    /// What `EndSession` refuses.
    pub async fn send(self) -> Result<pb::EndSessionResponse, Error> {
        self.client.end(self.request).await
    }
}
