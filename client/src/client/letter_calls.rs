//! The unary calls about dead letters. [`Client::dead_letters`] is the
//! comfortable way; nothing is hidden here.

use std::time::Duration;

use futures_util::Stream;
use sessiond_proto::v1 as pb;

use super::Client;
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
}
