//! The rules of the design, each shown through gRPC against a server in a process of its own.
//!
//! Invariant: a test is named after the rule it shows and needs nothing but the wire. Every test has
//! its own server, so revisions and counts are exact. What it deliberately does not do: look at rows,
//! or at what the SDK makes of an answer.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that finds something else than it awaits fails right there"
)]

#[path = "rules/absence.rs"]
mod absence;
#[path = "rules/alike.rs"]
mod alike;
#[path = "rules/causes.rs"]
mod causes;
#[path = "rules/causes_of_letters.rs"]
mod causes_of_letters;
#[path = "rules/circuits.rs"]
mod circuits;
#[path = "rules/claim.rs"]
mod claim;
#[path = "rules/claim_any.rs"]
mod claim_any;
#[path = "rules/cleanup.rs"]
mod cleanup;
#[path = "rules/coalesce.rs"]
mod coalesce;
#[path = "rules/compact_events.rs"]
mod compact_events;
#[path = "rules/dead_letters.rs"]
mod dead_letters;
#[path = "rules/discard.rs"]
mod discard;
#[path = "rules/end_modes.rs"]
mod end_modes;
#[path = "rules/ends.rs"]
mod ends;
#[path = "rules/ends_many.rs"]
mod ends_many;
#[path = "rules/enqueue.rs"]
mod enqueue;
#[path = "rules/enqueue_stream.rs"]
mod enqueue_stream;
#[path = "rules/explain.rs"]
mod explain;
#[path = "rules/exports.rs"]
mod exports;
#[path = "rules/exports_failed.rs"]
mod exports_failed;
#[path = "rules/exports_purge.rs"]
mod exports_purge;
#[path = "rules/held.rs"]
mod held;
#[path = "rules/key_window.rs"]
mod key_window;
#[path = "rules/keys.rs"]
mod keys;
#[path = "rules/lapse_crowd.rs"]
mod lapse_crowd;
#[path = "rules/leases.rs"]
mod leases;
#[path = "rules/limits.rs"]
mod limits;
#[path = "rules/list_messages.rs"]
mod list_messages;
#[path = "rules/list_tokens.rs"]
mod list_tokens;
#[path = "rules/lists.rs"]
mod lists;
#[path = "rules/modes.rs"]
mod modes;
#[path = "rules/namespaces.rs"]
mod namespaces;
#[path = "rules/nodes.rs"]
mod nodes;
#[path = "rules/nodes_held.rs"]
mod nodes_held;
#[path = "rules/open.rs"]
mod open;
#[path = "rules/order.rs"]
mod order;
#[path = "rules/pauses.rs"]
mod pauses;
#[path = "rules/pools_attached.rs"]
mod pools_attached;
#[path = "rules/pools_clients.rs"]
mod pools_clients;
#[path = "rules/pools_full.rs"]
mod pools_full;
#[path = "rules/pools_restart.rs"]
mod pools_restart;
#[path = "rules/pools_wait.rs"]
mod pools_wait;
#[path = "rules/purges.rs"]
mod purges;
#[path = "rules/replace.rs"]
mod replace;
#[path = "rules/request_ids.rs"]
mod request_ids;
#[path = "rules/requests.rs"]
mod requests;
#[path = "rules/requeue.rs"]
mod requeue;
#[path = "rules/requeue_many.rs"]
mod requeue_many;
#[path = "rules/resets.rs"]
mod resets;
#[path = "rules/resets_carry.rs"]
mod resets_carry;
#[path = "rules/resources.rs"]
mod resources;
#[path = "rules/resources_register.rs"]
mod resources_register;
#[path = "rules/resources_release.rs"]
mod resources_release;
#[path = "rules/restart.rs"]
mod restart;
#[path = "rules/restart_leases.rs"]
mod restart_leases;
#[path = "rules/retention.rs"]
mod retention;
#[path = "rules/revoke.rs"]
mod revoke;
#[path = "rules/settle.rs"]
mod settle;
#[path = "rules/settle_late.rs"]
mod settle_late;
#[path = "rules/stats.rs"]
mod stats;
#[path = "rules/subscriptions.rs"]
mod subscriptions;
#[path = "rules/subscriptions_read.rs"]
mod subscriptions_read;
#[path = "rules/sweeps.rs"]
mod sweeps;
#[path = "rules/throttles.rs"]
mod throttles;
#[path = "rules/update.rs"]
mod update;
#[path = "rules/watch.rs"]
mod watch;
#[path = "rules/watch_shared.rs"]
mod watch_shared;
#[path = "rules/watch_start.rs"]
mod watch_start;
#[path = "rules/work_presence.rs"]
mod work_presence;
#[path = "rules/work_resume.rs"]
mod work_resume;
#[path = "rules/work_stream.rs"]
mod work_stream;
#[path = "rules/work_window.rs"]
mod work_window;
#[path = "rules/worker_failures.rs"]
mod worker_failures;
