//! The server around the rules: engine, streams, feed, gRPC edge, health, start and stop.
//!
//! Every behaviour is a command that the engine decides, commits and only then speaks of; this crate
//! brings commands to it and answers away from it. No rule about sessions or messages is here: those
//! are in `sessiond-core`.

mod answers;
pub mod app;
mod audit;
pub mod calendar;
pub mod checkpoint;
mod cleanup_log;
pub mod compaction;
pub mod config;
mod consumers;
pub mod descriptors;
pub mod dispatch;
pub mod drain;
pub mod engine;
pub mod env;
pub mod exports;
pub mod feed;
pub mod grpc;
pub mod health;
pub mod http;
pub mod limits;
mod local_agent;
pub mod logging;
pub mod metrics;
pub mod nodes;
mod notices;
mod over;
mod presence;
mod principal;
mod reconcile;
pub mod releaser;
mod room;
pub mod stopping;
mod strays;
pub mod transport;
pub mod wire;
