//! The no-op server: sessiond's listener and HTTP settings, its guards and its gRPC-Web layer, and an
//! `EnqueueMessages` and `EnqueueStream` that answer before there is any engine.
//!
//! It is the limit of every design behind the same requests, so it runs in a process of its own as
//! sessiond does. What it deliberately does not do: parse, decide or keep anything.

use std::pin::Pin;
use std::str::FromStr;

use anyhow::{Result, anyhow};
use futures_util::{Stream, StreamExt};
use sessiond::config::Listen;
use sessiond::env::Machine;
use sessiond::limits::{CONNECTIONS_DEFAULT, REQUEST_BYTES_MAX};
use sessiond::stopping::Stopping;
use sessiond::transport;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::message_service_server::{MessageService, MessageServiceServer};
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use tonic_web::GrpcWebLayer;

/// Answers at once.
#[derive(Debug)]
struct Noop;

type Answers = Pin<Box<dyn Stream<Item = Result<pb::EnqueueStreamResponse, Status>> + Send>>;

/// Serves until the process is killed.
///
/// # Errors
/// When it cannot listen.
pub(crate) async fn serve(listen: &str) -> Result<()> {
    let listen = Listen::from_str(listen).map_err(|why| anyhow!("--listen {why}"))?;
    let env = Machine::env();
    let (bound, address) = transport::bind(env.network.as_ref(), &listen, None).await?;
    let service = MessageServiceServer::new(Noop)
        .max_decoding_message_size(REQUEST_BYTES_MAX)
        .max_encoding_message_size(REQUEST_BYTES_MAX);
    let services = Routes::new(service)
        .into_axum_router()
        .layer(GrpcWebLayer::new());
    crate::say(&format!("listening on {address}"));
    let register = transport::Register::new(usize::try_from(CONNECTIONS_DEFAULT)?, None);
    let routes = Routes::from(services);
    transport::serve(bound, routes, Stopping::default(), register).await;
    Ok(())
}

fn enqueued(messages: usize) -> Vec<pb::EnqueueResult> {
    let result = pb::EnqueueResult {
        seq: 1,
        status: pb::EnqueueStatus::Enqueued.into(),
    };
    vec![result; messages]
}

/// The session as it was named, for an answer of the same size.
fn named(session: Option<pb::SessionRef>) -> String {
    match session.and_then(|session| session.r#ref) {
        Some(pb::session_ref::Ref::SessionId(id)) => id,
        Some(pb::session_ref::Ref::Key(key)) => key,
        None => String::new(),
    }
}

#[tonic::async_trait]
impl MessageService for Noop {
    async fn enqueue_messages(
        &self,
        request: Request<pb::EnqueueMessagesRequest>,
    ) -> Result<Response<pb::EnqueueMessagesResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(pb::EnqueueMessagesResponse {
            results: enqueued(request.messages.len()),
            revision: 1,
            session_id: named(request.r#ref),
            queue_id: 1,
            opened: false,
        }))
    }

    type EnqueueStreamStream = Answers;

    async fn enqueue_stream(
        &self,
        request: Request<Streaming<pb::EnqueueStreamRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let answers = request.into_inner().map(|frame| {
            frame.map(|frame| pb::EnqueueStreamResponse {
                stream_id: frame.stream_id,
                results: enqueued(frame.messages.len()),
                status: None,
                revision: 1,
                session_id: named(frame.r#ref),
                queue_id: 1,
                opened: false,
            })
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn claim_messages(
        &self,
        _: Request<pb::ClaimMessagesRequest>,
    ) -> Result<Response<pb::ClaimMessagesResponse>, Status> {
        Err(nothing_here())
    }

    async fn settle_messages(
        &self,
        _: Request<pb::SettleMessagesRequest>,
    ) -> Result<Response<pb::SettleMessagesResponse>, Status> {
        Err(nothing_here())
    }

    async fn list_messages(
        &self,
        _: Request<pb::ListMessagesRequest>,
    ) -> Result<Response<pb::ListMessagesResponse>, Status> {
        Err(nothing_here())
    }

    async fn requeue_dead_letters(
        &self,
        _: Request<pb::RequeueDeadLettersRequest>,
    ) -> Result<Response<pb::RequeueDeadLettersResponse>, Status> {
        Err(nothing_here())
    }

    async fn discard_messages(
        &self,
        _: Request<pb::DiscardMessagesRequest>,
    ) -> Result<Response<pb::DiscardMessagesResponse>, Status> {
        Err(nothing_here())
    }

    async fn list_dead_letters(
        &self,
        _: Request<pb::ListDeadLettersRequest>,
    ) -> Result<Response<pb::ListDeadLettersResponse>, Status> {
        Err(nothing_here())
    }
}

fn nothing_here() -> Status {
    Status::failed_precondition("the no-op server has no messages")
}
