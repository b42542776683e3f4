//! Recorded agent sessions to play, and what they must come to.
//!
//! Invariant: every figure is counted from the file itself, by plain JSON and without the mapping of the
//! hooks, so that a mapping which loses an event is found out. What it deliberately does not do: send
//! anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The variable that names another recording than the bundled one.
const VARIABLE: &str = "SESSIOND_RECORDING";

/// What a recorded event becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// A session is opened.
    Open,
    /// A session gets its next prompt, and is opened if it is not.
    Prompt,
    /// A message is enqueued.
    Message,
    /// A session is ended.
    End,
    /// Nothing.
    Ignored,
}

/// One recorded event.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The line as it stands in the file.
    pub text: String,
    /// The key of its session.
    pub session: String,
    /// What it becomes.
    pub deed: Deed,
    /// The agent's own name for the use of a tool. Two events of one session with one name are one message.
    pub tool_use: Option<String>,
}

/// A recording.
#[derive(Clone, Debug)]
pub struct Recording {
    path: PathBuf,
    events: Vec<Recorded>,
}

// === impl Deed ===

impl Deed {
    fn of(name: &str) -> Self {
        match name {
            "SessionStart" => Self::Open,
            "UserPromptSubmit" => Self::Prompt,
            "PostToolUse" | "PostToolUseFailure" | "Stop" | "SubagentStop" => Self::Message,
            "SessionEnd" => Self::End,
            _ => Self::Ignored,
        }
    }
}

// === impl Recording ===

impl Recording {
    /// The recording which the environment names, else the bundled one.
    ///
    /// # Panics
    ///
    /// When it cannot be read, a line is no JSON object, or a session is ended that is not open: then no
    /// figure below would mean anything.
    #[must_use]
    pub fn load() -> Self {
        let bundled = || crate::binaries::root().join("server/demo/recording.jsonl");
        let path = std::env::var_os(VARIABLE).map_or_else(bundled, PathBuf::from);
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let recording = Self {
            path,
            events: lines.map(Recorded::read).collect(),
        };
        recording.check();
        recording
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its events, in order.
    #[must_use]
    pub fn events(&self) -> &[Recorded] {
        &self.events
    }

    /// How many events become this.
    #[must_use]
    pub fn count(&self, deed: Deed) -> usize {
        let is_one = |event: &&Recorded| event.deed == deed;
        self.events.iter().filter(is_one).count()
    }

    /// The events of each session, by key.
    #[must_use]
    pub fn sessions(&self) -> BTreeMap<&str, Vec<&Recorded>> {
        let mut sessions: BTreeMap<&str, Vec<&Recorded>> = BTreeMap::new();
        for event in &self.events {
            sessions.entry(&event.session).or_default().push(event);
        }
        sessions
    }

    /// How many messages each session must have, by key: a repeated use of a tool counts once.
    #[must_use]
    pub fn messages_by_session(&self) -> BTreeMap<&str, usize> {
        let messages = |events: &Vec<&Recorded>| {
            let (named, unnamed): (Vec<&Recorded>, Vec<&Recorded>) = events
                .iter()
                .copied()
                .filter(|event| event.deed == Deed::Message)
                .partition(|event| event.tool_use.is_some());
            let names: BTreeSet<_> = named.iter().map(|event| &event.tool_use).collect();
            names.len() + unnamed.len()
        };
        let sessions = self.sessions();
        sessions
            .iter()
            .map(|(key, events)| (*key, messages(events)))
            .collect()
    }

    /// How many messages there must be in all.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.messages_by_session().values().sum()
    }

    fn check(&self) {
        assert!(
            self.count(Deed::Message) > 0,
            "{} has no messages",
            self.path.display()
        );
        for (key, events) in self.sessions() {
            let deeds: Vec<Deed> = events.iter().map(|event| event.deed).collect();
            let ends = deeds.iter().filter(|deed| **deed == Deed::End).count();
            assert!(
                ends == 1 && deeds.last() == Some(&Deed::End),
                "session {key} does not end once and last: each key must be one session"
            );
        }
    }
}

// === impl Recorded ===

impl Recorded {
    fn read(line: &str) -> Self {
        let event: Value = serde_json::from_str(line).expect("a line of the recording is JSON");
        let text = |name: &str| event[name].as_str().map(str::to_owned);
        let name = text("hook_event_name").expect("a recorded event has a name");
        let deed = Deed::of(&name);
        Self {
            text: line.to_owned(),
            session: text("session_id").expect("a recorded event has a session"),
            deed,
            tool_use: text("tool_use_id"),
        }
    }
}
