//! What tests across crates share: how much of them is run, a disk that fails on purpose, a server in
//! a process of its own or with time in the test's hands, and the ways to talk to it over the wire.
//!
//! Nothing here knows what a test claims. It is not published and no crate but this one may depend on it.

pub mod scale;
pub mod sim_disk;

pub mod agent_link;
pub mod binaries;
pub mod certificates;
pub mod cgroups;
pub mod export_file;
pub mod flushes;

pub mod processes;
pub mod progress;
pub mod python;
pub mod recording;
pub mod scrape;
pub mod scripted_agent;
pub mod scripted_files;
pub mod seed;
pub mod server;
pub mod sessionctl;
pub mod simulated;
pub mod small_disk;

pub mod caller;
pub mod drain_stream;
pub mod refusal;
pub mod requests;
pub mod subscription;
pub mod typescript;
pub mod watch_stream;
pub mod work_stream;
