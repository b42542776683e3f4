//! What a server keeps that is killed with SIGKILL while it works, as its clients see it.
//!
//! Workers, watchers and senders are other processes or hold a journal of their own; a claim is checked
//! against what they were told, never against what the server says of itself alone. `SESSIOND_SCALE` says
//! how many kills there are, `SESSIOND_SEED` brings back the requests and the plan of kills of a run,
//! `SESSIOND_RECORDING` names another recording. What this deliberately does not do: cut power; the
//! simulated disk of `crash_redb.rs` does.

#[path = "kill/aftermath.rs"]
mod aftermath;
#[path = "kill/draw.rs"]
mod draw;
#[path = "kill/eventlog.rs"]
mod eventlog;
#[path = "kill/journal.rs"]
mod journal;
#[path = "kill/look.rs"]
mod look;
#[path = "kill/order.rs"]
mod order;
#[path = "kill/played.rs"]
mod played;
#[path = "kill/plugins.rs"]
mod plugins;
#[path = "kill/producer.rs"]
mod producer;
#[path = "kill/recovery.rs"]
mod recovery;
#[path = "kill/resumed.rs"]
mod resumed;
#[path = "kill/storm.rs"]
mod storm;
#[path = "kill/verdict.rs"]
mod verdict;
#[path = "kill/worker.rs"]
mod worker;
