//! Bad input, a table for each RPC: what is refused, why, with every faulty field named at once.
//!
//! Invariant: a refused request changes nothing, and the server goes on. What it deliberately does not
//! do: refusals that depend on what is on record; those are rules and tested as such.

#[path = "bad_input/agent_link.rs"]
mod agent_link;
#[path = "bad_input/compact_events.rs"]
mod compact_events;
#[path = "bad_input/dead_letters.rs"]
mod dead_letters;
#[path = "bad_input/drain.rs"]
mod drain;
#[path = "bad_input/end.rs"]
mod end;
#[path = "bad_input/end_sessions.rs"]
mod end_sessions;
#[path = "bad_input/enqueue.rs"]
mod enqueue;
#[path = "bad_input/lists.rs"]
mod lists;
#[path = "bad_input/namespace.rs"]
mod namespace;
#[path = "bad_input/open.rs"]
mod open;
#[path = "bad_input/purge.rs"]
mod purge;
#[path = "bad_input/references.rs"]
mod references;
#[path = "bad_input/request.rs"]
mod request;
#[path = "bad_input/reset.rs"]
mod reset;
#[path = "bad_input/reset_circuit.rs"]
mod reset_circuit;
#[path = "bad_input/resource.rs"]
mod resource;
#[path = "bad_input/revoke.rs"]
mod revoke;
#[path = "bad_input/settle.rs"]
mod settle;
#[path = "bad_input/sizes.rs"]
mod sizes;
#[path = "bad_input/subscription.rs"]
mod subscription;
#[path = "bad_input/sweep.rs"]
mod sweep;
#[path = "bad_input/table.rs"]
mod table;
#[path = "bad_input/update.rs"]
mod update;
#[path = "bad_input/watch.rs"]
mod watch;
#[path = "bad_input/work.rs"]
mod work;
