//! What the server says of itself: its version, log and limits.

use std::collections::BTreeSet;

use sessiond_core::ids::{Namespace, Revision, SessionId};
use sessiond_core::limits::{
    ENQUEUE_BYTES_MAX, ENQUEUE_MESSAGES_MAX, ID_BYTES_MAX, KIND_BYTES_MAX, LABELS_BYTES_MAX,
    LABELS_MAX, PAGE_SIZE_MAX, PROMPT_BYTES_MAX, Policy, REQUEST_RETENTION,
};
use sessiond_core::reply::LeaseProgress;
use sessiond_core::rows::Counters;
use sessiond_core::subscription::SubscriptionKey;
use sessiond_core::time::{Span, WallTime};
use sessiond_proto::v1 as pb;

use crate::compaction::EventRetention;

use super::time::{duration, limit, timestamp};

/// What there is to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerFacts<'a> {
    /// The version of the build.
    pub(crate) version: &'a str,
    /// The identity of the log.
    pub(crate) log_id: &'a str,
    /// The newest revision.
    pub(crate) current: Revision,
    /// The oldest revision on record.
    pub(crate) oldest: Revision,
    /// The version of the schema on disk.
    pub(crate) schema: u32,
    /// When the process began to serve.
    pub(crate) start_time: WallTime,
    /// For how long it has been serving.
    pub(crate) uptime: Span,
    /// Its clock.
    pub(crate) wall: WallTime,
    /// Whether it is shutting down.
    pub(crate) draining: bool,
    /// The namespaces that exist.
    pub(crate) namespaces: &'a BTreeSet<Namespace>,
    /// The limits that an operator may set.
    pub(crate) policy: &'a Policy,
    /// How long events are kept.
    pub(crate) events: EventRetention,
    /// Bytes of one request.
    pub(crate) request_bytes_max: usize,
    /// How often each side of a worker's stream is heard.
    pub(crate) heartbeat: Span,
}

/// Parts of the contract that are built and have no RPC of their own, sorted.
const CAPABILITIES: &[&str] = &[
    "circuits",
    "coalesce_key",
    "debounce",
    "delivery_mode_collect",
    "delivery_mode_interrupt",
    "delivery_mode_steer",
];

/// The answer to CompactEvents: the oldest and the newest event, and whom more of them stay for.
pub(crate) fn compacted(
    (oldest, newest): (Revision, Revision),
    holding: Option<SubscriptionKey>,
) -> pb::CompactEventsResponse {
    pb::CompactEventsResponse {
        oldest_revision: oldest.0,
        current_revision: newest.0,
        held_by: holding.map_or_else(String::new, |(namespace, name)| {
            format!("{namespace}/{name}")
        }),
    }
}

/// The answer to GetServerInfo.
pub(crate) fn server_info(facts: &ServerFacts<'_>) -> pb::GetServerInfoResponse {
    pb::GetServerInfoResponse {
        version: facts.version.to_owned(),
        log_id: facts.log_id.to_owned(),
        current_revision: facts.current.0,
        oldest_revision: facts.oldest.0,
        schema_version: facts.schema,
        start_time: Some(timestamp(facts.start_time)),
        uptime: Some(duration(facts.uptime)),
        server_time: Some(timestamp(facts.wall)),
        draining: facts.draining,
        namespaces: facts.namespaces.iter().map(ToString::to_string).collect(),
        capabilities: CAPABILITIES.iter().map(ToString::to_string).collect(),
        limits: Some(limits(facts)),
        defaults: Some(defaults(facts)),
    }
}

fn limits(facts: &ServerFacts<'_>) -> pb::ServerLimits {
    let policy = facts.policy;
    pb::ServerLimits {
        max_payload_bytes: policy.message_bytes_max,
        max_batch_messages: count(ENQUEUE_MESSAGES_MAX),
        max_batch_bytes: ENQUEUE_BYTES_MAX as u64,
        max_request_bytes: facts.request_bytes_max as u64,
        max_queue_messages: policy.queue_messages_max,
        max_queue_bytes: policy.queue_bytes_max,
        max_id_bytes: count(ID_BYTES_MAX),
        max_kind_bytes: count(KIND_BYTES_MAX),
        max_labels: count(LABELS_MAX),
        max_labels_bytes: count(LABELS_BYTES_MAX),
        max_prompt_bytes: count(PROMPT_BYTES_MAX),
        max_page_size: PAGE_SIZE_MAX,
        max_sessions: policy
            .default_pool()
            .max_sessions
            .map_or(0, |max| u32::try_from(max).unwrap_or(u32::MAX)),
    }
}

fn defaults(facts: &ServerFacts<'_>) -> pb::ServerDefaults {
    let policy = facts.policy;
    pb::ServerDefaults {
        lease_duration: Some(duration(policy.stream_lease)),
        claim_lease_duration: Some(duration(policy.claim_lease)),
        heartbeat_interval: Some(duration(facts.heartbeat)),
        idle_timeout: Some(limit(policy.idle_timeout)),
        max_lifetime: Some(limit(policy.max_lifetime)),
        owner_timeout: Some(limit(policy.owner_timeout)),
        end_grace: Some(duration(policy.end_grace)),
        end_grace_after_pending: Some(duration(policy.after_pending_grace)),
        max_attempts: policy.max_attempts,
        idempotency_window: Some(duration(REQUEST_RETENTION)),
        session_retention: Some(limit(policy.session_retention)),
        dead_letter_retention: Some(limit(policy.dead_letter_retention)),
        event_retention: Some(limit(facts.events.age)),
        max_events: facts.events.max.unwrap_or(0),
        max_event_bytes: facts.events.max_bytes.unwrap_or(0),
    }
}

/// What is counted at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Those of the store, which has no others: with several namespaces they are over all of them.
    pub(crate) store: Counters,
    /// Workers with a stream.
    pub(crate) workers_connected: u32,
    /// For how long the server has been serving.
    pub(crate) uptime: Span,
    /// What the engine did.
    pub(crate) engine: pb::EngineStats,
    /// What it did of itself.
    pub(crate) cleanup: pb::CleanupStats,
    /// Whether the work gets on.
    pub(crate) work: WorkProgress,
}

/// Whether the work gets on.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkProgress {
    /// The oldest message that no worker takes: its session, and when it was enqueued.
    pub(crate) unserved: Option<(SessionId, WallTime)>,
    /// Messages acked.
    pub(crate) acked: u64,
    /// When the last one was.
    pub(crate) last_ack: Option<WallTime>,
    /// What workers hold; nothing if the engine does not say.
    pub(crate) leases: Option<LeaseProgress>,
    /// The session of the slowest lease; none if it was purged meanwhile.
    pub(crate) slowest: Option<SessionId>,
}

/// The answer to GetStats.
pub(crate) fn stats(counts: Counts) -> pb::GetStatsResponse {
    let store = counts.store;
    pb::GetStatsResponse {
        sessions: Some(pb::SessionStats {
            queued: store.queued,
            active: store.active,
            draining: store.draining,
            ended: store.ended,
        }),
        messages: Some(pb::MessageStats {
            pending: store.pending,
            in_flight: store.in_flight,
            dead_lettered: store.dead_lettered,
        }),
        workers_connected: counts.workers_connected,
        revision: store.revision.0,
        uptime: Some(duration(counts.uptime)),
        engine: Some(counts.engine),
        cleanup: Some(counts.cleanup),
        work: Some(work(counts.work)),
    }
}

fn work(work: WorkProgress) -> pb::WorkStats {
    let (unserved, since) = work.unserved.unzip();
    let id = |id: Option<SessionId>| id.map(|id| id.to_string()).unwrap_or_default();
    let leases = work.leases;
    let slowest = leases.and_then(|leases| leases.slowest);
    pb::WorkStats {
        oldest_unserved_time: since.map(timestamp),
        oldest_unserved_session_id: id(unserved),
        acked: work.acked,
        last_ack_time: work.last_ack.map(timestamp),
        leases: leases.map(|leases| leases.held),
        leases_working: leases.map(|leases| leases.working),
        leases_stalled: leases.map(|leases| leases.stalled),
        oldest_progress_time: slowest.map(|slowest| timestamp(slowest.moved_at)),
        oldest_progress_session_id: id(work.slowest),
    }
}

/// A bound as the contract carries it.
fn count(bound: usize) -> u32 {
    u32::try_from(bound).expect("a bound of the core fits a u32")
}
