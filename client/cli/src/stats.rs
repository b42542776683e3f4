//! `sessionctl stats`: what the server counts.
//!
//! Invariant: one call. What this deliberately does not do: add anything up.

use sessiond_client::{Client, pb};

use crate::failure::Failure;
use crate::output::{Output, age, json};

pub(crate) async fn run(client: &Client, output: &mut Output) -> Result<(), Failure> {
    let stats = client.stats().await?;
    output.fields(
        &stats,
        &stats.revision.to_string(),
        || json::line(&stats),
        || fields(&stats),
    )
}

fn fields(stats: &pb::GetStatsResponse) -> Vec<[String; 2]> {
    let sessions = stats.sessions.unwrap_or_default();
    let messages = stats.messages.unwrap_or_default();
    let engine = stats.engine.unwrap_or_default();
    let cleanup = stats.cleanup.unwrap_or_default();
    let uptime = stats.uptime.and_then(|uptime| uptime.try_into().ok());
    let number = |name: &str, value: u64| [name.to_owned(), value.to_string()];
    vec![
        number("sessions queued", sessions.queued),
        number("sessions active", sessions.active),
        number("sessions draining", sessions.draining),
        number("sessions ended", sessions.ended),
        number("messages pending", messages.pending),
        number("messages in flight", messages.in_flight),
        number("dead letters", messages.dead_lettered),
        number("workers", stats.workers_connected.into()),
        number("revision", stats.revision),
        number("commands", engine.commands),
        number("commits", engine.commits),
        number("events", engine.events),
        number("sessions created", cleanup.sessions_created),
        number("sessions cleaned up", cleanup.sessions_cleaned),
        number("cleanup runs", cleanup.runs),
        number("cleanup errors", cleanup.errors),
        [
            "uptime".to_owned(),
            uptime.map(age::length).unwrap_or_default(),
        ],
    ]
}
