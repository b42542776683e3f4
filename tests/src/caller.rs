//! One caller of a server over gRPC, with the generated clients and nothing between.
//!
//! Every call is bounded, so that a server that does not answer fails the test instead of hanging it.
//! It retries nothing and hides nothing: an answer is the server's own, a refusal is taken apart.

use std::time::Duration;

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::admin_service_client::AdminServiceClient;
use sessiond_proto::v1::message_service_client::MessageServiceClient;
use sessiond_proto::v1::resource_service_client::ResourceServiceClient;
use sessiond_proto::v1::session_service_client::SessionServiceClient;
use sessiond_proto::v1::subscription_service_client::SubscriptionServiceClient;
use sessiond_proto::v1::worker_service_client::WorkerServiceClient;
use sessiond_proto::{CAUSE_METADATA_KEY, NAMESPACE_METADATA_KEY};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Error, Identity};
use tonic::{Request, Status};

use crate::certificates::Signed;
use crate::refusal::Refusal;
use crate::server::Server;

mod usual;

/// How long an answer may take: the longest wait a test asks for, and 5 s to spare many times over.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Bytes of one answer: the largest claim or page the server sends, and its headers.
const ANSWER_BYTES_MAX: usize = 32 * 1_024 * 1_024;

/// A connection and what is named on it.
#[derive(Clone, Debug)]
pub struct Caller {
    channel: Channel,
    named: Named,
}

/// The channel with what is named on every call.
pub type Wire = InterceptedService<Channel, Named>;

/// What a call's metadata names; what is none is left out.
#[derive(Clone, Debug, Default)]
pub struct Named {
    namespace: Option<MetadataValue<Ascii>>,
    cause: Option<MetadataValue<Ascii>>,
}

impl Interceptor for Named {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        if let Some(namespace) = &self.namespace {
            metadata.insert(NAMESPACE_METADATA_KEY, namespace.clone());
        }
        if let Some(cause) = &self.cause {
            metadata.insert(CAUSE_METADATA_KEY, cause.clone());
        }
        Ok(request)
    }
}

impl Caller {
    /// A new connection to a server that runs.
    pub async fn to(server: &Server) -> Self {
        Self::at(&server.url()).await
    }

    /// A new connection to a URL, `http://HOST:PORT` or `unix:PATH`.
    ///
    /// # Panics
    /// If nobody answers there.
    pub async fn at(url: &str) -> Self {
        let endpoint = Endpoint::from_shared(url.to_owned()).expect("a URL");
        let channel = endpoint.connect().await;
        Self {
            channel: channel.expect("the server answers where it says it listens"),
            named: Named::default(),
        }
    }

    /// A new connection to `https://HOST:PORT`, trusting this authority and showing this certificate.
    ///
    /// # Errors
    /// When none is made. A server that refuses what is shown says so with the first call only.
    ///
    /// # Panics
    /// If it is no URL.
    pub async fn in_tls(url: &str, ca: &str, shown: Option<&Signed>) -> Result<Self, Error> {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
        if let Some(Signed { certificate, key }) = shown {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        let endpoint = Endpoint::from_shared(url.to_owned()).expect("a URL");
        Ok(Self {
            channel: endpoint.tls_config(tls)?.connect().await?,
            named: Named::default(),
        })
    }

    /// The same connection, for calls in another namespace.
    ///
    /// # Panics
    /// If the name cannot stand in metadata.
    #[must_use]
    pub fn in_namespace(&self, name: &str) -> Self {
        let name = name.parse().expect("a name of visible ASCII");
        Self {
            channel: self.channel.clone(),
            named: Named {
                namespace: Some(name),
                ..self.named.clone()
            },
        }
    }

    /// The same connection, for calls that are part of handling this event.
    ///
    /// # Panics
    /// If the text cannot stand in metadata.
    #[must_use]
    pub fn caused_by(&self, event_id: &str) -> Self {
        let event = event_id.parse().expect("visible ASCII");
        Self {
            channel: self.channel.clone(),
            named: Named {
                cause: Some(event),
                ..self.named.clone()
            },
        }
    }

    /// The bare connection.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    fn wire(&self) -> Wire {
        InterceptedService::new(self.channel.clone(), self.named.clone())
    }

    /// The client of SessionService.
    #[must_use]
    pub fn sessions(&self) -> SessionServiceClient<Wire> {
        SessionServiceClient::new(self.wire()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// The client of MessageService.
    #[must_use]
    pub fn messages(&self) -> MessageServiceClient<Wire> {
        MessageServiceClient::new(self.wire())
            .max_decoding_message_size(ANSWER_BYTES_MAX)
            .max_encoding_message_size(ANSWER_BYTES_MAX)
    }

    /// The client of WorkerService.
    #[must_use]
    pub fn workers(&self) -> WorkerServiceClient<Wire> {
        WorkerServiceClient::new(self.wire()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// The client of AdminService.
    #[must_use]
    pub fn admin(&self) -> AdminServiceClient<Wire> {
        AdminServiceClient::new(self.wire())
    }

    /// The client of SubscriptionService.
    #[must_use]
    pub fn subscriptions(&self) -> SubscriptionServiceClient<Wire> {
        SubscriptionServiceClient::new(self.wire())
    }

    /// The client of ResourceService.
    #[must_use]
    pub fn resources(&self) -> ResourceServiceClient<Wire> {
        ResourceServiceClient::new(self.wire()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }
}

async fn answer<T>(
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Refusal> {
    let answer = tokio::time::timeout(ANSWER_WITHIN, call).await;
    let answer = answer.expect("every call is answered or refused in time");
    answer
        .map(tonic::Response::into_inner)
        .map_err(Refusal::from)
}

/// Writes the unary calls, which differ in names only.
macro_rules! unary {
    ($($(#[doc = $doc:literal])+ $name:ident = $client:ident.$rpc:ident($asked:ty) -> $told:ty;)+) => {
        impl Caller {
            $($(#[doc = $doc])+
            ///
            /// # Errors
            /// The refusal.
            ///
            /// # Panics
            /// If no answer comes in time.
            pub async fn $name(&self, request: $asked) -> Result<$told, Refusal> {
                answer(self.$client().$rpc(request)).await
            })+
        }
    };
}

unary! {
    /// OpenSession.
    open = sessions.open_session(pb::OpenSessionRequest) -> pb::OpenSessionResponse;
    /// GetSession.
    get = sessions.get_session(pb::GetSessionRequest) -> pb::GetSessionResponse;
    /// ExplainSession.
    explain = sessions.explain_session(pb::ExplainSessionRequest) -> pb::ExplainSessionResponse;
    /// ListSessions.
    list = sessions.list_sessions(pb::ListSessionsRequest) -> pb::ListSessionsResponse;
    /// UpdateSession.
    update = sessions.update_session(pb::UpdateSessionRequest) -> pb::UpdateSessionResponse;
    /// TouchSession.
    touch = sessions.touch_session(pb::TouchSessionRequest) -> pb::TouchSessionResponse;
    /// BeginRequest.
    begin_request = sessions.begin_request(pb::BeginRequestRequest) -> pb::BeginRequestResponse;
    /// EndRequest.
    end_request = sessions.end_request(pb::EndRequestRequest) -> pb::EndRequestResponse;
    /// EndSession.
    end = sessions.end_session(pb::EndSessionRequest) -> pb::EndSessionResponse;
    /// EndSessions.
    end_many = sessions.end_sessions(pb::EndSessionsRequest) -> pb::EndSessionsResponse;
    /// ResetSession.
    reset = sessions.reset_session(pb::ResetSessionRequest) -> pb::ResetSessionResponse;
    /// PurgeSessions.
    purge = sessions.purge_sessions(pb::PurgeSessionsRequest) -> pb::PurgeSessionsResponse;
    /// EnqueueMessages.
    enqueue = messages.enqueue_messages(pb::EnqueueMessagesRequest) -> pb::EnqueueMessagesResponse;
    /// ClaimMessages.
    claim = messages.claim_messages(pb::ClaimMessagesRequest) -> pb::ClaimMessagesResponse;
    /// SettleMessages.
    settle = messages.settle_messages(pb::SettleMessagesRequest) -> pb::SettleMessagesResponse;
    /// ListMessages.
    list_messages = messages.list_messages(pb::ListMessagesRequest) -> pb::ListMessagesResponse;
    /// ListDeadLetters.
    list_dead_letters = messages.list_dead_letters(pb::ListDeadLettersRequest) -> pb::ListDeadLettersResponse;
    /// RequeueDeadLetters.
    requeue = messages.requeue_dead_letters(pb::RequeueDeadLettersRequest) -> pb::RequeueDeadLettersResponse;
    /// DiscardMessages.
    discard = messages.discard_messages(pb::DiscardMessagesRequest) -> pb::DiscardMessagesResponse;
    /// GetServerInfo.
    info = admin.get_server_info(pb::GetServerInfoRequest) -> pb::GetServerInfoResponse;
    /// GetStats.
    stats = admin.get_stats(pb::GetStatsRequest) -> pb::GetStatsResponse;
    /// ResetCircuit.
    reset_circuit = admin.reset_circuit(pb::ResetCircuitRequest) -> pb::ResetCircuitResponse;
    /// Sweep.
    sweep = admin.sweep(pb::SweepRequest) -> pb::SweepResponse;
    /// RevokeLease.
    revoke_lease = admin.revoke_lease(pb::RevokeLeaseRequest) -> pb::RevokeLeaseResponse;
    /// CompactEvents.
    compact_events = admin.compact_events(pb::CompactEventsRequest) -> pb::CompactEventsResponse;
    /// CancelDrain.
    cancel_drain = admin.cancel_drain(pb::CancelDrainRequest) -> pb::CancelDrainResponse;
    /// GetDrainReport.
    drain_report = admin.get_drain_report(pb::GetDrainReportRequest) -> pb::GetDrainReportResponse;
    /// ListPools.
    list_pools = admin.list_pools(pb::ListPoolsRequest) -> pb::ListPoolsResponse;
    /// DeclareResource.
    declare_resource = resources.declare_resource(pb::DeclareResourceRequest) -> pb::DeclareResourceResponse;
    /// ListNodes.
    list_nodes = resources.list_nodes(pb::ListNodesRequest) -> pb::ListNodesResponse;
    /// ListResources.
    list_resources = resources.list_resources(pb::ListResourcesRequest) -> pb::ListResourcesResponse;
    /// ReleaseResource.
    release_resource = resources.release_resource(pb::ReleaseResourceRequest) -> pb::ReleaseResourceResponse;
    /// CreateSubscription.
    create_subscription = subscriptions.create_subscription(pb::CreateSubscriptionRequest) -> pb::CreateSubscriptionResponse;
    /// GetSubscription.
    get_subscription = subscriptions.get_subscription(pb::GetSubscriptionRequest) -> pb::GetSubscriptionResponse;
    /// ListSubscriptions.
    list_subscriptions = subscriptions.list_subscriptions(pb::ListSubscriptionsRequest) -> pb::ListSubscriptionsResponse;
    /// AckEvents.
    ack_events = subscriptions.ack_events(pb::AckEventsRequest) -> pb::AckEventsResponse;
    /// SeekSubscription.
    seek_subscription = subscriptions.seek_subscription(pb::SeekSubscriptionRequest) -> pb::SeekSubscriptionResponse;
    /// DeleteSubscription.
    delete_subscription = subscriptions.delete_subscription(pb::DeleteSubscriptionRequest) -> pb::DeleteSubscriptionResponse;
    /// ListWorkers.
    list_workers = admin.list_workers(pb::ListWorkersRequest) -> pb::ListWorkersResponse;
}
