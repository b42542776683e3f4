//! What a replay came to.
//!
//! Invariant: a line is counted once, when it is answered; what could not be sent is named with its
//! line as it happens. What this deliberately does not do: decide whether to go on.

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard};

use sessiond_client::hook::HookRequest;

use crate::deliver::Novelty;
use crate::failure::Failure;
use crate::output::Output;
use crate::say;

/// What an event was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Open,
    Prompt,
    Message,
    End,
}

/// How many of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Conversations in the file.
    sessions: u64,
    opens: u64,
    prompts: u64,
    messages: u64,
    ends: u64,
    /// Of these, the ones that the server knew already.
    duplicates: u64,
    /// Events which sessiond has no use for.
    ignored: u64,
    /// Lines that are no event, or that the server refused for good.
    failed: u64,
}

/// Counts shared by all lanes.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: Mutex<Counts>,
}

// === impl Kind ===

impl Kind {
    pub(super) fn of(request: &HookRequest) -> Self {
        match request {
            HookRequest::Open(open) if open.prompt.is_empty() => Self::Open,
            HookRequest::Open(_) => Self::Prompt,
            HookRequest::Enqueue(_) => Self::Message,
            HookRequest::End(_) => Self::End,
        }
    }

    pub(super) fn is_no_open(self) -> bool {
        match self {
            Self::Open | Self::Prompt => false,
            Self::Message | Self::End => true,
        }
    }
}

// === impl Tally ===

impl Tally {
    pub(super) fn counts(&self) -> Counts {
        *self.lock()
    }

    pub(super) fn session(&self) {
        self.lock().sessions += 1;
    }

    pub(super) fn ignored(&self) {
        self.lock().ignored += 1;
    }

    pub(super) fn answered(&self, kind: Kind, novelty: Novelty) {
        let mut counts = self.lock();
        match kind {
            Kind::Open => counts.opens += 1,
            Kind::Prompt => counts.prompts += 1,
            Kind::Message => counts.messages += 1,
            Kind::End => counts.ends += 1,
        }
        counts.duplicates += u64::from(novelty == Novelty::Duplicate);
    }

    pub(super) fn malformed(&self, line: u64, why: &str) {
        self.failed(line, &why);
    }

    pub(super) fn failed(&self, line: u64, why: &impl Display) {
        self.lock().failed += 1;
        say::line(&format!("line {line}: {why}"));
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts
            .lock()
            .expect("nothing panics while it holds the counts")
    }
}

// === impl Counts ===

impl Counts {
    fn answered(&self) -> u64 {
        self.opens + self.prompts + self.messages + self.ends
    }

    /// How far it is, for a person.
    pub(super) fn progress(&self) -> String {
        let Self {
            sessions, failed, ..
        } = self;
        format!(
            "{} events of {sessions} sessions, {failed} failed",
            self.answered()
        )
    }

    /// The summary, for a script too.
    pub(super) fn print(&self, output: &mut Output) -> Result<(), Failure> {
        let headers = [
            "SESSIONS",
            "OPENS",
            "PROMPTS",
            "MESSAGES",
            "ENDS",
            "DUPLICATES",
            "IGNORED",
            "FAILED",
        ];
        let numbers = [
            self.sessions,
            self.opens,
            self.prompts,
            self.messages,
            self.ends,
            self.duplicates,
            self.ignored,
            self.failed,
        ];
        let row = numbers.iter().map(u64::to_string).collect();
        output.table(&headers, vec![row])
    }

    /// Whether everything was sent.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.failed == 0 {
            return Ok(());
        }
        let what = format!("{} lines could not be replayed", self.failed);
        Err(Failure::Other(anyhow::anyhow!(what)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_counted_once() {
        let tally = Tally::default();
        tally.session();
        tally.answered(Kind::Open, Novelty::New);
        tally.answered(Kind::Prompt, Novelty::Duplicate);
        tally.answered(Kind::Message, Novelty::New);
        tally.answered(Kind::Message, Novelty::Duplicate);
        tally.answered(Kind::End, Novelty::New);
        tally.ignored();
        let counts = tally.counts();
        assert_eq!(counts.answered(), 5);
        assert_eq!((counts.messages, counts.duplicates), (2, 2));
        assert_eq!(counts.progress(), "5 events of 1 sessions, 0 failed");
        assert!(counts.check().is_ok());
        tally.malformed(3, "not JSON");
        assert!(tally.counts().check().is_err());
    }
}
