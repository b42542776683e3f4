//! The client: who calls which server, and how one call is made.
//!
//! Keeps every unary call bounded in time and repeated by the one table of
//! `retry.rs`, with the same request id each time. A clone shares the
//! connections. It opens no connection before the first call, and keeps no task
//! of its own.

mod admin_calls;
mod builder;
mod calls;
mod letter_calls;
mod message_calls;
mod pages;
mod resource_calls;
mod subscription_calls;

use std::sync::Arc;
use std::time::Duration;

use sessiond_proto::v1 as pb;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::transport::Channel;

pub use self::builder::{ADDR_ENV, ClientBuilder, NAMESPACE_ENV, TOKEN_ENV};
pub(crate) use self::calls::no_session;
pub use self::calls::{session_id, session_key};
use crate::cause;
use crate::channel::{Addr, Channels};
use crate::error::Error;
use crate::retry::{self, Repeat, RetryPolicy};

/// How long one attempt of a unary call may take, unless the builder says
/// otherwise. What a call itself waits for comes on top.
pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(10);

/// The largest answer that is read, in bytes: the server's limit of one message
/// and room for its frame.
pub const DECODE_BYTES_MAX: usize = 17 * 1024 * 1024;

/// A client of one server, one namespace and one identity. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    channels: Channels,
    addr: Arc<Addr>,
    identity: Arc<Identity>,
    deadline: Duration,
    retry: RetryPolicy,
}

/// What every call carries.
#[derive(Clone, Default)]
struct Identity {
    namespace: Option<AsciiMetadataValue>,
    authorization: Option<AsciiMetadataValue>,
    cause: Option<AsciiMetadataValue>,
}

type Sessions = pb::session_service_client::SessionServiceClient<Channel>;
type Messages = pb::message_service_client::MessageServiceClient<Channel>;
type Workers = pb::worker_service_client::WorkerServiceClient<Channel>;
type ResourceCalls = pb::resource_service_client::ResourceServiceClient<Channel>;
type SubscriptionCalls = pb::subscription_service_client::SubscriptionServiceClient<Channel>;
type Admin = pb::admin_service_client::AdminServiceClient<Channel>;

// === impl Client ===

impl Client {
    /// Starts to configure a client.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// A client as the environment describes it: `SESSIOND_ADDR` and what
    /// [`ClientBuilder::from_env`] names beside it, each optional.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a value that cannot be used, or when there is no
    /// tokio runtime.
    pub fn from_env() -> Result<Self, Error> {
        ClientBuilder::from_env()?.build()
    }

    /// The address of the server, as it was understood.
    #[must_use]
    pub fn addr(&self) -> String {
        self.addr.to_string()
    }

    /// The same client with another deadline for one attempt of a unary call.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        let mut client = self.clone();
        client.deadline = deadline;
        client
    }

    /// The same client with another policy of repeating.
    #[must_use]
    pub fn with_retry(&self, retry: RetryPolicy) -> Self {
        let mut client = self.clone();
        client.retry = retry;
        client
    }

    /// The same client in another namespace.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a name that cannot be a header.
    pub fn with_namespace(&self, namespace: &str) -> Result<Self, Error> {
        let mut identity = Identity::clone(&self.identity);
        identity.namespace = Some(builder::namespace_value(namespace)?);
        let mut client = self.clone();
        client.identity = Arc::new(identity);
        Ok(client)
    }

    /// The same client, of which every call names the event whose handling it is
    /// part of; `event_id` is that of the event. What the calls change carries it,
    /// and a chain of events of which each was caused so is refused
    /// [`Error::FailedPrecondition`] with the reason `CAUSE_TOO_DEEP` when it is too
    /// long. The handler of a [`Plugin`](crate::Plugin) need not ask for it: its own
    /// calls name its event, and only a task that it starts is another matter.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a text that cannot be a header.
    pub fn caused_by(&self, event_id: &str) -> Result<Self, Error> {
        let mut identity = Identity::clone(&self.identity);
        identity.cause = Some(cause::value(event_id)?);
        let mut client = self.clone();
        client.identity = Arc::new(identity);
        Ok(client)
    }

    pub(crate) fn retry(&self) -> RetryPolicy {
        self.retry
    }

    /// A client for the watch stream, on the connection of the streams.
    pub(crate) fn session_streams(&self) -> Sessions {
        Sessions::new(self.channels.streams.clone()).max_decoding_message_size(DECODE_BYTES_MAX)
    }

    /// A client for the worker stream, on the connection of the streams.
    pub(crate) fn worker_streams(&self) -> Workers {
        Workers::new(self.channels.streams.clone()).max_decoding_message_size(DECODE_BYTES_MAX)
    }

    /// A client for the stream of a drain, on the connection of the streams.
    pub(crate) fn admin_streams(&self) -> Admin {
        Admin::new(self.channels.streams.clone()).max_decoding_message_size(DECODE_BYTES_MAX)
    }

    /// A request with what every call carries.
    pub(crate) fn request<M>(&self, message: M) -> tonic::Request<M> {
        let mut request = tonic::Request::new(message);
        let metadata = request.metadata_mut();
        if let Some(namespace) = &self.identity.namespace {
            let key = AsciiMetadataKey::from_static(sessiond_proto::NAMESPACE_METADATA_KEY);
            metadata.insert(key, namespace.clone());
        }
        if let Some(authorization) = &self.identity.authorization {
            metadata.insert("authorization", authorization.clone());
        }
        cause::name(self.identity.cause.as_ref(), metadata);
        request
    }

    /// Makes one unary call, repeated as far as that is safe. `wait` is how long
    /// the server was asked to wait before it answers.
    async fn call<M, R, F>(
        &self,
        repeat: Repeat,
        wait: Duration,
        message: M,
        send: impl Fn(tonic::Request<M>) -> F,
    ) -> Result<R, Error>
    where
        M: Clone,
        F: Future<Output = Result<tonic::Response<R>, tonic::Status>>,
    {
        let deadline = self.deadline.saturating_add(wait);
        // Without repeats the deadline alone bounds the one attempt.
        let bounded = !self.retry.total().is_zero();
        retry::run(self.retry, wait, repeat, |left| {
            let time = if bounded {
                deadline.min(left)
            } else {
                deadline
            };
            let mut request = self.request(message.clone());
            request.set_timeout(time);
            let answer = send(request);
            // The future of a call is large; callers nest it deeply.
            Box::pin(async move {
                match tokio::time::timeout(time, answer).await {
                    Ok(answer) => Ok(answer.map_err(Error::from)?.into_inner()),
                    Err(_) => Err(Error::deadline(format!("no answer within {time:?}"))),
                }
            })
        })
        .await
    }
}

// === impl Identity ===

impl std::fmt::Debug for Identity {
    /// Never shows the token.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let authorization = self.authorization.as_ref().map(|_| "(hidden)");
        formatter
            .debug_struct("Identity")
            .field("namespace", &self.namespace)
            .field("authorization", &authorization)
            .field("cause", &self.cause)
            .finish()
    }
}
