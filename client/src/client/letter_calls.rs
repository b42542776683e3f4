//! The unary calls about dead letters and about messages that are thrown away.
//! [`Client::dead_letters`] is the comfortable way; nothing is hidden here.

use std::time::Duration;

use futures_util::Stream;
use sessiond_proto::v1 as pb;

use super::Client;
use super::calls::fill_request_id;
use super::pages::over_pages;
use crate::error::Error;
use crate::retry::Repeat;

impl Client {
    /// Lists one page of dead letters.
    ///
    /// # Errors
    ///
    /// What `ListDeadLetters` refuses.
    pub async fn list_dead_letters(
        &self,
        request: pb::ListDeadLettersRequest,
    ) -> Result<pb::ListDeadLettersResponse, Error> {
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut messages = self.messages();
            async move { messages.list_dead_letters(request).await }
        })
        .await
    }

    /// Lists dead letters, those of older queues first: the page of the request
    /// and all that follow.
    pub fn list_all_dead_letters(
        &self,
        request: pb::ListDeadLettersRequest,
    ) -> impl Stream<Item = Result<pb::DeadLetter, Error>> + Send + Unpin + use<> {
        let client = self.clone();
        over_pages(request.page_token.clone(), move |page_token| {
            let (client, mut request) = (client.clone(), request.clone());
            request.page_token = page_token;
            async move {
                let page = client.list_dead_letters(request).await?;
                Ok((page.dead_letters, page.next_page_token))
            }
        })
    }

    /// Brings back one page of dead letters, or those that are named.
    /// [`Client::dead_letters`] and [`Client::requeue`] are the comfortable ways.
    ///
    /// # Errors
    ///
    /// What `RequeueDeadLetters` refuses.
    pub async fn requeue_page(
        &self,
        mut request: pb::RequeueDeadLettersRequest,
    ) -> Result<pb::RequeueDeadLettersResponse, Error> {
        fill_request_id(&mut request.request_id);
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut messages = self.messages();
            async move { messages.requeue_dead_letters(request).await }
        })
        .await
    }

    /// Deletes one page of a session's messages, or those that are named.
    /// [`Client::discard_messages`] and [`Client::discard_matching`] are the
    /// comfortable ways.
    ///
    /// # Errors
    ///
    /// What `DiscardMessages` refuses.
    pub async fn discard_page(
        &self,
        mut request: pb::DiscardMessagesRequest,
    ) -> Result<pb::DiscardMessagesResponse, Error> {
        fill_request_id(&mut request.request_id);
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut messages = self.messages();
            async move { messages.discard_messages(request).await }
        })
        .await
    }
}
