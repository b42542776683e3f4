//! Where a watch begins, and which events it brings: what its caller says, or what a subscription does.

use bytes::Bytes;
use sessiond_core::command::Command;
use sessiond_core::command::subscription::{SubscriptionCommand, SubscriptionStep};
use sessiond_core::ids::{Epoch, InstanceId, Revision};
use sessiond_core::reply::Reply;
use sessiond_core::subscription::{SubscriptionKey, SubscriptionReply};
use tonic::Status;

use crate::consumers::Seat;
use crate::grpc::context::Context;
use crate::wire::parse::watch::WatchStart;
use crate::wire::query::EventQuery;
use crate::wire::status::Refusal;
use crate::wire::{parse, show};

/// Where a watch begins.
pub(super) struct Place {
    pub(super) query: EventQuery,
    /// Everything up to here is not sent.
    pub(super) cursor: Revision,
    /// What was committed when it was found.
    pub(super) newest: Revision,
    /// Its place as the consumer of a subscription.
    pub(super) seat: Option<Box<Seat>>,
    oldest: Revision,
    consumed: Option<(Epoch, Revision)>,
}

impl Place {
    /// Where a caller says.
    pub(super) fn asked(
        context: &Context,
        start: WatchStart,
        query: EventQuery,
    ) -> Result<Self, Status> {
        let (oldest, newest) = context.log_bounds()?;
        Ok(Self {
            query,
            cursor: cursor(context, start, oldest, newest)?,
            newest,
            seat: None,
            oldest,
            consumed: None,
        })
    }

    /// Where a subscription stands, for a consumer of it.
    pub(super) async fn subscribed(
        context: &Context,
        subscription: SubscriptionKey,
        consumer: Option<InstanceId>,
        take_over: bool,
    ) -> Result<Self, Status> {
        let stream = context.dispatcher.number();
        // Before the engine is asked, or it could not be told that it has lost it again.
        let mut seat = Box::new(context.consumers.seat(subscription.clone(), stream));
        let consumer = consumer.unwrap_or_else(|| {
            let drawn = context.env.ids.session();
            InstanceId::parse(drawn.as_str()).expect("a session's id is an id")
        });
        let namespace = subscription.0.clone();
        let step = SubscriptionStep::Consume {
            consumer,
            stream,
            take_over,
        };
        let command = SubscriptionCommand { subscription, step };
        let (_, reply) = context.ask(Command::Subscription(command)).await?;
        let Reply::Subscription(SubscriptionReply::Consuming(row)) = reply else {
            panic!("a consumer is answered with what it consumes: {reply:?}");
        };
        seat.begin(&row);
        let (oldest, newest) = context.log_bounds()?;
        Ok(Self {
            query: parse::subscription::query_of(&namespace, &row.settings),
            cursor: row.acked,
            newest,
            seat: Some(seat),
            oldest,
            consumed: Some((row.epoch, row.acked)),
        })
    }

    /// The first frame of the watch.
    pub(super) fn started(&self, context: &Context) -> Bytes {
        let log_id = &context.identification.log_id;
        let started = show::watch::started(log_id, self.oldest, self.newest, self.consumed);
        show::encoded::frame(&started)
    }
}

/// The revision after which the watch begins.
fn cursor(
    context: &Context,
    start: WatchStart,
    oldest: Revision,
    newest: Revision,
) -> Result<Revision, Status> {
    let log_id = &context.identification.log_id;
    let before_oldest = Revision(oldest.0 - 1);
    let after = match start {
        WatchStart::Now => return Ok(newest),
        WatchStart::Oldest => return Ok(before_oldest),
        WatchStart::After(revision) => Some(revision),
        WatchStart::Resume(token) => token.revision_in(log_id),
    };
    match after.filter(|after| *after <= newest) {
        None => Err(Refusal::log_changed(log_id, oldest, newest).into()),
        Some(after) if after < before_oldest => {
            Err(Refusal::revision_compacted(after, oldest, newest).into())
        }
        Some(after) => Ok(after),
    }
}
