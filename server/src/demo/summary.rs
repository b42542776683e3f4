//! The demo's summary: what was seen beside what the recording says.

use std::fmt;

use sessiond_client::{Client, Error, pb, session_id};

use super::plugin::Seen;
use super::recording::Recording;
use super::workers::Ledger;

/// What the server says at the end.
#[derive(Debug)]
pub(crate) struct Facts {
    prompts: u64,
    stats: pb::GetStatsResponse,
}

/// Asks the server about the sessions that ended.
pub(crate) async fn gather(client: &Client, seen: &Seen) -> Result<Facts, Error> {
    let mut prompts = 0;
    for id in seen.ends.keys() {
        let session = client.get(session_id(id.as_str())).await?;
        prompts += u64::from(session.prompt_number);
    }
    Ok(Facts {
        prompts,
        stats: client.stats().await?,
    })
}

/// Lines of a comparison.
#[derive(Debug)]
pub(crate) struct Summary {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    what: &'static str,
    expected: u64,
    found: u64,
}

impl Summary {
    /// Compares what was seen with the recording.
    pub(crate) fn new(recording: &Recording, seen: &Seen, ledger: &Ledger, facts: &Facts) -> Self {
        let handed = ledger.totals();
        let counts = seen.ends.values().filter_map(|(_, end)| end.counts);
        let processed = counts.clone().map(|counts| counts.processed).sum();
        let given_up = counts.map(|counts| counts.dead_lettered).sum();
        let messages = facts.stats.messages.unwrap_or_default();
        let line = |what, expected, found| Line {
            what,
            expected,
            found,
        };
        Self {
            lines: vec![
                line("sessions ended", recording.ends(), seen.ends.len() as u64),
                line(
                    "session_end events",
                    recording.ends(),
                    seen.ends.values().map(|(times, _)| times).sum(),
                ),
                line("prompts counted", recording.prompts(), facts.prompts),
                line("messages handed out", recording.messages(), handed.messages),
                line("messages settled once", recording.messages(), processed),
                line("messages given up", 0, given_up),
                line(
                    "messages left over",
                    0,
                    messages.pending + messages.in_flight,
                ),
                line("first hand-outs out of order", 0, handed.out_of_order),
                line("gaps or repeats in the feed", 0, seen.breaks),
            ],
        }
    }

    /// Whether everything agrees.
    pub(crate) fn holds(&self) -> bool {
        self.lines.iter().all(|line| line.expected == line.found)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "summary    {:<30} {:>9} {:>9}", "", "recorded", "seen")?;
        for line in &self.lines {
            let mark = if line.expected == line.found {
                "ok"
            } else {
                "WRONG"
            };
            writeln!(
                f,
                "           {:<30} {:>9} {:>9}  {mark}",
                line.what, line.expected, line.found
            )?;
        }
        let verdict = if self.holds() {
            "everything agrees"
        } else {
            "something is wrong"
        };
        write!(f, "           {verdict}")
    }
}
