//! A server that does what the test says: every call arrives at the test, which
//! answers it, and the connections can be cut.
//!
//! Keeps no rules of its own. Connections run through a small proxy, so that a
//! cut looks to the client as the death of the server does.

mod services;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use sessiond_client::{Client, Reason, RetryPolicy, SessionHandle, pb, session_key};
use sessiond_proto::v1::admin_service_server::AdminServiceServer;
use sessiond_proto::v1::message_service_server::MessageServiceServer;
use sessiond_proto::v1::resource_service_server::ResourceServiceServer;
use sessiond_proto::v1::session_service_server::SessionServiceServer;
use sessiond_proto::v1::subscription_service_server::SubscriptionServiceServer;
use sessiond_proto::v1::worker_service_server::WorkerServiceServer;
use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt};

use self::services::Services;

/// How long a test waits for what must come. Long: only a failure uses it up.
const PATIENCE: Duration = Duration::from_secs(20);

/// The bytes that a proxied connection holds back.
const PROXY_BYTES: usize = 64 * 1024;

/// A call as it arrived.
#[derive(Debug)]
pub(crate) enum Call {
    Open(Unary<pb::OpenSessionRequest, pb::OpenSessionResponse>),
    Get(Unary<pb::GetSessionRequest, pb::GetSessionResponse>),
    List(Unary<pb::ListSessionsRequest, pb::ListSessionsResponse>),
    Update(Unary<pb::UpdateSessionRequest, pb::UpdateSessionResponse>),
    Touch(Unary<pb::TouchSessionRequest, pb::TouchSessionResponse>),
    BeginRequest(Unary<pb::BeginRequestRequest, pb::BeginRequestResponse>),
    EndRequest(Unary<pb::EndRequestRequest, pb::EndRequestResponse>),
    End(Unary<pb::EndSessionRequest, pb::EndSessionResponse>),
    EndSessions(Unary<pb::EndSessionsRequest, pb::EndSessionsResponse>),
    Sweep(Unary<pb::SweepRequest, pb::SweepResponse>),
    Explain(Unary<pb::ExplainSessionRequest, pb::ExplainSessionResponse>),
    Purge(Unary<pb::PurgeSessionsRequest, pb::PurgeSessionsResponse>),
    Reset(Unary<pb::ResetSessionRequest, pb::ResetSessionResponse>),
    Enqueue(Unary<pb::EnqueueMessagesRequest, pb::EnqueueMessagesResponse>),
    Claim(Unary<pb::ClaimMessagesRequest, pb::ClaimMessagesResponse>),
    Settle(Unary<pb::SettleMessagesRequest, pb::SettleMessagesResponse>),
    ListMessages(Unary<pb::ListMessagesRequest, pb::ListMessagesResponse>),
    ListDeadLetters(Unary<pb::ListDeadLettersRequest, pb::ListDeadLettersResponse>),
    Requeue(Unary<pb::RequeueDeadLettersRequest, pb::RequeueDeadLettersResponse>),
    Discard(Unary<pb::DiscardMessagesRequest, pb::DiscardMessagesResponse>),
    ServerInfo(Unary<pb::GetServerInfoRequest, pb::GetServerInfoResponse>),
    Stats(Unary<pb::GetStatsRequest, pb::GetStatsResponse>),
    ListPools(Unary<pb::ListPoolsRequest, pb::ListPoolsResponse>),
    ListWorkers(Unary<pb::ListWorkersRequest, pb::ListWorkersResponse>),
    ResetCircuit(Unary<pb::ResetCircuitRequest, pb::ResetCircuitResponse>),
    RevokeLease(Unary<pb::RevokeLeaseRequest, pb::RevokeLeaseResponse>),
    CompactEvents(Unary<pb::CompactEventsRequest, pb::CompactEventsResponse>),
    CancelDrain(Unary<pb::CancelDrainRequest, pb::CancelDrainResponse>),
    DrainReport(Unary<pb::GetDrainReportRequest, pb::GetDrainReportResponse>),
    DeclareResource(Unary<pb::DeclareResourceRequest, pb::DeclareResourceResponse>),
    ListNodes(Unary<pb::ListNodesRequest, pb::ListNodesResponse>),
    ListResources(Unary<pb::ListResourcesRequest, pb::ListResourcesResponse>),
    ReleaseResource(Unary<pb::ReleaseResourceRequest, pb::ReleaseResourceResponse>),
    CreateSubscription(Unary<pb::CreateSubscriptionRequest, pb::CreateSubscriptionResponse>),
    GetSubscription(Unary<pb::GetSubscriptionRequest, pb::GetSubscriptionResponse>),
    ListSubscriptions(Unary<pb::ListSubscriptionsRequest, pb::ListSubscriptionsResponse>),
    AckEvents(Unary<pb::AckEventsRequest, pb::AckEventsResponse>),
    SeekSubscription(Unary<pb::SeekSubscriptionRequest, pb::SeekSubscriptionResponse>),
    DeleteSubscription(Unary<pb::DeleteSubscriptionRequest, pb::DeleteSubscriptionResponse>),
    Watch(WatchCall),
    Work(WorkCall),
    Export(ExportCall),
    Drain(DrainCall),
}

/// A unary call that waits for its answer.
#[derive(Debug)]
pub(crate) struct Unary<Q, R> {
    pub(crate) request: Q,
    pub(crate) metadata: MetadataMap,
    reply: oneshot::Sender<Result<R, Status>>,
}

/// A watch. Dropping it ends the stream.
#[derive(Debug)]
pub(crate) struct WatchCall {
    pub(crate) request: pb::WatchSessionEventsRequest,
    frames: mpsc::Sender<Result<pb::WatchSessionEventsResponse, Status>>,
}

/// The stream of a worker. Dropping it ends the stream.
#[derive(Debug)]
pub(crate) struct WorkCall {
    pub(crate) inbound: Streaming<pb::WorkRequest>,
    pub(crate) frames: mpsc::Sender<Result<pb::WorkResponse, Status>>,
}

/// An export. Dropping it ends the stream.
#[derive(Debug)]
pub(crate) struct ExportCall {
    pub(crate) request: pb::ExportSessionRequest,
    pub(crate) records: mpsc::Sender<Result<pb::ExportSessionResponse, Status>>,
}

/// A drain. Dropping it ends the stream.
#[derive(Debug)]
pub(crate) struct DrainCall {
    pub(crate) request: pb::DrainServerRequest,
    pub(crate) frames: mpsc::Sender<Result<pb::DrainServerResponse, Status>>,
}

/// The server.
#[derive(Debug)]
pub(crate) struct FakeServer {
    addr: SocketAddr,
    calls: mpsc::UnboundedReceiver<Call>,
    connections: Arc<Mutex<JoinSet<()>>>,
    _tasks: JoinSet<()>,
}

/// A session of the key `k`.
pub(crate) fn session(id: &str) -> Option<pb::Session> {
    Some(pb::Session {
        session_id: id.to_owned(),
        key: "k".to_owned(),
        ..Default::default()
    })
}

/// A refusal as the server writes it.
pub(crate) fn refusal(code: Code, reason: Reason, retry_after: Option<Duration>) -> Status {
    let metadata = [("fact".to_owned(), "seven".to_owned())];
    let mut details = ErrorDetails::new();
    details.set_error_info(reason.as_str(), "sessiond", metadata);
    if retry_after.is_some() {
        details.set_retry_info(retry_after);
    }
    Status::with_error_details(code, "told so", details)
}

/// Awaits what must come, and fails the test when it does not.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("what the test waits for did not come")
}

// === impl FakeServer ===

impl FakeServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (calls_in, calls) = mpsc::unbounded_channel();
        let (conns_in, conns) = mpsc::channel(16);
        let connections = Arc::new(Mutex::new(JoinSet::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(Services { calls: calls_in }, conns));
        tasks.spawn(accept(listener, conns_in, Arc::clone(&connections)));
        Self {
            addr,
            calls,
            connections,
            _tasks: tasks,
        }
    }

    pub(crate) fn addr(&self) -> String {
        self.addr.to_string()
    }

    /// A client with short waits: the tests are about what is repeated, not
    /// about how long.
    pub(crate) fn client(&self) -> Client {
        let first = Duration::from_millis(5);
        let retry = RetryPolicy::within(Duration::from_secs(20)).backoff(first, first);
        let builder = Client::builder().addr(self.addr()).retry(retry);
        builder.build().unwrap()
    }

    /// The next call.
    pub(crate) async fn call(&mut self) -> Call {
        within(self.calls.recv()).await.unwrap()
    }

    /// Cuts every connection, as a crash does.
    pub(crate) fn cut(&self) {
        self.connections.lock().unwrap().abort_all();
    }

    /// The handle of a client that opens a session and gets `s1`, which was there.
    pub(crate) async fn opened(&mut self) -> SessionHandle {
        let opening = self.client().session("k").open();
        let (handle, ()) = within(async {
            tokio::join!(opening, async {
                let Call::Open(call) = self.call().await else {
                    panic!("expected an open");
                };
                call.answer(pb::OpenSessionResponse {
                    session: session("s1"),
                    ..Default::default()
                });
            })
        })
        .await;
        handle.unwrap()
    }

    /// The handle of a client that asks for a session and is shown `s1`.
    pub(crate) async fn existing(&mut self) -> SessionHandle {
        let client = self.client();
        let (handle, ()) = within(async {
            tokio::join!(client.existing(session_key("k")), async {
                let Call::Get(call) = self.call().await else {
                    panic!("expected a get");
                };
                call.answer(pb::GetSessionResponse {
                    session: session("s1"),
                });
            })
        })
        .await;
        handle.unwrap()
    }

    pub(crate) async fn watch(&mut self) -> WatchCall {
        match self.call().await {
            Call::Watch(watch) => watch,
            other => panic!("expected a watch, got {other:?}"),
        }
    }

    pub(crate) async fn export(&mut self) -> ExportCall {
        match self.call().await {
            Call::Export(export) => export,
            other => panic!("expected an export, got {other:?}"),
        }
    }

    pub(crate) async fn drain(&mut self) -> DrainCall {
        match self.call().await {
            Call::Drain(drain) => drain,
            other => panic!("expected a drain, got {other:?}"),
        }
    }

    /// The next stream of a worker, with its `hello`.
    pub(crate) async fn work(&mut self) -> (pb::Hello, WorkCall) {
        match self.call().await {
            Call::Work(mut work) => match work.frame().await {
                pb::work_request::Frame::Hello(hello) => (hello, work),
                other => panic!("expected `hello`, got {other:?}"),
            },
            other => panic!("expected a worker, got {other:?}"),
        }
    }
}

async fn serve(services: Services, conns: mpsc::Receiver<DuplexStream>) {
    let incoming = stream::unfold(conns, |mut conns| async move {
        let conn = conns.recv().await?;
        Some((Ok::<_, std::io::Error>(conn), conns))
    });
    tonic::transport::Server::builder()
        .add_service(SessionServiceServer::new(services.clone()))
        .add_service(MessageServiceServer::new(services.clone()))
        .add_service(WorkerServiceServer::new(services.clone()))
        .add_service(ResourceServiceServer::new(services.clone()))
        .add_service(SubscriptionServiceServer::new(services.clone()))
        .add_service(AdminServiceServer::new(services))
        .serve_with_incoming(incoming)
        .await
        .unwrap();
}

async fn accept(
    listener: TcpListener,
    conns: mpsc::Sender<DuplexStream>,
    connections: Arc<Mutex<JoinSet<()>>>,
) {
    loop {
        let (outer, _) = listener.accept().await.unwrap();
        let (near, far) = tokio::io::duplex(PROXY_BYTES);
        connections.lock().unwrap().spawn(proxy(outer, near));
        if conns.send(far).await.is_err() {
            return;
        }
    }
}

async fn proxy(mut outer: TcpStream, mut inner: DuplexStream) {
    // Either side may go away first; there is nobody to tell.
    let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
}

// === impl Unary ===

impl<Q, R> Unary<Q, R> {
    pub(crate) fn answer(self, answer: R) {
        // The client may have given up.
        let _ = self.reply.send(Ok(answer));
    }

    pub(crate) fn refuse(self, status: Status) {
        let _ = self.reply.send(Err(status));
    }
}

// === impl WatchCall ===

impl WatchCall {
    pub(crate) async fn send(&self, frame: pb::watch_session_events_response::Frame) {
        let response = pb::WatchSessionEventsResponse { frame: Some(frame) };
        self.frames.send(Ok(response)).await.unwrap();
    }

    pub(crate) async fn refuse(self, status: Status) {
        self.frames.send(Err(status)).await.unwrap();
    }

    /// Waits until the client has gone.
    pub(crate) async fn closed(&self) {
        self.frames.closed().await;
    }
}

// === impl WorkCall ===

impl WorkCall {
    pub(crate) async fn send(&self, frame: pb::work_response::Frame) {
        let response = pb::WorkResponse { frame: Some(frame) };
        self.frames.send(Ok(response)).await.unwrap();
    }

    pub(crate) async fn refuse(self, status: Status) {
        self.frames.send(Err(status)).await.unwrap();
    }

    /// The next frame that is no heartbeat.
    pub(crate) async fn frame(&mut self) -> pb::work_request::Frame {
        loop {
            let request = within(self.inbound.next()).await.unwrap().unwrap();
            match request.frame.unwrap() {
                pb::work_request::Frame::Heartbeat(_) => {}
                frame => return frame,
            }
        }
    }

    /// The next frame, which must be a settle.
    pub(crate) async fn settle(&mut self) -> Vec<pb::Settlement> {
        match self.frame().await {
            pb::work_request::Frame::Settle(settle) => settle.settlements,
            other => panic!("expected a settle, got {other:?}"),
        }
    }

    /// Waits for a heartbeat.
    pub(crate) async fn heartbeat(&mut self) {
        loop {
            let request = within(self.inbound.next()).await.unwrap().unwrap();
            if let Some(pb::work_request::Frame::Heartbeat(_)) = request.frame {
                return;
            }
        }
    }
}
