//! Notices: what an operator should read in the log of what was decided.
//!
//! Each is a warning with fields, written once, after the commit that made it true and off the engine's thread: the
//! cleanup log asks for it as it follows the feed, and leaves out its own line where there is a notice. So a notice names
//! all that such a line would, and nothing is said twice. What is ordinary is not here: whoever wants all of it watches
//! the events. Ids are told, payloads and prompts never.

use sessiond_core::event::{EventKind, EventRow, WARNING};
use sessiond_core::session::{Lifecycle, SessionView};

use crate::wire::show;

/// Writes a warning that names the event and its session, if it is about one, and what else there is to say.
macro_rules! warn_of {
    ($event:expr, $($said:tt)+) => {
        tracing::warn!(
            revision = $event.revision.0,
            namespace = $event.namespace().map(tracing::field::display),
            session_id = $event.session().map(|of| tracing::field::display(&of.session.id)),
            key = $event.session().and_then(key),
            $($said)+
        )
    };
}

/// Writes the line of an event that has one; answers whether it has.
pub(crate) fn note(event: &EventRow) -> bool {
    let attribute = |name: &str| event.attributes.get(name).map_or("0", String::as_str);
    match event.kind {
        EventKind::SessionEnd => return late(event),
        EventKind::WorkerStuck => warn_of!(
            event,
            instance_id = attribute("instance_id"),
            "worker stuck: it holds deliveries and makes no progress, and has lost the session"
        ),
        EventKind::RestartLimited => warn_of!(
            event,
            failures = attribute("failures"),
            limit = attribute("limit"),
            "session suspended: its workers failed too often"
        ),
        EventKind::CircuitOpened => warn_of!(
            event,
            kind = attribute("kind"),
            failures = attribute("failures"),
            "messages of a kind are skipped: it failed too often"
        ),
        EventKind::ResourceLingering => warn_of!(
            event,
            resource_id = attribute("resource_id"),
            name = event.attributes.get("name"),
            cause = attribute("cause"),
            detail = attribute("detail"),
            "resource left behind: it did not go when it was to, and is tried again; its session keeps its slot"
        ),
        EventKind::SubscriptionStale => warn_of!(
            event,
            subscription = attribute("subscription"),
            acked_revision = attribute("acked_revision"),
            lag_events = attribute("lag_events"),
            lag_ms = attribute("lag_ms"),
            lag_bytes = attribute("lag_bytes"),
            "subscription stale: it fell too far behind, and events are deleted without it"
        ),
        EventKind::ServerDraining
        | EventKind::ServerDrainCancelled
        | EventKind::MessagesRequeued
        | EventKind::MessagesDiscarded
        | EventKind::LimitWarning
        | EventKind::SessionReleased
        | EventKind::ResourceReleased
        | EventKind::SessionOpened
        | EventKind::SessionUpdated
        | EventKind::SessionQueued
        | EventKind::SessionAdmitted
        | EventKind::SessionDraining
        | EventKind::SessionPurged
        | EventKind::WorkerAttached
        | EventKind::WorkerDetached
        | EventKind::WorkerLost
        | EventKind::MessageDeadLettered
        | EventKind::CircuitClosed => return false,
    }
    true
}

/// An end with something under way.
fn late(event: &EventRow) -> bool {
    let attribute = |name: &str| event.attributes.get(name).map_or("0", String::as_str);
    let Some(warning) = event.attributes.get(WARNING) else {
        return false;
    };
    warn_of!(
        event,
        warning,
        reason = event.session().and_then(reason),
        active_requests = attribute("active_requests"),
        in_flight = attribute("in_flight"),
        pending = attribute("pending"),
        "session ended with work open: its grace was over"
    );
    true
}

/// The session's key, as a field of a line.
fn key(view: &SessionView) -> Option<impl tracing::field::Value> {
    view.session.key.as_ref().map(tracing::field::display)
}

/// Why the session ended, if it has.
fn reason(view: &SessionView) -> Option<&'static str> {
    match &view.session.lifecycle {
        Lifecycle::Ended(end) => Some(show::end::reason_name(end.reason)),
        Lifecycle::Queued(_) | Lifecycle::Active | Lifecycle::Draining(_) => None,
    }
}
