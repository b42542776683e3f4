//! Pins the names which clients outside this repository are written against:
//! each field of `fields` and each enum value below must stay where it is.
//!
//! Keeps a careless rename from passing while nothing is released and `buf
//! breaking` has nothing to compare with. It is no list of everything: what the
//! table leaves out may still change.

#[path = "names/fields.rs"]
mod fields;
mod sources;

use std::collections::BTreeSet;

use fields::FIELDS;
use prost_reflect::DescriptorPool;
use sources::{compile, proto_files};

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
         RESOURCE_RELEASED RESOURCE_LINGERING LIMIT_WARNING SUBSCRIPTION_STALE SERVER_DRAINING \
         SERVER_DRAIN_CANCELLED \
         MESSAGES_REQUEUED MESSAGES_DISCARDED",
    ),
    (
        "BOOKMARK_CAUSE",
        "PERIODIC INITIAL_STATE_END CAUGHT_UP FALLING_BEHIND BEFORE_COMPACTION CLOSING \
         SERVER_DRAINING",
    ),
    ("DRAIN_SESSIONS", "END KEEP"),
    ("DRAIN_STATE", "OPEN CLOSED ANNOUNCED CANCELLED"),
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
    ("DrainServerResponse", "frame", "started progress report"),
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
