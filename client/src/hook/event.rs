//! One hook event as the agent wrote it: a JSON object of which only a few fields are looked at.
//!
//! Invariant: a field that is missing or of another type than expected never costs the event, only
//! the session's id can; values which are passed on keep every byte. What this deliberately does
//! not do: know what the events mean to sessiond.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{self, Visitor};
use serde_json::value::RawValue;

use super::{ID_BYTES_MAX, cut};

/// The events which sessiond has a use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventName {
    /// A conversation starts or goes on.
    SessionStart,
    /// The user asked for something.
    UserPromptSubmit,
    /// A tool was used.
    PostToolUse,
    /// A tool failed.
    PostToolUseFailure,
    /// The agent is done for the moment.
    Stop,
    /// A sub-agent is done.
    SubagentStop,
    /// The conversation is over, or another takes its place.
    SessionEnd,
    /// Any other event, of this version of the agent or a later one.
    Other,
}

/// A hook event, borrowed from its text.
#[derive(Clone, Debug)]
pub struct HookEvent<'a> {
    name: EventName,
    name_text: String,
    session_id: String,
    fields: BTreeMap<String, &'a RawValue>,
}

/// Why a text is no hook event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// It is not one JSON object.
    #[error("not a JSON object")]
    Json(#[source] serde_json::Error),
    /// It names no event.
    #[error("no text in `hook_event_name`")]
    NoName,
    /// Its `session_id` cannot be a key.
    #[error("`session_id` is not a text of 1 to {ID_BYTES_MAX} bytes without control characters")]
    NoSession,
}

// === impl HookEvent ===

impl<'a> HookEvent<'a> {
    /// Reads one event; a byte order mark before it is skipped. Events which sessiond has no use
    /// for need no session.
    ///
    /// # Errors
    ///
    /// When it is not one JSON object, or its `hook_event_name` is no text, or a known event has a
    /// `session_id` that cannot be a key.
    pub fn parse(text: &'a str) -> Result<Self, EventError> {
        let text = text.trim_start_matches('\u{feff}');
        let fields: BTreeMap<String, &'a RawValue> =
            serde_json::from_str(text).map_err(EventError::Json)?;
        let mut event = Self {
            name: EventName::Other,
            name_text: String::new(),
            session_id: String::new(),
            fields,
        };
        event.name_text = event.id_text("hook_event_name").ok_or(EventError::NoName)?;
        event.name = EventName::read(&event.name_text);
        match event.exact_id("session_id") {
            Some(session_id) => event.session_id = session_id,
            None if event.name == EventName::Other => {}
            None => return Err(EventError::NoSession),
        }
        Ok(event)
    }

    /// Which event it is.
    #[must_use]
    pub fn name(&self) -> EventName {
        self.name
    }

    /// The event's name as the agent wrote it.
    #[must_use]
    pub fn name_text(&self) -> &str {
        &self.name_text
    }

    /// The agent's id of the conversation: the key of the session. Empty only for an event that
    /// sessiond has no use for.
    #[must_use]
    pub fn session_id(&self) -> &str {
        &self.session_id
    }

    /// A field that is a text. `None` when it is missing or something else.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        text(self.raw(name)?)
    }

    /// A field as it was written, blanks included.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a str> {
        self.fields.get(name).map(|value| value.get())
    }

    /// A text made fit for a name: without control characters, cut to what the server accepts.
    /// `None` when nothing is left.
    pub(crate) fn id_text(&self, name: &str) -> Option<String> {
        let clean: String = self
            .text(name)?
            .chars()
            .filter(|c| !c.is_control())
            .collect();
        let clean = cut(&clean, ID_BYTES_MAX);
        (!clean.is_empty()).then(|| clean.to_owned())
    }

    /// A text that can be an id as it is. Nothing is cut, because two ids must not become one.
    pub(crate) fn exact_id(&self, name: &str) -> Option<String> {
        self.text(name).filter(|id| {
            !id.is_empty() && id.len() <= ID_BYTES_MAX && !id.chars().any(char::is_control)
        })
    }
}

// === impl EventName ===

impl EventName {
    fn read(name: &str) -> Self {
        match name {
            "SessionStart" => Self::SessionStart,
            "UserPromptSubmit" => Self::UserPromptSubmit,
            "PostToolUse" => Self::PostToolUse,
            "PostToolUseFailure" => Self::PostToolUseFailure,
            "Stop" => Self::Stop,
            "SubagentStop" => Self::SubagentStop,
            "SessionEnd" => Self::SessionEnd,
            _ => Self::Other,
        }
    }
}

/// The text of a JSON string. The agent writes JavaScript strings, which may hold half a character
/// (a lone surrogate); it becomes U+FFFD rather than costing the whole text.
pub(super) fn text(raw: &str) -> Option<String> {
    serde_json::from_str(raw).ok().or_else(|| {
        let mut reader = serde_json::Deserializer::from_str(raw);
        reader.deserialize_bytes(LossyText).ok()
    })
}

#[derive(Clone, Copy)]
struct LossyText;

impl Visitor<'_> for LossyText {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<String, E> {
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}
