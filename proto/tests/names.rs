//! Pins the names which clients outside this repository are written against:
//! each field and enum value below must stay where it is.
//!
//! Keeps a careless rename from passing while nothing is released and `buf
//! breaking` has nothing to compare with. It is no list of everything: what the
//! table leaves out may still change.

mod sources;

use std::collections::BTreeSet;

use prost_reflect::DescriptorPool;
use sources::{compile, proto_files};

/// Messages and the fields they must have.
const FIELDS: &[(&str, &str)] = &[
    ("SessionRef", "session_id key"),
    ("Limit", "after never"),
    (
        "Session",
        "session_id key state pool project source agent_id labels prompt prompt_number \
         transcript_path volatile usage counts active_requests create_time last_activity_time \
         namespace idle_timeout max_lifetime owner_timeout oldest_pending_time expire_time end_time \
         lease end predecessor_id successor_id parent_session_id queue_id ordering max_in_flight \
         waiting_for circuits restart_guard touch_count revision etag unreleased_resources \
         lingering_resources",
    ),
    (
        "Resource",
        "resource_id session_id key name scope epoch state process tmux outcome lingering_cause \
         detail create_time lingering_time release_time node",
    ),
    ("ProcessResource", "pid start_ticks uid"),
    (
        "TmuxResource",
        "socket session_name tmux_id server_pid private",
    ),
    ("ProcessTarget", "pid"),
    ("AgentLinkRequest", "hello heartbeat answer"),
    (
        "AgentLinkResponse",
        "welcome command noted heartbeat go_away",
    ),
    ("AgentHello", "node instance_id machine_id build_id"),
    ("TmuxTarget", "socket session_name"),
    (
        "DeclareResourceRequest",
        "ref name scope epoch resource_id process tmux request_id node",
    ),
    ("DeclareResourceResponse", "resource duplicate revision"),
    ("ListResourcesRequest", "ref states page_size page_token"),
    ("ListResourcesResponse", "resources next_page_token"),
    (
        "ReleaseResourceRequest",
        "resource_ids name name_glob force validate_only page_size page_token",
    ),
    (
        "ReleaseResourceResponse",
        "results next_page_token revision",
    ),
    ("ReleaseResult", "resource_id resource outcome error"),
    ("ExportSessionRequest", "ref"),
    (
        "ExportSessionResponse",
        "header session message dead_letter event summary",
    ),
    (
        "ExportHeader",
        "format log_id server_version export_time revision",
    ),
    (
        "ExportSummary",
        "messages dead_letters events payload_bytes",
    ),
    ("Usage", "input_tokens output_tokens"),
    (
        "SessionCounts",
        "enqueued processed pending in_flight dead_lettered superseded discarded",
    ),
    ("Lease", "worker instance_id epoch acquire_time expire_time"),
    ("Circuit", "kind state failures retry_time"),
    ("RestartGuard", "count suspended_until"),
    (
        "SessionFilter",
        "states labels project key_prefix pool ended_after_revision",
    ),
    (
        "OpenSessionRequest",
        "key session_id pool project source agent_id labels prompt prompt_number transcript_path \
         idle_timeout max_lifetime owner_timeout conflict_policy wait_for_slot ordering \
         max_in_flight parent_session_id request_id",
    ),
    ("OpenSessionResponse", "session created duplicate"),
    ("GetSessionRequest", "ref"),
    ("GetSessionResponse", "session"),
    ("ListSessionsRequest", "filter page_size page_token"),
    (
        "ListSessionsResponse",
        "sessions next_page_token resume_token",
    ),
    (
        "UpdateSessionRequest",
        "ref update_mask etag request_id project source agent_id labels prompt prompt_number \
         transcript_path idle_timeout max_lifetime owner_timeout ordering max_in_flight",
    ),
    ("UpdateSessionResponse", "session duplicate"),
    ("TouchSessionRequest", "ref usage_delta"),
    ("TouchSessionResponse", "session"),
    ("RevokeLeaseRequest", "ref epoch request_id"),
    ("RevokeLeaseResponse", "session lease duplicate"),
    ("BeginRequestRequest", "ref request_lease request_token"),
    ("BeginRequestResponse", "request_token"),
    ("EndRequestRequest", "ref request_token"),
    ("EndRequestResponse", "session"),
    (
        "EndSessionRequest",
        "ref reason detail mode end_grace pending_policy successor_id wait wait_for request_id",
    ),
    ("EndSessionResponse", "session already_ended duplicate"),
    (
        "EndSessionsRequest",
        "filter session_ids key_glob reason detail mode end_grace pending_policy validate_only",
    ),
    ("EndSessionsResponse", "results"),
    ("EndResult", "session_id key outcome error"),
    (
        "ResetSessionRequest",
        "ref reason new_session_id carry project source agent_id labels prompt prompt_number \
         transcript_path idle_timeout max_lifetime owner_timeout ordering max_in_flight \
         parent_session_id request_id",
    ),
    ("ResetSessionResponse", "ended successor duplicate"),
    ("PurgeSessionsRequest", "filter session_ids validate_only"),
    ("PurgeSessionsResponse", "results sessions messages"),
    ("PurgeResult", "session_id key outcome messages error"),
    (
        "Message",
        "session_id queue_id seq kind payload content_type attributes agent_id agent_type \
         prompt_number occurred_time enqueue_time not_before_time idempotency_key attempt \
         trace_parent delivery_mode coalesce_key debounce",
    ),
    ("Debounce", "quiet max_wait"),
    (
        "EnqueueMessagesRequest",
        "ref messages open_if_missing request_id",
    ),
    ("EnqueueMessagesResponse", "results revision"),
    ("EnqueueResult", "seq status"),
    (
        "EnqueueStreamRequest",
        "stream_id ref messages open_if_missing request_id",
    ),
    ("EnqueueStreamResponse", "stream_id results status"),
    (
        "ClaimMessagesRequest",
        "ref selector worker instance_id lease_duration max_messages wait",
    ),
    ("ClaimMessagesResponse", "lease deliveries"),
    ("Delivery", "message delivery_id epoch deadline"),
    ("SettleMessagesRequest", "settlements"),
    ("SettleMessagesResponse", "results"),
    (
        "Settlement",
        "queue_id seq delivery_id epoch session_id ack nack extend",
    ),
    ("Ack", "usage_delta"),
    ("Nack", "kind delay error"),
    ("Extend", "by"),
    ("SettleResult", "code"),
    (
        "ListMessagesRequest",
        "ref filter page_size page_token include_payload",
    ),
    ("ListMessagesResponse", "messages next_page_token"),
    (
        "DeadLetter",
        "message reason attempts last_error dead_letter_time session_id key session_state in_flight",
    ),
    (
        "DeadLetterFilter",
        "ref kinds reasons since_time until_time",
    ),
    (
        "ListDeadLettersRequest",
        "filter page_size page_token include_payload",
    ),
    ("ListDeadLettersResponse", "dead_letters next_page_token"),
    (
        "RequeueDeadLettersRequest",
        "filter letters into validate_only request_id page_size page_token",
    ),
    (
        "RequeueDeadLettersResponse",
        "requeued not_found in_flight without_session no_room duplicates not_reached \
         next_page_token duplicate revision",
    ),
    (
        "DiscardMessagesRequest",
        "ref seqs filter validate_only request_id page_size page_token",
    ),
    (
        "DiscardMessagesResponse",
        "discarded not_found in_flight next_page_token duplicate revision",
    ),
    (
        "WorkRequest",
        "hello attach detach window settle progress heartbeat cancel_result goodbye",
    ),
    (
        "WorkResponse",
        "welcome attached attach_failed delivery settled cancel session_ending lease_lost quiesce \
         heartbeat go_away",
    ),
    (
        "Hello",
        "worker instance_id build_id labels window serves resume",
    ),
    ("Resume", "session_id queue_id epoch delivery_ids"),
    ("Window", "max_messages max_bytes max_sessions"),
    ("Attach", "ref"),
    ("Progress", "session_id volatile"),
    ("Attached", "lease session voided_keys"),
    ("AttachFailed", "ref status"),
    ("DeliveryBatch", "deliveries"),
    ("Settled", "results"),
    ("Cancel", "session_id reason deadline"),
    ("LeaseLost", "session_id reason successor_id"),
    ("GoAway", "close_time reason"),
    (
        "SessionEvent",
        "revision event_id type time namespace session end actor message_ref attributes",
    ),
    ("Actor", "kind name"),
    (
        "SessionEnd",
        "reason reason_class detail actor create_time end_time duration counts usage pending_kept \
         pending_discarded successor_id transcript_path",
    ),
    (
        "WatchSessionEventsRequest",
        "after_revision resume_token now oldest subscription take_over send_initial_state filter \
         bookmark_interval all_namespaces",
    ),
    ("EventFilter", "types session_ids key_glob labels project"),
    (
        "WatchSessionEventsResponse",
        "started initial batch bookmark go_away",
    ),
    (
        "WatchStarted",
        "log_id oldest_revision current_revision subscription_epoch acked_revision",
    ),
    ("EventBatch", "events resume_token"),
    ("Bookmark", "revision resume_token cause lag_events"),
    (
        "WorkerInfo",
        "worker instance_id build_id labels window attached_sessions in_flight connect_time \
         last_seen_time",
    ),
];

/// Enums and their values, without the enum's prefix and without UNSPECIFIED.
const VALUES: &[(&str, &str)] = &[
    ("SESSION_STATE", "QUEUED ACTIVE DRAINING ENDED"),
    ("CONFLICT_POLICY", "USE_EXISTING REPLACE FAIL"),
    ("END_MODE", "GRACEFUL AFTER_PENDING IMMEDIATE"),
    ("PENDING_POLICY", "KEEP DISCARD"),
    (
        "END_OUTCOME",
        "ENDED DRAINING ALREADY_ENDED WOULD_END FAILED",
    ),
    ("CARRY", "MOVE KEEP DISCARD"),
    ("PURGE_OUTCOME", "PURGED WOULD_PURGE FAILED"),
    ("WAIT_FOR", "ENDED RELEASED"),
    ("WAITING_FOR", "SLOT PREDECESSOR_RESOURCES"),
    ("RESOURCE_SCOPE", "SESSION LEASE"),
    ("RESOURCE_STATE", "HELD RELEASING LINGERING RELEASED"),
    ("RESOURCE_OUTCOME", "KILLED ALREADY_GONE MISMATCH FORCED"),
    ("LINGERING_CAUSE", "DENIED TIMEOUT NODE_AWAY"),
    ("AGENT_PRESENCE", "THERE GONE"),
    ("RELEASE_OUTCOME", "RELEASING RELEASED WOULD_RELEASE FAILED"),
    ("ORDERING", "STRICT SERIAL RELAXED"),
    (
        "END_REASON",
        "COMPLETED FAILED DELETED ADMIN RESET REPLACED COMPACTED SCHEDULED SHUTDOWN RESTART IDLE \
         EXPIRED EVICTED CAPACITY OWNER_LOST WORKER_STUCK RESTART_LIMIT CRASHED",
    ),
    ("END_REASON_CLASS", "OVER ROTATED INTERRUPTED REAPED LOST"),
    ("ACTOR_KIND", "API WORKER REAPER AGENT RECOVERY DRAIN"),
    (
        "EVENT_TYPE",
        "SESSION_OPENED SESSION_QUEUED SESSION_ADMITTED SESSION_UPDATED SESSION_DRAINING \
         SESSION_END SESSION_RELEASED SESSION_PURGED WORKER_ATTACHED WORKER_DETACHED WORKER_LOST \
         WORKER_STUCK RESTART_LIMITED MESSAGE_DEAD_LETTERED CIRCUIT_OPENED CIRCUIT_CLOSED \
         RESOURCE_RELEASED RESOURCE_LINGERING LIMIT_WARNING SUBSCRIPTION_STALE SERVER_DRAINING",
    ),
    (
        "BOOKMARK_CAUSE",
        "PERIODIC INITIAL_STATE_END CAUGHT_UP FALLING_BEHIND BEFORE_COMPACTION CLOSING",
    ),
    ("DELIVERY_MODE", "FOLLOW_UP STEER COLLECT INTERRUPT"),
    ("ENQUEUE_STATUS", "ENQUEUED DUPLICATE SKIPPED_CIRCUIT_OPEN"),
    ("NACK_KIND", "RETRY DEFER PERMANENT"),
    (
        "SETTLE_CODE",
        "OK ALREADY_SETTLED FENCED STALE_DELIVERY UNKNOWN_MESSAGE",
    ),
];

/// Oneofs that generated code exposes by name.
const ONEOFS: &[(&str, &str, &str)] = &[
    ("SessionRef", "ref", "session_id key"),
    ("Limit", "bound", "after never"),
    ("ClaimMessagesRequest", "target", "ref selector"),
    ("Settlement", "outcome", "ack nack extend"),
    ("Resource", "target", "process tmux"),
    ("DeclareResourceRequest", "target", "process tmux"),
    (
        "WatchSessionEventsRequest",
        "start",
        "after_revision resume_token now oldest subscription",
    ),
    (
        "WatchSessionEventsResponse",
        "frame",
        "started initial batch bookmark go_away",
    ),
];

#[test]
fn messages_have_the_fields_clients_use() {
    let pool = pool();
    for (message, fields) in FIELDS {
        let descriptor = pool
            .get_message_by_name(&format!("sessiond.v1.{message}"))
            .unwrap_or_else(|| panic!("{message} is gone"));
        for field in fields.split_whitespace() {
            let found = descriptor.get_field_by_name(field);
            assert!(found.is_some(), "{message}.{field} is gone");
        }
    }
}

#[test]
fn enums_have_the_values_clients_use() {
    let pool = pool();
    for (prefix, values) in VALUES {
        let descriptor = pool
            .all_enums()
            .find(|found| {
                found
                    .values()
                    .any(|value| value.name() == format!("{prefix}_UNSPECIFIED"))
            })
            .unwrap_or_else(|| panic!("the enum of {prefix} is gone"));
        let found: BTreeSet<String> = descriptor
            .values()
            .map(|value| value.name().to_owned())
            .collect();
        let expected: BTreeSet<String> = values
            .split_whitespace()
            .chain(["UNSPECIFIED"])
            .map(|value| format!("{prefix}_{value}"))
            .collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn oneofs_have_the_members_clients_match() {
    let pool = pool();
    for (message, oneof, members) in ONEOFS {
        let descriptor = pool
            .get_message_by_name(&format!("sessiond.v1.{message}"))
            .unwrap_or_else(|| panic!("{message} is gone"));
        let found = descriptor
            .oneofs()
            .find(|found| found.name() == *oneof)
            .unwrap_or_else(|| panic!("{message}.{oneof} is gone"));
        let names: Vec<String> = found
            .fields()
            .map(|field| field.name().to_owned())
            .collect();
        assert_eq!(names.join(" "), *members, "{message}.{oneof}");
    }
}

/// The tables above are about the sources, not about an older build of them.
fn pool() -> DescriptorPool {
    let pool = compile().descriptor_pool();
    for name in proto_files() {
        assert!(pool.get_file_by_name(&name).is_some(), "{name}");
    }
    pool
}
