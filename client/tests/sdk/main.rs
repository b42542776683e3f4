//! The SDK against a server that does what each test says.
//!
//! Keeps to the public API on one side and to the wire on the other. It tests
//! no rule of the real server.

#![expect(
    clippy::unwrap_used,
    reason = "clippy allows it in test functions, and these modules hold nothing else but their parts"
)]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect fails it, whatever it is"
)]

mod calls;
mod drain;
mod end_many;
mod export;
mod fake_server;
mod handles;
mod lists;
mod many_messages;
mod plain_calls;
mod plugin;
mod requests;
mod resources;
mod spawn;
mod watch;
mod worker;
