//! The wire edge: requests become commands of the core, its values become messages and statuses.
//!
//! Everything here is a pure function of what it is given; what it refuses, it refuses with every
//! reason at once. It knows no clock, no store and no engine, and decides nothing that depends on
//! what the store holds: that is the core's.

pub(crate) mod cause;
pub(crate) mod faults;
pub(crate) mod namespace;
pub(crate) mod parse;
pub(crate) mod query;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod token;

#[cfg(test)]
pub(crate) mod tests;
