//! Parsing: one file per request, each a pure function from a message to a command or its faults.
//!
//! A command that comes out is valid: ids are checked, spans are in bounds, nothing that was set is
//! ignored. Files named after a sort of field hold the checks that several requests share.

pub(crate) mod agent_link;
pub(crate) mod begin_request;
pub(crate) mod claim;
pub(crate) mod compact_events;
pub(crate) mod dead_letter_filter;
pub(crate) mod declare_resource;
pub(crate) mod discard;
pub(crate) mod drain_server;
pub(crate) mod end;
pub(crate) mod end_request;
pub(crate) mod end_sessions;
pub(crate) mod end_terms;
pub(crate) mod enqueue;
pub(crate) mod enumeration;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod get;
pub(crate) mod hello;
pub(crate) mod list_dead_letters;
pub(crate) mod list_messages;
pub(crate) mod list_resources;
pub(crate) mod list_sessions;
pub(crate) mod list_workers;
pub(crate) mod message;
pub(crate) mod named_page;
pub(crate) mod number;
pub(crate) mod open;
pub(crate) mod page;
pub(crate) mod purge_sessions;
pub(crate) mod reference;
pub(crate) mod release_resource;
pub(crate) mod request_tag;
pub(crate) mod requeue;
pub(crate) mod reset;
pub(crate) mod reset_circuit;
pub(crate) mod revoke;
pub(crate) mod session_filter;
pub(crate) mod settle;
pub(crate) mod subscription;
pub(crate) mod sweep;
pub(crate) mod text;
pub(crate) mod time;
pub(crate) mod touch;
pub(crate) mod update;
pub(crate) mod watch;
pub(crate) mod work;
