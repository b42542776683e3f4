//! What tests across crates share: how much of them is run, and a disk that fails on purpose.
//!
//! Nothing here knows what a test claims. It is not published and no crate but this one may depend on it.

pub mod scale;
pub mod sim_disk;

pub mod binaries;
pub mod server;
