//! Workers.

use sessiond_core::ids::{SessionId, SessionNo};
use sessiond_core::presence::Window;
use sessiond_core::reply::WorkerView;
use sessiond_proto::v1 as pb;

use super::time::timestamp;

/// A worker and what it holds. `session_id` finds the id of a session; one that is gone by now is left
/// out.
pub(crate) fn worker_info(
    view: &WorkerView,
    session_id: impl Fn(SessionNo) -> Option<SessionId>,
) -> pb::WorkerInfo {
    let instance = &view.instance;
    let held = view.leases.iter().filter_map(|(session, epoch)| {
        Some(pb::AttachedSession {
            session_id: session_id(*session)?.to_string(),
            epoch: epoch.0,
        })
    });
    pb::WorkerInfo {
        worker: instance.worker.to_string(),
        instance_id: view.key.1.to_string(),
        build_id: instance.build_id.to_string(),
        labels: (*instance.labels).clone(),
        window: Some(window(instance.window)),
        attached_sessions: held.collect(),
        in_flight: instance.in_flight.messages,
        connect_time: Some(timestamp(instance.connect_time)),
        last_seen_time: Some(timestamp(instance.last_seen_time)),
    }
}

/// A window as resolved: every value set.
pub(crate) fn window(window: Window) -> pb::Window {
    pb::Window {
        max_messages: Some(window.messages),
        max_bytes: Some(window.bytes),
        max_sessions: Some(window.sessions),
    }
}
