//! The unary calls about subscriptions. [`Client::plugin`] is the comfortable way; nothing is hidden here.

use std::time::Duration;

use futures_util::Stream;
use sessiond_proto::v1 as pb;

use super::calls::fill_request_id;
use super::pages::over_pages;
use super::{Client, DECODE_BYTES_MAX, SubscriptionCalls};
use crate::error::Error;
use crate::retry::Repeat;

impl Client {
    /// Makes a subscription, or returns the one of that name.
    ///
    /// # Errors
    ///
    /// What `CreateSubscription` refuses, for example [`Error::AlreadyExists`]
    /// when it exists with another filter.
    pub async fn create_subscription(
        &self,
        mut request: pb::CreateSubscriptionRequest,
    ) -> Result<pb::CreateSubscriptionResponse, Error> {
        fill_request_id(&mut request.request_id);
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut subscriptions = self.subscription_calls();
            async move { subscriptions.create_subscription(request).await }
        })
        .await
    }

    /// Reads one subscription, with its lag.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub async fn get_subscription(
        &self,
        name: impl Into<String>,
    ) -> Result<pb::Subscription, Error> {
        let request = pb::GetSubscriptionRequest { name: name.into() };
        let answer = self
            .call(Repeat::Harmless, Duration::ZERO, request, |request| {
                let mut subscriptions = self.subscription_calls();
                async move { subscriptions.get_subscription(request).await }
            })
            .await?;
        answer.subscription.ok_or_else(no_subscription)
    }

    /// Lists one page of subscriptions.
    ///
    /// # Errors
    ///
    /// What `ListSubscriptions` refuses.
    pub async fn list_subscriptions(
        &self,
        request: pb::ListSubscriptionsRequest,
    ) -> Result<pb::ListSubscriptionsResponse, Error> {
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut subscriptions = self.subscription_calls();
            async move { subscriptions.list_subscriptions(request).await }
        })
        .await
    }

    /// Lists subscriptions by name: the page of the request and all that follow.
    pub fn list_all_subscriptions(
        &self,
        request: pb::ListSubscriptionsRequest,
    ) -> impl Stream<Item = Result<pb::Subscription, Error>> + Send + Unpin + use<> {
        let client = self.clone();
        over_pages(request.page_token.clone(), move |page_token| {
            let (client, mut request) = (client.clone(), request.clone());
            request.page_token = page_token;
            async move {
                let page = client.list_subscriptions(request).await?;
                Ok((page.subscriptions, page.next_page_token))
            }
        })
    }

    /// Says that everything up to a revision was handled; answers up to where
    /// everything is acknowledged.
    ///
    /// # Errors
    ///
    /// What `AckEvents` refuses, for example [`Error::LeaseLost`] when another
    /// consumer has the subscription.
    pub async fn ack_events(&self, request: pb::AckEventsRequest) -> Result<u64, Error> {
        let answer = self
            .call(Repeat::Harmless, Duration::ZERO, request, |request| {
                let mut subscriptions = self.subscription_calls();
                async move { subscriptions.ack_events(request).await }
            })
            .await?;
        Ok(answer.acked_revision)
    }

    /// Has a subscription go on from another place.
    ///
    /// # Errors
    ///
    /// What `SeekSubscription` refuses, for example [`Error::Compacted`].
    pub async fn seek_subscription(
        &self,
        mut request: pb::SeekSubscriptionRequest,
    ) -> Result<pb::Subscription, Error> {
        fill_request_id(&mut request.request_id);
        let answer = self
            .call(Repeat::Harmless, Duration::ZERO, request, |request| {
                let mut subscriptions = self.subscription_calls();
                async move { subscriptions.seek_subscription(request).await }
            })
            .await?;
        answer.subscription.ok_or_else(no_subscription)
    }

    /// Forgets a subscription, and what it holds.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub async fn delete_subscription(&self, name: impl Into<String>) -> Result<(), Error> {
        let mut request = pb::DeleteSubscriptionRequest {
            name: name.into(),
            request_id: String::new(),
        };
        fill_request_id(&mut request.request_id);
        self.call(Repeat::Harmless, Duration::ZERO, request, |request| {
            let mut subscriptions = self.subscription_calls();
            async move { subscriptions.delete_subscription(request).await }
        })
        .await
        .map(drop)
    }

    fn subscription_calls(&self) -> SubscriptionCalls {
        SubscriptionCalls::new(self.channels.unary.clone())
            .max_decoding_message_size(DECODE_BYTES_MAX)
    }
}

fn no_subscription() -> Error {
    Error::protocol("the server answered without a subscription")
}
