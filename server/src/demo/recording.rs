//! A recording: hook events by session, and what playing them must come to.
//!
//! What is expected is counted from the text alone, by the event's names, and not by the mapping that
//! is put to the test.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
use serde::Deserialize;

/// The bundled recording, made by `cargo xtask record` from this project's own history.
const BUNDLED: &str = include_str!("../../demo/recording.jsonl");

/// Recorded sessions in order of their first event.
#[derive(Debug)]
pub(crate) struct Recording {
    /// The sessions.
    pub(crate) sessions: Vec<Session>,
}

/// One recorded session.
#[derive(Debug)]
pub(crate) struct Session {
    /// The agent's id of it.
    pub(crate) key: String,
    /// Its events with their line numbers, in order.
    pub(crate) events: Vec<(usize, String)>,
    /// What playing it must come to.
    pub(crate) expected: Expected,
}

/// What playing a session must come to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Expected {
    pub(crate) prompts: u64,
    pub(crate) messages: u64,
    pub(crate) ends: u64,
}

#[derive(Deserialize)]
struct Line {
    hook_event_name: String,
    session_id: String,
}

impl Recording {
    /// Reads a file, or the bundled recording.
    pub(crate) fn read(file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(file) = file else {
            return Self::parse(BUNDLED);
        };
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("failed to read {}", file.display()))?;
        Self::parse(&text).with_context(|| format!("failed to read {}", file.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut order = Vec::new();
        let mut sessions: BTreeMap<String, Session> = BTreeMap::new();
        for (index, text) in text.lines().enumerate() {
            if text.trim().is_empty() {
                continue;
            }
            let number = index + 1;
            let line: Line = serde_json::from_str(text)
                .with_context(|| format!("line {number} is no hook event"))?;
            let session = sessions.entry(line.session_id.clone()).or_insert_with(|| {
                order.push(line.session_id.clone());
                Session {
                    key: line.session_id,
                    events: Vec::new(),
                    expected: Expected::default(),
                }
            });
            session.expected.count(&line.hook_event_name);
            session.events.push((number, text.to_owned()));
        }
        ensure!(!sessions.is_empty(), "there is no event in it");
        let sessions = order
            .iter()
            .filter_map(|key| sessions.remove(key))
            .collect();
        Ok(Self { sessions })
    }

    /// Events in all.
    pub(crate) fn events(&self) -> usize {
        self.sessions
            .iter()
            .map(|session| session.events.len())
            .sum()
    }

    /// Prompts in all.
    pub(crate) fn prompts(&self) -> u64 {
        self.sessions.iter().map(|s| s.expected.prompts).sum()
    }

    /// Messages in all.
    pub(crate) fn messages(&self) -> u64 {
        self.sessions.iter().map(|s| s.expected.messages).sum()
    }

    /// Ends in all.
    pub(crate) fn ends(&self) -> u64 {
        self.sessions.iter().map(|s| s.expected.ends).sum()
    }
}

impl Expected {
    fn count(&mut self, event: &str) {
        match event {
            "UserPromptSubmit" => self.prompts += 1,
            "PostToolUse" | "PostToolUseFailure" | "Stop" | "SubagentStop" => self.messages += 1,
            "SessionEnd" => self.ends += 1,
            _ => {}
        }
    }
}
