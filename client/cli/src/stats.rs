//! `sessionctl stats`: what the server counts.
//!
//! Invariant: one call. What this deliberately does not do: add anything up.

use jiff::Timestamp;
use sessiond_client::{Client, pb};

use crate::failure::Failure;
use crate::output::{Output, age, json};

pub(crate) async fn run(client: &Client, output: &mut Output) -> Result<(), Failure> {
    let stats = client.stats().await?;
    output.fields(
        &stats,
        &stats.revision.to_string(),
        || json::line(&stats),
        || fields(&stats, Timestamp::now()),
    )
}

fn fields(stats: &pb::GetStatsResponse, now: Timestamp) -> Vec<[String; 2]> {
    let sessions = stats.sessions.unwrap_or_default();
    let messages = stats.messages.unwrap_or_default();
    let engine = stats.engine.unwrap_or_default();
    let cleanup = stats.cleanup.unwrap_or_default();
    let work = stats.work.clone().unwrap_or_default();
    let since = |name: &str, time, session: &str| {
        let (ago, gap) = (
            age::ago(time, now),
            if session.is_empty() { "" } else { " " },
        );
        [name.to_owned(), format!("{ago}{gap}{session}")]
    };
    let number = |name: &str, value: u64| [name.to_owned(), value.to_string()];
    let perhaps = |name: &str, value: Option<u64>| {
        let value = value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        [name.to_owned(), value]
    };
    vec![
        number("sessions queued", sessions.queued),
        number("sessions active", sessions.active),
        number("sessions draining", sessions.draining),
        number("sessions ended", sessions.ended),
        number("messages pending", messages.pending),
        number("messages in flight", messages.in_flight),
        number("dead letters", messages.dead_lettered),
        since(
            "oldest unserved",
            work.oldest_unserved_time,
            &work.oldest_unserved_session_id,
        ),
        number("messages acked", work.acked),
        since("last ack", work.last_ack_time, ""),
        number("workers", stats.workers_connected.into()),
        perhaps("leases", work.leases),
        perhaps("leases working", work.leases_working),
        perhaps("leases stalled", work.leases_stalled),
        since(
            "oldest progress",
            work.oldest_progress_time,
            &work.oldest_progress_session_id,
        ),
        number("revision", stats.revision),
        number("commands", engine.commands),
        number("commits", engine.commits),
        number("events", engine.events),
        number("sessions created", cleanup.sessions_created),
        number("sessions cleaned up", cleanup.sessions_cleaned),
        number("cleanup runs", cleanup.runs),
        number("cleanup errors", cleanup.errors),
        number("repairs", cleanup.repairs),
        ["uptime".to_owned(), age::wire_length(stats.uptime)],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_waits_or_stands_still_is_told_with_its_age_and_session() {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let stats = pb::GetStatsResponse {
            work: Some(pb::WorkStats {
                oldest_unserved_time: at(400),
                oldest_unserved_session_id: "waits".to_owned(),
                last_ack_time: at(990),
                leases_stalled: Some(1),
                ..pb::WorkStats::default()
            }),
            ..pb::GetStatsResponse::default()
        };
        let now = Timestamp::from_second(1_000).expect("a time");
        let shown = fields(&stats, now);
        let value = |name: &str| {
            let field = shown.iter().find(|[field, _]| field == name);
            field.map(|[_, value]| value.as_str())
        };
        assert_eq!(value("oldest unserved"), Some("10m waits"));
        assert_eq!(value("last ack"), Some("10s"));
        assert_eq!(value("leases stalled"), Some("1"));
        assert_eq!(value("leases"), Some("-"), "the engine does not say");
        assert_eq!(value("oldest progress"), Some("-"), "nothing stands still");
    }
}
