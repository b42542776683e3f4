//! MessageService: enqueue, claim, settle, list, and what is done with dead letters.

use std::pin::Pin;

use futures_util::Stream;
use sessiond_core::command::Command;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::message_service_server::MessageService;
use tonic::{Request, Response, Status, Streaming};

use super::{Handlers, claim, dead_letters, discard, enqueue_stream, list, requeue};
use crate::wire::status::Refusal;
use crate::wire::{parse, show};

type EnqueueStreamStream =
    Pin<Box<dyn Stream<Item = Result<pb::EnqueueStreamResponse, Status>> + Send>>;

#[tonic::async_trait]
impl MessageService for Handlers {
    async fn enqueue_messages(
        &self,
        request: Request<pb::EnqueueMessagesRequest>,
    ) -> Result<Response<pb::EnqueueMessagesResponse>, Status> {
        let context = &self.context;
        let (namespace, actor) = context.called(&request)?;
        let request = request.into_inner();
        if request.open_if_missing.is_some() {
            context.refuse_if_stopping()?;
        }
        let enqueue = parse::enqueue::enqueue(
            &namespace,
            request,
            || context.env.ids.session(),
            actor,
            &context.policy,
        )
        .map_err(|invalid| Refusal::invalid(&invalid))?;
        let (revision, reply) = context.ask(Command::Enqueue(enqueue)).await?;
        Ok(Response::new(show::reply::enqueued(reply, revision)))
    }

    type EnqueueStreamStream = EnqueueStreamStream;

    async fn enqueue_stream(
        &self,
        request: Request<Streaming<pb::EnqueueStreamRequest>>,
    ) -> Result<Response<EnqueueStreamStream>, Status> {
        let caller = self.context.called(&request)?;
        let stream = enqueue_stream::serve(&self.context, caller, request.into_inner());
        Ok(Response::new(stream))
    }

    async fn claim_messages(
        &self,
        request: Request<pb::ClaimMessagesRequest>,
    ) -> Result<Response<pb::ClaimMessagesResponse>, Status> {
        let namespace = self.context.namespace(request.metadata())?;
        claim::claim(&self.context, &namespace, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn settle_messages(
        &self,
        request: Request<pb::SettleMessagesRequest>,
    ) -> Result<Response<pb::SettleMessagesResponse>, Status> {
        let namespace = self.context.namespace(request.metadata())?;
        let settle = parse::settle::settle(&namespace, request.into_inner())
            .map_err(|invalid| Refusal::invalid(&invalid))?;
        let (revision, reply) = self.context.ask(Command::Settle(settle)).await?;
        Ok(Response::new(show::reply::settled(reply, revision)))
    }

    async fn list_messages(
        &self,
        request: Request<pb::ListMessagesRequest>,
    ) -> Result<Response<pb::ListMessagesResponse>, Status> {
        let namespace = self.context.namespace(request.metadata())?;
        let listed = list::messages(&self.context, &namespace, request.into_inner()).await?;
        Ok(Response::new(listed))
    }
    async fn list_dead_letters(
        &self,
        request: Request<pb::ListDeadLettersRequest>,
    ) -> Result<Response<pb::ListDeadLettersResponse>, Status> {
        let namespace = self.context.namespace(request.metadata())?;
        dead_letters::list(&self.context, &namespace, request.into_inner()).map(Response::new)
    }
    async fn requeue_dead_letters(
        &self,
        request: Request<pb::RequeueDeadLettersRequest>,
    ) -> Result<Response<pb::RequeueDeadLettersResponse>, Status> {
        let caller = self.context.called(&request)?;
        requeue::requeue(&self.context, &caller, request.into_inner())
            .await
            .map(Response::new)
    }

    async fn discard_messages(
        &self,
        request: Request<pb::DiscardMessagesRequest>,
    ) -> Result<Response<pb::DiscardMessagesResponse>, Status> {
        let caller = self.context.called(&request)?;
        discard::discard(&self.context, &caller, request.into_inner())
            .await
            .map(Response::new)
    }
}
