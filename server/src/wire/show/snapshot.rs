//! Snapshots: a session as events show it, without its prompt and what its worker keeps.

use sessiond_core::session::SessionView;
use sessiond_core::time::Now;
use sessiond_proto::v1 as pb;

use super::session::session;

/// A session as it was right after a change.
pub(crate) fn snapshot(view: &SessionView) -> pb::SessionSnapshot {
    // The row tells both clocks of its last activity, which is as close to the event as it knows.
    let then = Now {
        engine: view.activity.last_activity,
        wall: view.activity.last_activity_time,
    };
    let session = session(view, then);
    pb::SessionSnapshot {
        session_id: session.session_id,
        key: session.key,
        state: session.state,
        pool: session.pool,
        project: session.project,
        source: session.source,
        agent_id: session.agent_id,
        labels: session.labels,
        prompt_number: session.prompt_number,
        transcript_path: session.transcript_path,
        usage: session.usage,
        counts: session.counts,
        active_requests: session.active_requests,
        create_time: session.create_time,
        last_activity_time: session.last_activity_time,
        namespace: session.namespace,
        idle_timeout: session.idle_timeout,
        max_lifetime: session.max_lifetime,
        owner_timeout: session.owner_timeout,
        oldest_pending_time: session.oldest_pending_time,
        expire_time: session.expire_time,
        end_time: session.end_time,
        lease: session.lease,
        end: session.end,
        predecessor_id: session.predecessor_id,
        successor_id: session.successor_id,
        parent_session_id: session.parent_session_id,
        queue_id: session.queue_id,
        ordering: session.ordering,
        max_in_flight: session.max_in_flight,
        waiting_for: session.waiting_for,
        circuits: session.circuits,
        restart_guard: session.restart_guard,
        touch_count: session.touch_count,
        revision: session.revision,
        etag: session.etag,
        unreleased_resources: session.unreleased_resources,
        lingering_resources: session.lingering_resources,
    }
}
