//! The model test's parts: a reference model of the rules, a fake store, simulated workers, and the seeds that set them
//! against the real decisions.
//!
//! Both the model test and the proof that it finds deliberate faults use these parts. Nothing here reads a clock or a
//! disk: a run follows from its seed alone.

pub(crate) mod agents;
pub(crate) mod behind;
pub(crate) mod breakdowns;
pub(crate) mod calendar;
pub(crate) mod called_off;
pub(crate) mod callers;
pub(crate) mod cancels;
pub(crate) mod check;
pub(crate) mod circuits;
pub(crate) mod counter_rows;
pub(crate) mod drains;
pub(crate) mod endings;
pub(crate) mod explaining;
pub(crate) mod exporting;
pub(crate) mod failing;
pub(crate) mod finding;
pub(crate) mod healing;
pub(crate) mod hearing;
pub(crate) mod leases;
pub(crate) mod letters;
pub(crate) mod log;
pub(crate) mod marks;
pub(crate) mod messages;
pub(crate) mod nodes;
pub(crate) mod outside;
pub(crate) mod pauses;
pub(crate) mod plugins;
pub(crate) mod pools;
pub(crate) mod predict;
pub(crate) mod purges;
pub(crate) mod queue_rows;
pub(crate) mod recovering;
pub(crate) mod requests;
pub(crate) mod resets;
pub(crate) mod resource_rows;
pub(crate) mod resources;
pub(crate) mod rows;
pub(crate) mod script;
pub(crate) mod seeds;
pub(crate) mod sessions;
pub(crate) mod settlements;
pub(crate) mod settling;
pub(crate) mod state;
pub(crate) mod store;
pub(crate) mod streams;
pub(crate) mod subscriptions;
pub(crate) mod sweeping;
pub(crate) mod tending;
pub(crate) mod told;
pub(crate) mod updates;
pub(crate) mod verbs;
pub(crate) mod warnings;
pub(crate) mod work;
pub(crate) mod workers;
pub(crate) mod world;
