//! Showing: values of the core as messages of the contract, field by field.
//!
//! Nothing is decided or looked up here: what a message needs beyond the value is an argument. What
//! the contract has and the core does not is left unset, and says so where it is left.

pub(crate) mod agent_link;
pub(crate) mod dead_letter;
pub(crate) mod delivery;
pub(crate) mod drain;
pub(crate) mod encoded;
pub(crate) mod end;
pub(crate) mod end_result;
pub(crate) mod event;
pub(crate) mod explanation;
pub(crate) mod frame;
pub(crate) mod lease;
pub(crate) mod message;
pub(crate) mod node;
pub(crate) mod pool;
pub(crate) mod purge_result;
pub(crate) mod release_result;
pub(crate) mod reply;
pub(crate) mod resource;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod settlement;
pub(crate) mod snapshot;
pub(crate) mod subscription;
pub(crate) mod sweep_result;
pub(crate) mod time;
pub(crate) mod watch;
pub(crate) mod worker;
