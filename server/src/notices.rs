//! Notices: what an operator should read in the log of what was decided.
//!
//! Each is a line with fields, written once, after the commit that made it true and off the engine's thread: the
//! cleanup log asks for it as it follows the feed. What is ordinary is not here: whoever wants all of it watches the
//! events.

use sessiond_core::event::{EventKind, EventRow, WARNING};

/// Writes the line of an event that has one.
pub(crate) fn note(event: &EventRow) {
    let session = &event.session.session;
    let attribute = |name: &str| event.attributes.get(name).map_or("0", String::as_str);
    match event.kind {
        EventKind::SessionEnd => {
            if let Some(warning) = event.attributes.get(WARNING) {
                tracing::warn!(
                    warning,
                    namespace = %session.namespace,
                    session_id = %session.id,
                    active_requests = attribute("active_requests"),
                    in_flight = attribute("in_flight"),
                    pending = attribute("pending"),
                    "session ended with work open: its grace was over"
                );
            }
        }
        EventKind::WorkerStuck => tracing::warn!(
            namespace = %session.namespace,
            session_id = %session.id,
            instance_id = attribute("instance_id"),
            "worker stuck: it holds deliveries and makes no progress, and has lost the session"
        ),
        EventKind::RestartLimited => tracing::warn!(
            namespace = %session.namespace,
            session_id = %session.id,
            failures = attribute("failures"),
            limit = attribute("limit"),
            "session suspended: its workers failed too often"
        ),
        EventKind::CircuitOpened => {
            tracing::warn!(
                namespace = %session.namespace,
                session_id = %session.id,
                kind = attribute("kind"),
                failures = attribute("failures"),
                "messages of a kind are skipped: it failed too often"
            );
        }
        EventKind::LimitWarning
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
        | EventKind::CircuitClosed => {}
    }
}
