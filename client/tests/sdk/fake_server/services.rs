//! The generated services, each of which hands its calls to the test.
//!
//! Keeps every call open until the test answers it or the client gives up. It
//! answers nothing by itself.

use futures_util::stream::{self, BoxStream, StreamExt};
use sessiond_client::pb;
use sessiond_proto::v1::admin_service_server::AdminService;
use sessiond_proto::v1::message_service_server::MessageService;
use sessiond_proto::v1::resource_service_server::ResourceService;
use sessiond_proto::v1::session_service_server::SessionService;
use sessiond_proto::v1::subscription_service_server::SubscriptionService;
use sessiond_proto::v1::worker_service_server::WorkerService;
use tokio::sync::{mpsc, oneshot};
use tonic::{Request, Response, Status, Streaming};

use super::{Call, DrainCall, ExportCall, Unary, WatchCall, WorkCall};

/// Frames of a stream that the test may send ahead.
const FRAMES_AHEAD: usize = 1_024;

#[derive(Clone, Debug)]
pub(super) struct Services {
    pub(super) calls: mpsc::UnboundedSender<Call>,
}

type Frames<T> = BoxStream<'static, Result<T, Status>>;

// === impl Services ===

impl Services {
    /// A test that is over hears nothing any more.
    fn arrive(&self, call: Call) {
        let _ = self.calls.send(call);
    }

    async fn unary<Q, R>(
        &self,
        request: Request<Q>,
        call: impl FnOnce(Unary<Q, R>) -> Call,
    ) -> Result<Response<R>, Status> {
        let (reply, answer) = oneshot::channel();
        let metadata = request.metadata().clone();
        self.arrive(call(Unary {
            request: request.into_inner(),
            metadata,
            reply,
        }));
        match answer.await {
            Ok(answer) => answer.map(Response::new),
            // The test dropped the call: it is never answered.
            Err(_) => std::future::pending().await,
        }
    }
}

/// The frames which the test sends, until it drops its side.
fn frames<T: Send + 'static>() -> (mpsc::Sender<Result<T, Status>>, Frames<T>) {
    let (sender, frames) = mpsc::channel(FRAMES_AHEAD);
    let frames = stream::unfold(frames, |mut frames: mpsc::Receiver<_>| async move {
        let frame = frames.recv().await?;
        Some((frame, frames))
    });
    (sender, frames.boxed())
}

/// Writes a service: its unary methods, and what else it has.
macro_rules! service {
    (
        $service:ident { $($other:tt)* }
        $($method:ident($request:ident) -> $response:ident: $call:ident;)+
    ) => {
        #[tonic::async_trait]
        impl $service for Services {
            $(
                async fn $method(
                    &self,
                    request: Request<pb::$request>,
                ) -> Result<Response<pb::$response>, Status> {
                    self.unary(request, Call::$call).await
                }
            )+

            $($other)*
        }
    };
}

service! {
    AdminService {
        type DrainServerStream = Frames<pb::DrainServerResponse>;

        async fn drain_server(
            &self,
            request: Request<pb::DrainServerRequest>,
        ) -> Result<Response<Self::DrainServerStream>, Status> {
            let (sender, mut frames) = frames();
            self.arrive(Call::Drain(DrainCall {
                request: request.into_inner(),
                frames: sender,
            }));
            // A drain that is refused has no stream, as with the server.
            let first = frames.next().await.transpose()?;
            let first = stream::iter(first.map(Ok));
            Ok(Response::new(first.chain(frames).boxed()))
        }
    }
    get_server_info(GetServerInfoRequest) -> GetServerInfoResponse: ServerInfo;
    get_stats(GetStatsRequest) -> GetStatsResponse: Stats;
    list_pools(ListPoolsRequest) -> ListPoolsResponse: ListPools;
    list_workers(ListWorkersRequest) -> ListWorkersResponse: ListWorkers;
    reset_circuit(ResetCircuitRequest) -> ResetCircuitResponse: ResetCircuit;
    sweep(SweepRequest) -> SweepResponse: Sweep;
    revoke_lease(RevokeLeaseRequest) -> RevokeLeaseResponse: RevokeLease;
    compact_events(CompactEventsRequest) -> CompactEventsResponse: CompactEvents;
    cancel_drain(CancelDrainRequest) -> CancelDrainResponse: CancelDrain;
    get_drain_report(GetDrainReportRequest) -> GetDrainReportResponse: DrainReport;
}

service! {
    ResourceService {
        type AgentLinkStream = Frames<pb::AgentLinkResponse>;

        // Nothing of the SDK is an agent; `sessiond agent` is tried with a real server.
        async fn agent_link(
            &self,
            _request: Request<tonic::Streaming<pb::AgentLinkRequest>>,
        ) -> Result<Response<Self::AgentLinkStream>, Status> {
            Err(Status::unimplemented("no agent is served here"))
        }
    }
    declare_resource(DeclareResourceRequest) -> DeclareResourceResponse: DeclareResource;
    list_resources(ListResourcesRequest) -> ListResourcesResponse: ListResources;
    list_nodes(ListNodesRequest) -> ListNodesResponse: ListNodes;
    release_resource(ReleaseResourceRequest) -> ReleaseResourceResponse: ReleaseResource;
}

service! {
    SessionService {
        type WatchSessionEventsStream = Frames<pb::WatchSessionEventsResponse>;

        async fn watch_session_events(
            &self,
            request: Request<pb::WatchSessionEventsRequest>,
        ) -> Result<Response<Self::WatchSessionEventsStream>, Status> {
            let (sender, frames) = frames();
            self.arrive(Call::Watch(WatchCall {
                request: request.into_inner(),
                frames: sender,
            }));
            Ok(Response::new(frames))
        }

        type ExportSessionStream = Frames<pb::ExportSessionResponse>;

        async fn export_session(
            &self,
            request: Request<pb::ExportSessionRequest>,
        ) -> Result<Response<Self::ExportSessionStream>, Status> {
            let (records, stream) = frames();
            self.arrive(Call::Export(ExportCall {
                request: request.into_inner(),
                records,
            }));
            Ok(Response::new(stream))
        }
    }
    open_session(OpenSessionRequest) -> OpenSessionResponse: Open;
    get_session(GetSessionRequest) -> GetSessionResponse: Get;
    list_sessions(ListSessionsRequest) -> ListSessionsResponse: List;
    update_session(UpdateSessionRequest) -> UpdateSessionResponse: Update;
    touch_session(TouchSessionRequest) -> TouchSessionResponse: Touch;
    begin_request(BeginRequestRequest) -> BeginRequestResponse: BeginRequest;
    end_request(EndRequestRequest) -> EndRequestResponse: EndRequest;
    end_session(EndSessionRequest) -> EndSessionResponse: End;
    end_sessions(EndSessionsRequest) -> EndSessionsResponse: EndSessions;
    explain_session(ExplainSessionRequest) -> ExplainSessionResponse: Explain;
    purge_sessions(PurgeSessionsRequest) -> PurgeSessionsResponse: Purge;
    reset_session(ResetSessionRequest) -> ResetSessionResponse: Reset;
}

service! {
    MessageService {
        type EnqueueStreamStream = Frames<pb::EnqueueStreamResponse>;

        async fn enqueue_stream(
            &self,
            _request: Request<Streaming<pb::EnqueueStreamRequest>>,
        ) -> Result<Response<Self::EnqueueStreamStream>, Status> {
            Err(Status::unimplemented("the SDK does not call it"))
        }
    }
    enqueue_messages(EnqueueMessagesRequest) -> EnqueueMessagesResponse: Enqueue;
    claim_messages(ClaimMessagesRequest) -> ClaimMessagesResponse: Claim;
    settle_messages(SettleMessagesRequest) -> SettleMessagesResponse: Settle;
    list_messages(ListMessagesRequest) -> ListMessagesResponse: ListMessages;
    list_dead_letters(ListDeadLettersRequest) -> ListDeadLettersResponse: ListDeadLetters;
    requeue_dead_letters(RequeueDeadLettersRequest) -> RequeueDeadLettersResponse: Requeue;
    discard_messages(DiscardMessagesRequest) -> DiscardMessagesResponse: Discard;
}

#[tonic::async_trait]
impl WorkerService for Services {
    type WorkStream = Frames<pb::WorkResponse>;

    async fn work(
        &self,
        request: Request<Streaming<pb::WorkRequest>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        let (sender, frames) = frames();
        self.arrive(Call::Work(WorkCall {
            inbound: request.into_inner(),
            frames: sender,
        }));
        Ok(Response::new(frames))
    }
}

service! {
    SubscriptionService {}
    create_subscription(CreateSubscriptionRequest) -> CreateSubscriptionResponse: CreateSubscription;
    get_subscription(GetSubscriptionRequest) -> GetSubscriptionResponse: GetSubscription;
    list_subscriptions(ListSubscriptionsRequest) -> ListSubscriptionsResponse: ListSubscriptions;
    ack_events(AckEventsRequest) -> AckEventsResponse: AckEvents;
    seek_subscription(SeekSubscriptionRequest) -> SeekSubscriptionResponse: SeekSubscription;
    delete_subscription(DeleteSubscriptionRequest) -> DeleteSubscriptionResponse: DeleteSubscription;
}
