//! The unary calls about messages that are sent and worked on.
//! [`crate::SessionHandle`] and [`crate::Worker`] are the comfortable ways;
//! nothing is hidden here.

use std::time::Duration;

use sessiond_proto::v1 as pb;

use super::calls::{fill_request_id, span};
use super::{Client, DECODE_BYTES_MAX, Messages};
use crate::error::Error;
use crate::retry::Repeat;

impl Client {
    /// Makes messages durable, all or none.
    ///
    /// # Errors
    ///
    /// What `EnqueueMessages` refuses. A skipped or duplicate message is an
    /// answer, not an error.
    pub async fn enqueue(
        &self,
        mut request: pb::EnqueueMessagesRequest,
    ) -> Result<pb::EnqueueMessagesResponse, Error> {
        fill_request_id(&mut request.request_id);
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut messages = self.messages();
            async move { messages.enqueue_messages(request).await }
        })
        .await
    }

    /// Takes messages without a stream. Until they are settled, a repeat of the
    /// same worker instance gets the same ones again.
    ///
    /// # Errors
    ///
    /// What `ClaimMessages` refuses, for example [`Error::FailedPrecondition`]
    /// when another worker holds the session.
    pub async fn claim(
        &self,
        request: pb::ClaimMessagesRequest,
    ) -> Result<pb::ClaimMessagesResponse, Error> {
        let wait = span(request.wait.as_ref());
        self.call(Repeat::Harmless, wait, request, |request| {
            let mut messages = self.messages();
            async move { messages.claim_messages(request).await }
        })
        .await
    }

    /// Settles deliveries; each is answered by a code of its own.
    ///
    /// # Errors
    ///
    /// What `SettleMessages` refuses.
    pub async fn settle(
        &self,
        request: pb::SettleMessagesRequest,
    ) -> Result<pb::SettleMessagesResponse, Error> {
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut messages = self.messages();
            async move { messages.settle_messages(request).await }
        })
        .await
    }

    /// Lists one page of a session's unsettled messages and dead letters.
    ///
    /// # Errors
    ///
    /// What `ListMessages` refuses.
    pub async fn list_messages(
        &self,
        request: pb::ListMessagesRequest,
    ) -> Result<pb::ListMessagesResponse, Error> {
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut messages = self.messages();
            async move { messages.list_messages(request).await }
        })
        .await
    }

    pub(super) fn messages(&self) -> Messages {
        Messages::new(self.channels.unary.clone()).max_decoding_message_size(DECODE_BYTES_MAX)
    }
}
