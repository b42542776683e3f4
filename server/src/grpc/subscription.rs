//! SubscriptionService: places in the log that plugins read from and acknowledge.
//!
//! Reading is a watch (`watch.rs`); who may read, and what counts as acknowledged, is decided by the engine. What this
//! deliberately does not do: keep anything.

use std::sync::Arc;

use sessiond_core::command::Command;
use sessiond_core::command::subscription::{SubscriptionCommand, SubscriptionStep};
use sessiond_core::ids::{Namespace, SubscriptionName};
use sessiond_core::reply::Reply;
use sessiond_core::subscription::{
    EventStart, SubscriptionKey, SubscriptionRejection, SubscriptionReply, SubscriptionRow,
};
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::subscription_service_server::SubscriptionService;
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::Rows;
use tonic::{Request, Response, Status};

use super::Handlers;
use super::context::{Context, faulted};
use crate::wire::parse::watch::WatchStart;
use crate::wire::status::Refusal;
use crate::wire::token::PagePosition;
use crate::wire::{parse, show};

#[tonic::async_trait]
impl SubscriptionService for Handlers {
    async fn create_subscription(
        &self,
        request: Request<pb::CreateSubscriptionRequest>,
    ) -> Result<Response<pb::CreateSubscriptionResponse>, Status> {
        let context = &self.context;
        let namespace = context.namespace(request.metadata())?;
        let call = parse::subscription::create(&namespace, request.into_inner())
            .map_err(|invalid| Refusal::invalid(&invalid))?;
        let step = SubscriptionStep::Create {
            settings: call.settings,
            start: place(context, call.start)?,
            request: call.request,
        };
        let done = change(context, (namespace, call.name), step).await?;
        Ok(Response::new(pb::CreateSubscriptionResponse {
            subscription: done.shown(context)?,
            created: done.created,
            duplicate: done.duplicate,
        }))
    }

    async fn get_subscription(
        &self,
        request: Request<pb::GetSubscriptionRequest>,
    ) -> Result<Response<pb::GetSubscriptionResponse>, Status> {
        let context = &self.context;
        let namespace = context.namespace(request.metadata())?;
        let name = parse::subscription::get(request.into_inner())
            .map_err(|invalid| Refusal::invalid(&invalid))?;
        let rows = context.rows()?;
        let key = (namespace, name);
        let row = rows.subscription(&key).map_err(|fault| faulted(&fault))?;
        let row = row.ok_or_else(|| not_found(&key.1))?;
        let shown = shown(context, &rows, &row).map_err(|fault| faulted(&fault))?;
        Ok(Response::new(pb::GetSubscriptionResponse {
            subscription: Some(shown),
        }))
    }

    async fn list_subscriptions(
        &self,
        request: Request<pb::ListSubscriptionsRequest>,
    ) -> Result<Response<pb::ListSubscriptionsResponse>, Status> {
        let namespace = self.context.namespace(request.metadata())?;
        list(&self.context, &namespace, &request.into_inner()).map(Response::new)
    }

    async fn ack_events(
        &self,
        request: Request<pb::AckEventsRequest>,
    ) -> Result<Response<pb::AckEventsResponse>, Status> {
        let context = &self.context;
        let namespace = context.namespace(request.metadata())?;
        let call = parse::subscription::ack(request.into_inner())
            .map_err(|invalid| Refusal::invalid(&invalid))?;
        let subscription = (namespace, call.name);
        let step = SubscriptionStep::Ack {
            revision: call.revision,
            epoch: call.epoch,
            delivered: context.consumers.sent(&subscription, call.epoch),
        };
        let command = SubscriptionCommand { subscription, step };
        let (_, reply) = context.ask(Command::Subscription(command)).await?;
        let Reply::Subscription(SubscriptionReply::Acked(acked)) = reply else {
            panic!("an acknowledgement is answered with how far it came: {reply:?}");
        };
        Ok(Response::new(pb::AckEventsResponse {
            acked_revision: acked.0,
        }))
    }

    async fn seek_subscription(
        &self,
        request: Request<pb::SeekSubscriptionRequest>,
    ) -> Result<Response<pb::SeekSubscriptionResponse>, Status> {
        let context = &self.context;
        let namespace = context.namespace(request.metadata())?;
        let call = parse::subscription::seek(request.into_inner())
            .map_err(|invalid| Refusal::invalid(&invalid))?;
        let step = SubscriptionStep::Seek {
            start: place(context, call.start)?,
            request: call.request,
        };
        let done = change(context, (namespace, call.name), step).await?;
        Ok(Response::new(pb::SeekSubscriptionResponse {
            subscription: done.shown(context)?,
            duplicate: done.duplicate,
        }))
    }

    async fn delete_subscription(
        &self,
        request: Request<pb::DeleteSubscriptionRequest>,
    ) -> Result<Response<pb::DeleteSubscriptionResponse>, Status> {
        let context = &self.context;
        let namespace = context.namespace(request.metadata())?;
        let (name, request) = parse::subscription::delete(request.into_inner())
            .map_err(|invalid| Refusal::invalid(&invalid))?;
        let key = (namespace, name);
        let step = SubscriptionStep::Delete { request };
        let done = change(context, key.clone(), step).await?;
        if !done.duplicate {
            context.consumers.forget(&key);
        }
        Ok(Response::new(pb::DeleteSubscriptionResponse {
            duplicate: done.duplicate,
        }))
    }
}

/// What became of a change of a subscription.
struct Changed {
    row: Option<Arc<SubscriptionRow>>,
    created: bool,
    duplicate: bool,
}

impl Changed {
    fn shown(&self, context: &Context) -> Result<Option<pb::Subscription>, Status> {
        let rows = context.rows()?;
        let shown = self.row.as_ref().map(|row| shown(context, &rows, row));
        shown.transpose().map_err(|fault| faulted(&fault))
    }
}

async fn change(
    context: &Context,
    subscription: SubscriptionKey,
    step: SubscriptionStep,
) -> Result<Changed, Status> {
    let command = SubscriptionCommand { subscription, step };
    let (_, reply) = context.ask(Command::Subscription(command)).await?;
    let Reply::Subscription(SubscriptionReply::Changed {
        subscription: row,
        created,
        duplicate,
    }) = reply
    else {
        panic!("a change of a subscription is answered with it: {reply:?}");
    };
    Ok(Changed {
        row,
        created,
        duplicate,
    })
}

/// A place of this log, as a call names it.
fn place(context: &Context, start: WatchStart) -> Result<EventStart, Status> {
    Ok(match start {
        WatchStart::Now => EventStart::Now,
        WatchStart::Oldest => EventStart::Oldest,
        WatchStart::After(revision) => EventStart::After(revision),
        WatchStart::Resume(token) => {
            let log_id = &context.identification.log_id;
            let Some(revision) = token.revision_in(log_id) else {
                let (oldest, newest) = context.log_bounds()?;
                return Err(Refusal::log_changed(log_id, oldest, newest).into());
            };
            EventStart::After(revision)
        }
    })
}

fn list(
    context: &Context,
    namespace: &Namespace,
    request: &pb::ListSubscriptionsRequest,
) -> Result<pb::ListSubscriptionsResponse, Status> {
    let log_id = &context.identification.log_id;
    let page = parse::subscription::list(namespace, request, log_id)
        .map_err(|invalid| Refusal::invalid(&invalid))?;
    let after = match &page.after {
        Some(PagePosition::Subscriptions(name)) => Some(name),
        Some(_) | None => None,
    };
    let rows = context.rows()?;
    let found = rows
        .subscriptions_after(namespace, after, page.size)
        .map_err(|fault| faulted(&fault))?;
    let last = found.last().filter(|_| found.len() == page.size);
    let next = last.map(|last| PagePosition::Subscriptions(last.name.clone()));
    let shown = found.iter().map(|row| shown(context, &rows, row));
    let shown: Result<_, Fault> = shown.collect();
    Ok(pb::ListSubscriptionsResponse {
        subscriptions: shown.map_err(|fault| faulted(&fault))?,
        next_page_token: next.map_or_else(String::new, |next| page.binding.token(&next)),
    })
}

/// A subscription as it is shown, with how far it is behind the log of a snapshot.
pub(crate) fn shown(
    context: &Context,
    rows: &Rows,
    row: &SubscriptionRow,
) -> Result<pb::Subscription, Fault> {
    let key = row.key();
    let first = rows.event(row.acked.next())?;
    let around = show::subscription::Around {
        connected: context.consumers.is_read(&key, row.epoch),
        delivered: context.consumers.sent(&key, row.epoch),
        counters: &rows.counters()?,
        first: first.as_deref(),
        now: context.now().engine,
    };
    Ok(show::subscription::subscription(row, &around))
}

fn not_found(name: &SubscriptionName) -> Status {
    let name = name.clone();
    Refusal::rejected(&SubscriptionRejection::NotFound { name }.into()).into()
}
