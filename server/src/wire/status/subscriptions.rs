//! What each refusal about a subscription tells its caller.

use sessiond_core::ids::{Epoch, InstanceId, Revision, SessionId, SubscriptionName};
use sessiond_core::subscription::SubscriptionRejection;
use sessiond_core::time::Span;
use sessiond_proto::reason::Reason;

use super::rejection::full;
use super::{RETRY_CONSUMER, Refusal};

/// A subscription is in the way, or cannot be.
pub(super) fn refused(rejection: &SubscriptionRejection) -> Refusal {
    match rejection {
        SubscriptionRejection::NotFound { name } => not_found(name),
        SubscriptionRejection::Exists { name, differing } => exists(name, differing),
        SubscriptionRejection::Held {
            name,
            holder,
            epoch,
        } => held(name, holder, *epoch),
        SubscriptionRejection::Fenced {
            name,
            given,
            current,
        } => fenced(name, *given, *current),
        SubscriptionRejection::Stale {
            name,
            acked,
            oldest,
        } => stale(name, *acked, *oldest),
        SubscriptionRejection::NotDelivered {
            revision,
            delivered,
        } => not_delivered(*revision, *delivered),
        SubscriptionRejection::Compacted {
            after,
            oldest,
            newest,
        } => Refusal::revision_compacted(*after, *oldest, *newest),
        SubscriptionRejection::Ahead { oldest, newest } => ahead(*oldest, *newest),
        SubscriptionRejection::Unheard {
            session,
            name,
            waits,
        } => unheard(session, name, *waits),
        SubscriptionRejection::TooMany { limit } => too_many(*limit),
    }
}

/// A session stays until a required subscription has heard of it.
fn unheard(session: &SessionId, subscription: &SubscriptionName, waits: Span) -> Refusal {
    let message = format!(
        "subscription `{subscription}` has not acknowledged all that happened to session `{session}`"
    );
    Refusal::new(Reason::SessionUnacknowledged, message)
        .with("session_id", session)
        .with("subscription", subscription)
        .retry(waits)
}

fn not_found(name: &SubscriptionName) -> Refusal {
    Refusal::new(
        Reason::SubscriptionNotFound,
        format!("no subscription `{name}`"),
    )
    .with("subscription", name)
    .about(name)
}

fn exists(name: &SubscriptionName, differing: &[&str]) -> Refusal {
    let fields = differing.join(", ");
    let message = format!("subscription `{name}` exists with another {fields}");
    Refusal::new(Reason::SubscriptionExists, message)
        .with("subscription", name)
        .with("fields", &fields)
        .about(name)
}

fn held(name: &SubscriptionName, holder: &InstanceId, epoch: Epoch) -> Refusal {
    let message = format!("subscription `{name}` is consumed by `{holder}`");
    Refusal::new(Reason::LeaseHeld, message)
        .with("subscription", name)
        .with("holder", holder)
        .with("epoch", &epoch)
        .retry(RETRY_CONSUMER)
}

fn fenced(name: &SubscriptionName, given: Epoch, current: Epoch) -> Refusal {
    let message = format!("epoch {given} of subscription `{name}` is over: it is {current} now");
    Refusal::new(Reason::LeaseFenced, message)
        .with("subscription", name)
        .with("epoch", &given)
        .with("current_epoch", &current)
}

fn stale(name: &SubscriptionName, acked: Revision, oldest: Revision) -> Refusal {
    let message = format!(
        "subscription `{name}` fell too far behind; it acknowledged {acked}, and the oldest event is {oldest}"
    );
    Refusal::new(Reason::SubscriptionStale, message)
        .with("subscription", name)
        .with("acked_revision", &acked)
        .with("oldest_revision", &oldest)
}

fn not_delivered(revision: Revision, delivered: Revision) -> Refusal {
    let description =
        format!("must be at most {delivered}, up to which the consumer was sent; got {revision}");
    Refusal::field_invalid("revision", &description)
}

fn ahead(oldest: Revision, newest: Revision) -> Refusal {
    let message = format!("the start is not in this log, whose newest revision is {newest}");
    Refusal::new(Reason::LogChanged, message)
        .with("oldest_revision", &oldest)
        .with("current_revision", &newest)
}

fn too_many(limit: u64) -> Refusal {
    let message = format!("{limit} subscriptions are on record, as many as may be");
    let scope = "subscriptions of the server";
    full(Reason::QuotaExceeded, message, scope, (limit, limit))
}
