//! Messages of one session that are thrown away.
//!
//! Keeps nothing of its own: it fills in one request and sends it, for each page
//! once.

use sessiond_proto::v1 as pb;

use crate::client::Client;
use crate::error::Error;
use crate::many_messages::{Pages, page_setters};
use crate::session::SessionHandle;

/// Messages to be deleted.
#[derive(Clone, Debug)]
#[must_use = "nothing is deleted before `send` or `send_all`"]
pub struct DiscardBuilder {
    client: Client,
    request: pb::DiscardMessagesRequest,
}

impl Client {
    /// Prepares to delete messages of a session by their numbers;
    /// [`DiscardBuilder::send_all`] deletes them.
    pub fn discard_messages(
        &self,
        session: pb::SessionRef,
        seqs: impl IntoIterator<Item = u64>,
    ) -> DiscardBuilder {
        DiscardBuilder {
            client: self.clone(),
            request: pb::DiscardMessagesRequest {
                r#ref: Some(session),
                seqs: seqs.into_iter().collect(),
                ..Default::default()
            },
        }
    }

    /// Prepares to delete the pending messages and dead letters of a session that
    /// match, all of them if nothing is set; [`DiscardBuilder::send_all`] deletes
    /// them.
    pub fn discard_matching(
        &self,
        session: pb::SessionRef,
        filter: pb::MessageFilter,
    ) -> DiscardBuilder {
        DiscardBuilder {
            client: self.clone(),
            request: pb::DiscardMessagesRequest {
                r#ref: Some(session),
                filter: Some(filter),
                ..Default::default()
            },
        }
    }
}

impl SessionHandle {
    /// Prepares to delete messages by their numbers;
    /// [`DiscardBuilder::send_all`] deletes them.
    pub fn discard_messages(&self, seqs: impl IntoIterator<Item = u64>) -> DiscardBuilder {
        self.client().discard_messages(self.session_ref(), seqs)
    }

    /// Prepares to delete the pending messages and dead letters that match, all
    /// of them if nothing is set; [`DiscardBuilder::send_all`] deletes them.
    pub fn discard_matching(&self, filter: pb::MessageFilter) -> DiscardBuilder {
        self.client().discard_matching(self.session_ref(), filter)
    }
}

// === impl DiscardBuilder ===

impl DiscardBuilder {
    page_setters!();

    /// Deletes one page of them, or the named ones, at most 256; the answer's
    /// `next_page_token` tells whether there are more.
    ///
    /// # Errors
    ///
    /// What `DiscardMessages` refuses. A message that stays is counted in the
    /// answer, and is no error.
    pub async fn send(self) -> Result<pb::DiscardMessagesResponse, Error> {
        self.client.discard_page(self.request).await
    }

    /// Deletes all of them, page by page, and answers with the sum of all pages.
    ///
    /// # Errors
    ///
    /// Those of [`DiscardBuilder::send`]; the pages before the one that failed
    /// were deleted.
    pub async fn send_all(mut self) -> Result<pb::DiscardMessagesResponse, Error> {
        let mut pages = Pages::new(&mut self.request.seqs, &self.request.request_id);
        let mut whole = pb::DiscardMessagesResponse::default();
        loop {
            self.request.seqs = pages.names();
            let page = self.client.discard_page(self.request.clone()).await?;
            whole.discarded += page.discarded;
            whole.not_found += page.not_found;
            whole.in_flight += page.in_flight;
            whole.duplicate |= page.duplicate;
            whole.revision = page.revision;
            let Some(request_id) = pages.next_id(&page.next_page_token) else {
                return Ok(whole);
            };
            self.request.page_token = page.next_page_token;
            self.request.request_id = request_id;
        }
    }
}
