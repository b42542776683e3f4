//! What is remembered: one row for each session.
//!
//! Invariant: taking an event twice leaves what taking it once does, so "at least once" from the server is "once" here; when
//! `take` returns, it is on disk. What this deliberately does not do: forget.

use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use rusqlite::{Connection, TransactionBehavior, params};
use sessiond_client::pb;

/// How long another process may hold the file.
const BUSY: Duration = Duration::from_secs(5);

/// `told` counts how often the end came: more than once after a kill, and still one row.
const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS sessions (
        session_id TEXT PRIMARY KEY,
        key        TEXT NOT NULL,
        project    TEXT NOT NULL,
        opened_at  INTEGER NOT NULL,
        end_event  TEXT UNIQUE,
        revision   INTEGER,
        reason     TEXT,
        summary    TEXT,
        told       INTEGER NOT NULL DEFAULT 0
    ) STRICT;
";

/// The file.
#[derive(Debug)]
pub(crate) struct Memory(Mutex<Connection>);

impl Memory {
    /// Opens a file, or makes it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = Connection::open(path)?;
        file.busy_timeout(BUSY)?;
        file.execute_batch(SCHEMA)?;
        Ok(Self(Mutex::new(file)))
    }

    /// Remembers what an event says, in one transaction.
    pub(crate) fn take(&self, event: &pb::SessionEvent) -> anyhow::Result<()> {
        let Some(session) = &event.session else {
            return Ok(());
        };
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let change = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let opened = session.create_time.map_or(0, |time| time.seconds);
        change.execute(
            "INSERT INTO sessions (session_id, key, project, opened_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (session_id) DO NOTHING",
            params![session.session_id, session.key, session.project, opened],
        )?;
        if let Some(end) = &event.end {
            let reason = end.reason().as_str_name();
            let reason = reason.strip_prefix("END_REASON_").unwrap_or(reason);
            let summary = summary(session, end, reason);
            change.execute(
                "UPDATE sessions SET end_event = ?2, revision = ?3, reason = ?4, summary = ?5
                 WHERE session_id = ?1 AND end_event IS NULL",
                params![
                    session.session_id,
                    event.event_id,
                    i64::try_from(event.revision).context("a revision beyond SQLite")?,
                    reason,
                    summary
                ],
            )?;
            change.execute(
                "UPDATE sessions SET told = told + 1 WHERE session_id = ?1",
                params![session.session_id],
            )?;
        }
        Ok(change.commit()?)
    }

    /// Prints the sessions that have ended, by the order of their ends, and then those that live.
    pub(crate) fn print(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sessions = file.prepare(
            "SELECT session_id, key, end_event, reason, summary, told FROM sessions
             ORDER BY revision IS NULL, revision, opened_at, session_id",
        )?;
        let mut rows = sessions.query([])?;
        while let Some(row) = rows.next()? {
            let text = |at: usize| row.get::<_, Option<String>>(at);
            let line = serde_json::json!({
                "session_id": text(0)?,
                "key": text(1)?,
                "end_event": text(2)?,
                "reason": text(3)?,
                "summary": text(4)?,
                "told": row.get::<_, i64>(5)?,
            });
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}

/// What a person wants to remember of a session, from what its end says.
fn summary(session: &pb::SessionSnapshot, end: &pb::SessionEnd, reason: &str) -> String {
    let counts = session.counts.unwrap_or_default();
    let project = match session.project.as_str() {
        "" => String::new(),
        project => format!(" in {project}"),
    };
    let detail = match end.detail.as_str() {
        "" => String::new(),
        detail => format!(": {detail}"),
    };
    format!(
        "{} prompts{project}, {} messages processed, {} given up; {}{detail}",
        session.prompt_number,
        counts.processed,
        counts.dead_lettered,
        reason.to_lowercase()
    )
}
