//! Sessions.

use sessiond_core::circuit::CircuitState;
use sessiond_core::restart_guard::RestartGuard;
use sessiond_core::session::{ActivityRow, Awaited, Lifecycle, Ordering, SessionRow, SessionView};
use sessiond_core::time::{EngineTime, Now, WallTime};
use sessiond_proto::v1 as pb;

use super::time::{limit, timestamp};
use super::{end, lease};

/// A session as of `now`, everything resolved.
///
pub(crate) fn session(view: &SessionView, now: Now) -> pb::Session {
    let row = &view.session;
    let activity = &view.activity;
    let profile = &row.profile;
    let text = |id: Option<&dyn ToString>| id.map_or_else(String::new, ToString::to_string);
    pb::Session {
        session_id: row.id.to_string(),
        key: text(row.key.as_ref().map(|key| key as _)),
        state: state(&row.lifecycle).into(),
        pool: row.pool.to_string(),
        project: profile.project.clone(),
        source: profile.source.clone(),
        agent_id: profile.agent_id.clone(),
        labels: profile.labels.clone(),
        prompt: profile.prompt.clone(),
        prompt_number: activity.prompt_number,
        transcript_path: profile.transcript_path.clone(),
        volatile: activity.volatile.entries.clone(),
        usage: Some(end::usage(activity.usage)),
        counts: Some(end::counts(view.counts())),
        active_requests: u32::try_from(activity.requests.live.len())
            .expect("a session has at most REQUESTS_PER_SESSION_MAX requests"),
        create_time: Some(timestamp(row.create_time)),
        last_activity_time: Some(timestamp(activity.last_activity_time)),
        namespace: row.namespace.to_string(),
        idle_timeout: Some(limit(row.timeouts.idle)),
        max_lifetime: Some(limit(row.timeouts.lifetime)),
        owner_timeout: Some(limit(row.timeouts.owner)),
        oldest_pending_time: view.oldest_pending.map(timestamp),
        expire_time: expire_at(view).map(|at| timestamp(now.wall_of(at))),
        end_time: end_time(&row.lifecycle).map(timestamp),
        lease: view
            .lease
            .as_ref()
            .map(|held| lease::lease(held, row.id.as_str())),
        end: end::of_session(view),
        predecessor_id: text(row.predecessor.as_ref().map(|id| id as _)),
        successor_id: text(row.successor.as_ref().map(|id| id as _)),
        parent_session_id: text(row.parent.as_ref().map(|id| id as _)),
        queue_id: row.queue.0,
        ordering: ordering(row.ordering).into(),
        max_in_flight: row.in_flight_max(),
        waiting_for: waiting_for(row).into(),
        circuits: circuits(activity, now),
        restart_guard: restart_guard(&activity.restart_guard, now),
        touch_count: activity.touch_count,
        revision: row.revision.0,
        etag: row.etag(),
        unreleased_resources: row.unreleased().count,
        lingering_resources: row.unreleased().lingering,
    }
}

/// The kinds of message that failed lately, and what came of it.
fn circuits(activity: &ActivityRow, now: Now) -> Vec<pb::Circuit> {
    let shown = activity.circuits.iter().map(|circuit| {
        let (state, retry_at) = match circuit.state {
            CircuitState::Closed => (pb::CircuitState::Closed, None),
            CircuitState::Open { retry_at } => (pb::CircuitState::Open, Some(retry_at)),
            CircuitState::Probing { retry_at } => (pb::CircuitState::Probing, Some(retry_at)),
        };
        pb::Circuit {
            kind: circuit.kind.as_str().to_owned(),
            state: state.into(),
            failures: circuit.failures,
            retry_time: retry_at.map(|at| timestamp(now.wall_of(at))),
        }
    });
    shown.collect()
}

/// Where a session is in its life.
pub(crate) fn state(lifecycle: &Lifecycle) -> pb::SessionState {
    match lifecycle {
        Lifecycle::Queued(_) => pb::SessionState::Queued,
        Lifecycle::Active => pb::SessionState::Active,
        Lifecycle::Draining(_) => pb::SessionState::Draining,
        Lifecycle::Ended(_) => pb::SessionState::Ended,
    }
}

/// What keeps a session from being in use.
fn waiting_for(row: &SessionRow) -> pb::WaitingFor {
    match &row.lifecycle {
        Lifecycle::Queued(_) => awaited(row.awaited()),
        Lifecycle::Active | Lifecycle::Draining(_) | Lifecycle::Ended(_) => {
            pb::WaitingFor::Unspecified
        }
    }
}

/// What a session waits for that is not in use yet.
pub(crate) fn awaited(awaited: Awaited) -> pb::WaitingFor {
    match awaited {
        Awaited::Slot => pb::WaitingFor::Slot,
        Awaited::PredecessorResources => pb::WaitingFor::PredecessorResources,
    }
}

/// When the first of its limits is reached, were nothing to happen; none unless it is live.
fn expire_at(view: &SessionView) -> Option<EngineTime> {
    let (row, activity) = (&view.session, &view.activity);
    match &row.lifecycle {
        Lifecycle::Queued(wait) => {
            let owner = row.timeouts.owner.from(activity.owner_seen);
            owner.into_iter().chain(wait.until).min()
        }
        Lifecycle::Active => [
            row.timeouts.idle.from(row.idle_since(activity)),
            row.timeouts.lifetime.from(row.active_since),
            row.timeouts.owner.from(activity.owner_seen),
        ]
        .into_iter()
        .flatten()
        .min(),
        Lifecycle::Draining(_) | Lifecycle::Ended(_) => None,
    }
}

/// How often its workers failed, if they did lately.
fn restart_guard(guard: &RestartGuard, now: Now) -> Option<pb::RestartGuard> {
    let count = guard.count(now.engine);
    let until = guard.suspended_until;
    (count > 0 || until.is_some()).then(|| pb::RestartGuard {
        count,
        suspended_until: until.map(|at| timestamp(now.wall_of(at))),
    })
}

fn end_time(lifecycle: &Lifecycle) -> Option<WallTime> {
    match lifecycle {
        Lifecycle::Queued(_) | Lifecycle::Active | Lifecycle::Draining(_) => None,
        Lifecycle::Ended(end) => Some(end.end_time),
    }
}

fn ordering(ordering: Ordering) -> pb::Ordering {
    match ordering {
        Ordering::Strict => pb::Ordering::Strict,
        Ordering::Serial => pb::Ordering::Serial,
        Ordering::Relaxed => pb::Ordering::Relaxed,
    }
}
