//! How many sessions are ended at once.
//!
//! Keeps nothing of its own: it fills in one request and sends it, for each page
//! once. A repeat is harmless: what has ended keeps its end.

use std::time::Duration;

use sessiond_proto::v1 as pb;

use super::end_terms::end_terms;
use super::open::to_span;
use crate::client::Client;
use crate::error::Error;

/// Which sessions to end.
#[derive(Clone, Debug, PartialEq)]
pub enum EndSelection {
    /// The live sessions that match; one without a condition means all live
    /// sessions of the namespace.
    Filter(pb::SessionFilter),
    /// The sessions with these ids, at most 10,000.
    SessionIds(Vec<String>),
    /// The live sessions with a key that matches: `*` stands for any run of
    /// characters, `?` for one.
    KeyGlob(String),
}

/// The end of many sessions, to be sent.
#[derive(Clone, Debug)]
#[must_use = "nothing ends before `send` or `send_all`"]
pub struct EndSessionsBuilder {
    client: Client,
    request: pb::EndSessionsRequest,
}

impl Client {
    /// Prepares the end of many sessions; [`EndSessionsBuilder::send_all`] ends
    /// them.
    pub fn end_sessions(
        &self,
        sessions: EndSelection,
        reason: pb::EndReason,
    ) -> EndSessionsBuilder {
        let mut request = pb::EndSessionsRequest::default();
        match sessions {
            EndSelection::Filter(filter) => request.filter = Some(filter),
            EndSelection::SessionIds(ids) => request.session_ids = ids,
            EndSelection::KeyGlob(glob) => request.key_glob = glob,
        }
        request.set_reason(reason);
        EndSessionsBuilder {
            client: self.clone(),
            request,
        }
    }
}

// === impl EndSessionsBuilder ===

impl EndSessionsBuilder {
    end_terms!();

    /// Changes nothing, and answers what would end.
    pub fn validate_only(mut self) -> Self {
        self.request.validate_only = true;
        self
    }

    /// Sets how many sessions one call ends at most. Default: 100,000.
    pub fn page_size(mut self, sessions: u32) -> Self {
        self.request.page_size = sessions;
        self
    }

    /// Ends one page of the sessions; the answer's `next_page_token` tells
    /// whether there are more.
    ///
    /// # Errors
    ///
    /// What `EndSessions` refuses. A session that is refused is a result, not an
    /// error.
    pub async fn send(self) -> Result<pb::EndSessionsResponse, Error> {
        self.client.end_sessions_page(self.request).await
    }

    /// Ends all of the sessions, page by page, and answers with the results of
    /// all pages.
    ///
    /// # Errors
    ///
    /// Those of [`EndSessionsBuilder::send`]; the pages before the one that
    /// failed were ended.
    pub async fn send_all(mut self) -> Result<pb::EndSessionsResponse, Error> {
        let mut results = Vec::new();
        loop {
            let mut page = self.client.end_sessions_page(self.request.clone()).await?;
            results.append(&mut page.results);
            if page.next_page_token.is_empty() {
                page.results = results;
                return Ok(page);
            }
            self.request.page_token = page.next_page_token;
        }
    }
}
