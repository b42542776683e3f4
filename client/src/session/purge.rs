//! How ended sessions are deleted for good.
//!
//! Keeps nothing of its own: it fills in one request and sends it, for each page
//! once. A repeat deletes nothing twice.

use std::time::Duration;

use sessiond_proto::v1 as pb;

use super::open::to_span;
use crate::client::Client;
use crate::error::Error;

/// Which ended sessions to delete.
#[derive(Clone, Debug, PartialEq)]
pub enum PurgeSelection {
    /// The ended sessions that match; one without a condition means all ended
    /// sessions of the namespace.
    Filter(pb::SessionFilter),
    /// The sessions with these ids, at most 10,000.
    SessionIds(Vec<String>),
}

/// The purge of sessions, to be sent.
#[derive(Clone, Debug)]
#[must_use = "nothing is purged before `send` or `send_all`"]
pub struct PurgeSessionsBuilder {
    client: Client,
    request: pb::PurgeSessionsRequest,
}

impl Client {
    /// Prepares to delete ended sessions with their messages;
    /// [`PurgeSessionsBuilder::send_all`] deletes them.
    pub fn purge_sessions(&self, sessions: PurgeSelection) -> PurgeSessionsBuilder {
        let mut request = pb::PurgeSessionsRequest::default();
        match sessions {
            PurgeSelection::Filter(filter) => request.filter = Some(filter),
            PurgeSelection::SessionIds(ids) => request.session_ids = ids,
        }
        PurgeSessionsBuilder {
            client: self.clone(),
            request,
        }
    }
}

// === impl PurgeSessionsBuilder ===

impl PurgeSessionsBuilder {
    /// Takes only sessions that ended at least this long ago.
    pub fn ended_for(mut self, time: Duration) -> Self {
        self.request.ended_for = Some(to_span(time));
        self
    }

    /// Sets what of sessions whose messages wait for the next session of their
    /// key. Default: KEEP, which refuses them.
    pub fn pending(mut self, policy: pb::PendingPolicy) -> Self {
        self.request.set_pending_policy(policy);
        self
    }

    /// Changes nothing, and answers what would be deleted.
    pub fn validate_only(mut self) -> Self {
        self.request.validate_only = true;
        self
    }

    /// Sets how many sessions one call answers for at most. Default: 100,000.
    pub fn page_size(mut self, sessions: u32) -> Self {
        self.request.page_size = sessions;
        self
    }

    /// Deletes one page of the sessions; the answer's `next_page_token` tells
    /// whether there are more.
    ///
    /// # Errors
    ///
    /// What `PurgeSessions` refuses. A session that is refused is a result, not
    /// an error.
    pub async fn send(self) -> Result<pb::PurgeSessionsResponse, Error> {
        self.client.purge_sessions_page(self.request).await
    }

    /// Deletes all of the sessions, page by page, and answers with the results
    /// and the sums of all pages.
    ///
    /// # Errors
    ///
    /// Those of [`PurgeSessionsBuilder::send`]; the pages before the one that
    /// failed were deleted.
    pub async fn send_all(mut self) -> Result<pb::PurgeSessionsResponse, Error> {
        let mut whole = pb::PurgeSessionsResponse::default();
        loop {
            let request = self.request.clone();
            let page = self.client.purge_sessions_page(request).await?;
            whole.results.extend(page.results);
            whole.sessions += page.sessions;
            whole.messages += page.messages;
            whole.revision = page.revision;
            if page.next_page_token.is_empty() {
                return Ok(whole);
            }
            self.request.page_token = page.next_page_token;
        }
    }
}
