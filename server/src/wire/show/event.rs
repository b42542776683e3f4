//! Events.

use sessiond_core::event::{EventKind, EventRow, MessageRef};
use sessiond_core::ids::Revision;
use sessiond_core::session::Lifecycle;
use sessiond_proto::v1 as pb;

use super::time::timestamp;
use super::{end, snapshot};

/// An event of the log `log_id`.
pub(crate) fn event(row: &EventRow, log_id: &str) -> pb::SessionEvent {
    pb::SessionEvent {
        revision: row.revision.0,
        event_id: event_id(log_id, row.revision),
        r#type: event_type(row.kind).into(),
        time: Some(timestamp(row.time)),
        namespace: row.namespace().map(ToString::to_string).unwrap_or_default(),
        session: row.session().map(snapshot::snapshot),
        end: end_of(row),
        actor: Some(end::actor(&row.actor)),
        message_ref: row.message.as_ref().map(message_ref),
        attributes: row.attributes.clone(),
        cause: row.actor.cause.map(|cause| pb::EventCause {
            event_id: event_id(log_id, cause.event),
            depth: cause.depth,
        }),
    }
}

fn event_id(log_id: &str, revision: Revision) -> String {
    format!("{log_id}-{revision}")
}

/// What happened.
pub(crate) fn event_type(kind: EventKind) -> pb::EventType {
    match kind {
        EventKind::SessionOpened => pb::EventType::SessionOpened,
        EventKind::SessionUpdated => pb::EventType::SessionUpdated,
        EventKind::SessionDraining => pb::EventType::SessionDraining,
        EventKind::SessionEnd => pb::EventType::SessionEnd,
        EventKind::SessionPurged => pb::EventType::SessionPurged,
        EventKind::WorkerAttached => pb::EventType::WorkerAttached,
        EventKind::WorkerDetached => pb::EventType::WorkerDetached,
        EventKind::WorkerLost => pb::EventType::WorkerLost,
        EventKind::WorkerStuck => pb::EventType::WorkerStuck,
        EventKind::LimitWarning => pb::EventType::LimitWarning,
        EventKind::RestartLimited => pb::EventType::RestartLimited,
        EventKind::MessageDeadLettered => pb::EventType::MessageDeadLettered,
        EventKind::CircuitOpened => pb::EventType::CircuitOpened,
        EventKind::CircuitClosed => pb::EventType::CircuitClosed,
        EventKind::SessionQueued => pb::EventType::SessionQueued,
        EventKind::SessionAdmitted => pb::EventType::SessionAdmitted,
        EventKind::SessionReleased => pb::EventType::SessionReleased,
        EventKind::ResourceReleased => pb::EventType::ResourceReleased,
        EventKind::ResourceLingering => pb::EventType::ResourceLingering,
        EventKind::SubscriptionStale => pb::EventType::SubscriptionStale,
        EventKind::MessagesRequeued => pb::EventType::MessagesRequeued,
        EventKind::MessagesDiscarded => pb::EventType::MessagesDiscarded,
        EventKind::ServerDraining => pb::EventType::ServerDraining,
        EventKind::ServerDrainCancelled => pb::EventType::ServerDrainCancelled,
    }
}

/// What happened as words, for example `session end`.
pub(crate) fn type_name(kind: EventKind) -> String {
    let name = event_type(kind).as_str_name();
    let name = name.strip_prefix("EVENT_TYPE_").unwrap_or(name);
    name.to_lowercase().replace('_', " ")
}

/// The end, for the one event that tells it; later events show it in the session.
fn end_of(row: &EventRow) -> Option<pb::SessionEnd> {
    match (&row.session()?.session.lifecycle, row.kind) {
        (Lifecycle::Ended(record), EventKind::SessionEnd) => Some(end::ended(record)),
        (
            Lifecycle::Queued(_) | Lifecycle::Active | Lifecycle::Draining(_) | Lifecycle::Ended(_),
            _,
        ) => None,
    }
}

fn message_ref(message: &MessageRef) -> pb::MessageRef {
    pb::MessageRef {
        queue_id: message.queue.0,
        seq: message.seq.0,
        kind: message.kind.clone(),
    }
}
