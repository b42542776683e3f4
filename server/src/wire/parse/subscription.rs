//! The calls about subscriptions.
//!
//! A filter is checked here and kept as it was given, but for the order and the repetition of its lists, so that whoever makes
//! a subscription again need not say it letter by letter.

use bytes::Bytes;
use prost::Message;
use sessiond_core::command::RequestTag;
use sessiond_core::ids::{Epoch, Namespace, Revision, SubscriptionName};
use sessiond_core::limits::{MAX_LAG_BYTES_DEFAULT, MAX_LAG_DEFAULT};
use sessiond_core::subscription::{MaxLag, SubscriptionSettings};
use sessiond_proto::v1 as pb;

use super::page::{self, Page};
use super::request_tag::request_tag;
use super::watch::{self, WatchStart};
use super::{number, text, time};
use crate::limits::{MAX_LAG_BYTES_MAX, MAX_LAG_BYTES_MIN, MAX_LAG_MAX, MAX_LAG_MIN};
use crate::wire::faults::{Faults, Invalid};
use crate::wire::query::EventQuery;
use crate::wire::token::{Binding, ListKind};

/// What CreateSubscription asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CreateCall {
    pub(crate) name: SubscriptionName,
    pub(crate) settings: SubscriptionSettings,
    pub(crate) start: WatchStart,
    pub(crate) request: Option<RequestTag>,
}

/// What SeekSubscription asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeekCall {
    pub(crate) name: SubscriptionName,
    pub(crate) start: WatchStart,
    pub(crate) request: Option<RequestTag>,
}

/// What AckEvents asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AckCall {
    pub(crate) name: SubscriptionName,
    pub(crate) revision: Revision,
    pub(crate) epoch: Epoch,
}

/// A subscription to make.
pub(crate) fn create(
    namespace: &Namespace,
    mut request: pb::CreateSubscriptionRequest,
) -> Result<CreateCall, Invalid> {
    Faults::collect(|faults| {
        let request_id = std::mem::take(&mut request.request_id);
        let tag = request_tag(faults, "CreateSubscription", request_id, &request);
        let name = name(faults, request.name);
        let filter = request.filter.map(canonical);
        faults.within("filter", |faults| {
            let filter = filter.clone().unwrap_or_default();
            watch::event_query(faults, Some(namespace.clone()), filter)
        });
        let start = start(faults, request.start);
        let age = time::span_between(faults, "max_lag", request.max_lag, MAX_LAG_MIN, MAX_LAG_MAX);
        let bytes = request.max_lag_bytes.unwrap_or(MAX_LAG_BYTES_DEFAULT);
        if !(MAX_LAG_BYTES_MIN..=MAX_LAG_BYTES_MAX).contains(&bytes) {
            let description =
                format!("must be {MAX_LAG_BYTES_MIN} to {MAX_LAG_BYTES_MAX}, got {bytes}");
            faults.invalid("max_lag_bytes", description);
        }
        Some(CreateCall {
            name: name?,
            settings: SubscriptionSettings {
                filter: filter.map_or_else(Bytes::new, |filter| filter.encode_to_vec().into()),
                required: request.required,
                max_lag: MaxLag {
                    age: age.unwrap_or(MAX_LAG_DEFAULT),
                    bytes,
                },
            },
            start: start?,
            request: tag,
        })
    })
}

/// Where a subscription goes on.
pub(crate) fn seek(mut request: pb::SeekSubscriptionRequest) -> Result<SeekCall, Invalid> {
    Faults::collect(|faults| {
        let request_id = std::mem::take(&mut request.request_id);
        let tag = request_tag(faults, "SeekSubscription", request_id, &request);
        let name = name(faults, request.name);
        let start = start(faults, request.start);
        Some(SeekCall {
            name: name?,
            start: start?,
            request: tag,
        })
    })
}

/// Which subscription to forget.
pub(crate) fn delete(
    mut request: pb::DeleteSubscriptionRequest,
) -> Result<(SubscriptionName, Option<RequestTag>), Invalid> {
    Faults::collect(|faults| {
        let request_id = std::mem::take(&mut request.request_id);
        let tag = request_tag(faults, "DeleteSubscription", request_id, &request);
        name(faults, request.name).map(|name| (name, tag))
    })
}

/// Which subscription to read.
pub(crate) fn get(request: pb::GetSubscriptionRequest) -> Result<SubscriptionName, Invalid> {
    Faults::collect(|faults| name(faults, request.name))
}

/// How far events were handled.
pub(crate) fn ack(request: pb::AckEventsRequest) -> Result<AckCall, Invalid> {
    Faults::collect(|faults| {
        let name = name(faults, request.name);
        let revision = number::required(faults, "revision", request.revision);
        let epoch = number::required(faults, "epoch", request.epoch);
        Some(AckCall {
            name: name?,
            revision: Revision(revision),
            epoch: Epoch(epoch),
        })
    })
}

/// Which page of the subscriptions of a namespace to list, out of the log `log_id`.
pub(crate) fn list(
    namespace: &Namespace,
    request: &pb::ListSubscriptionsRequest,
    log_id: &str,
) -> Result<Page, Invalid> {
    Faults::collect(|faults| {
        let parts = [namespace.as_str().as_bytes()];
        let binding = Binding::new(ListKind::Subscriptions, log_id, &parts);
        let (size, token) = (request.page_size, &request.page_token);
        Some(page::page(faults, size, token, binding))
    })
}

/// The filter of a subscription that is on record.
pub(crate) fn filter_of(settings: &SubscriptionSettings) -> pb::EventFilter {
    // It was checked before it was put on record.
    pb::EventFilter::decode(&*settings.filter).expect("a filter on record is one")
}

/// Which events a subscription that is on record brings.
pub(crate) fn query_of(namespace: &Namespace, settings: &SubscriptionSettings) -> EventQuery {
    let filter = filter_of(settings);
    let mut faults = Faults::default();
    let query = watch::event_query(&mut faults, Some(namespace.clone()), filter);
    // Of a type that only a later version knows no event is written either.
    drop(faults);
    query
}

fn name(faults: &mut Faults, name: String) -> Option<SubscriptionName> {
    text::required(faults, "name", name, SubscriptionName::parse)
}

fn start(faults: &mut Faults, start: Option<pb::EventStart>) -> Option<WatchStart> {
    faults.within("start", |faults| {
        watch::place(faults, start.and_then(|start| start.start))
    })
}

/// The same filter, with its lists in order and without what they say twice.
fn canonical(mut filter: pb::EventFilter) -> pb::EventFilter {
    filter.types.sort_unstable();
    filter.types.dedup();
    filter.session_ids.sort_unstable();
    filter.session_ids.dedup();
    filter
}
