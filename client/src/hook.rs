//! Hook events of a coding agent, as requests: what Claude Code tells its hooks becomes one open,
//! one enqueue or one end.
//!
//! Invariant: the mapping is pure. The same event with the same occurrence gives the same bytes, so
//! that an event which is kept on disk and sent later, or sent twice, has its effect once; and
//! every request fits the server's limits, cut where it must be. What this deliberately does not
//! do: read, send or store anything, or know which hooks are installed.

pub mod event;
mod payload;

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::Bytes;
use sessiond_proto::v1::{
    EndMode, EndReason, EndSessionRequest, EnqueueMessagesRequest, Message, OpenSessionRequest,
    SessionRef, session_ref,
};

use self::event::{EventName, HookEvent};
use self::payload::Payload;

/// The `source` of every session which a hook of Claude Code opens.
pub const SOURCE: &str = "claude-code";

/// The kind of a message about one use of a tool.
pub const OBSERVATION: &str = "observation";

/// The kind of a message that asks for a summary of what was done.
pub const SUMMARIZE: &str = "summarize";

/// The payload of one message, in bytes: what the server accepts by default. A longer one is cut
/// and marked by the attributes `truncated` and `original_size`.
pub const PAYLOAD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A prompt, in bytes: what the server accepts. A longer one is cut and ends in a mark.
pub const PROMPT_BYTES_MAX: usize = 64 * 1024;

/// An id, a key or a name, in bytes: what the server accepts.
pub const ID_BYTES_MAX: usize = 256;

/// A directory or a path, in bytes: what the server accepts.
const PATH_BYTES_MAX: usize = 4096;

/// What the event itself does not tell: when it happened, and its name among all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// When the hook ran.
    pub time: SystemTime,
    /// Names this one event, the same whenever it is sent again: the request id of an open or an
    /// end, and the idempotency key of a message whose event has no `tool_use_id`. UTF-8 without
    /// control characters, 1 to 256 bytes.
    pub key: String,
}

/// The one call that an event becomes.
#[derive(Clone, Debug, PartialEq)]
pub enum HookRequest {
    /// Opens the session, or gives the live one its next prompt.
    Open(Box<OpenSessionRequest>),
    /// Enqueues one message, and opens the session if there is none.
    Enqueue(Box<EnqueueMessagesRequest>),
    /// Ends the session after what is pending.
    End(Box<EndSessionRequest>),
}

/// The call which `event` asks for; `None` for an event that sessiond has no use for.
#[must_use]
pub fn request(event: &HookEvent<'_>, occurrence: &Occurrence) -> Option<HookRequest> {
    let request = match event.name() {
        EventName::SessionStart => HookRequest::Open(Box::new(OpenSessionRequest {
            request_id: occurrence.key.clone(),
            ..open_body(event)
        })),
        EventName::UserPromptSubmit => HookRequest::Open(Box::new(OpenSessionRequest {
            prompt: prompt(event),
            request_id: occurrence.key.clone(),
            ..open_body(event)
        })),
        EventName::PostToolUse => enqueue(
            event,
            occurrence,
            OBSERVATION,
            &["tool_name", "tool_input", "tool_response"],
        ),
        EventName::PostToolUseFailure => enqueue(
            event,
            occurrence,
            OBSERVATION,
            &[
                "tool_name",
                "tool_input",
                "tool_response",
                "error",
                "is_interrupt",
            ],
        ),
        EventName::Stop => enqueue(
            event,
            occurrence,
            SUMMARIZE,
            &["last_assistant_message", "stop_hook_active"],
        ),
        EventName::SubagentStop => enqueue(
            event,
            occurrence,
            SUMMARIZE,
            &[
                "last_assistant_message",
                "stop_hook_active",
                "agent_transcript_path",
            ],
        ),
        EventName::SessionEnd => end(event, occurrence),
        EventName::Other => return None,
    };
    Some(request)
}

/// What every request can open: the session as the event describes it, without a request id.
#[must_use]
pub fn open_body(event: &HookEvent<'_>) -> OpenSessionRequest {
    // An agent type without an agent id is the main conversation of a session that was started as
    // that agent; with an id it is a sub-agent, which the session does not belong to.
    let main_agent = match event.id_text("agent_id") {
        Some(_) => None,
        None => event.id_text("agent_type"),
    };
    OpenSessionRequest {
        key: event.session_id().to_owned(),
        project: project(&event.text("cwd").unwrap_or_default()),
        source: SOURCE.to_owned(),
        agent_id: main_agent.unwrap_or_default(),
        transcript_path: path(event, "transcript_path"),
        ..OpenSessionRequest::default()
    }
}

fn enqueue(
    event: &HookEvent<'_>,
    occurrence: &Occurrence,
    kind: &str,
    fields: &'static [&'static str],
) -> HookRequest {
    let payload = Payload::of(event, fields, PAYLOAD_BYTES_MAX);
    let message = Message {
        kind: kind.to_owned(),
        content_type: "application/json".to_owned(),
        attributes: attributes(event, &payload),
        agent_id: event.id_text("agent_id").unwrap_or_default(),
        agent_type: event.id_text("agent_type").unwrap_or_default(),
        occurred_time: Some(occurrence.time.into()),
        idempotency_key: event
            .exact_id("tool_use_id")
            .unwrap_or_else(|| occurrence.key.clone()),
        payload: Bytes::from(payload.json),
        ..Message::default()
    };
    HookRequest::Enqueue(Box::new(EnqueueMessagesRequest {
        r#ref: Some(key_ref(event)),
        messages: vec![message],
        open_if_missing: Some(open_body(event)),
        request_id: String::new(),
    }))
}

fn end(event: &HookEvent<'_>, occurrence: &Occurrence) -> HookRequest {
    let word = event.text("reason").unwrap_or_default();
    // `clear` and `resume` replace the conversation in place; every other word, known or not, says
    // that the user is done with it.
    let (reason, detail) = match word.as_str() {
        "clear" => (EndReason::Reset, String::new()),
        "resume" => (EndReason::Replaced, String::new()),
        _ => (EndReason::Completed, cut(&word, PATH_BYTES_MAX).to_owned()),
    };
    HookRequest::End(Box::new(EndSessionRequest {
        r#ref: Some(key_ref(event)),
        reason: reason.into(),
        detail,
        mode: EndMode::AfterPending.into(),
        request_id: occurrence.key.clone(),
        ..EndSessionRequest::default()
    }))
}

fn attributes(event: &HookEvent<'_>, payload: &Payload) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    let mut set = |name: &str, value: String| {
        if !value.is_empty() {
            attributes.insert(name.to_owned(), value);
        }
    };
    set("hook_event_name", event.name_text().to_owned());
    set("tool_name", event.id_text("tool_name").unwrap_or_default());
    set("cwd", path(event, "cwd"));
    if let Some(original_size) = payload.original_size {
        set("truncated", "true".to_owned());
        set("original_size", original_size.to_string());
    }
    attributes
}

/// The prompt, cut to what the server accepts with a mark at its end.
fn prompt(event: &HookEvent<'_>) -> String {
    let prompt = event.text("prompt").unwrap_or_default();
    if prompt.len() <= PROMPT_BYTES_MAX {
        return prompt;
    }
    let mark = format!("\n[truncated, {} bytes]", prompt.len());
    let kept = cut(&prompt, PROMPT_BYTES_MAX - mark.len());
    format!("{kept}{mark}")
}

fn path(event: &HookEvent<'_>, name: &str) -> String {
    let text = event.text(name).unwrap_or_default();
    cut(&text, PATH_BYTES_MAX).to_owned()
}

/// The last part of a directory, or all of it when it has none.
fn project(directory: &str) -> String {
    let separators = if directory.contains('/') { '/' } else { '\\' };
    let trimmed = directory.trim_end_matches(separators);
    let name = trimmed.rsplit(separators).next().unwrap_or_default();
    let name = if name.is_empty() { directory } else { name };
    cut(name, PATH_BYTES_MAX).to_owned()
}

fn key_ref(event: &HookEvent<'_>) -> SessionRef {
    SessionRef {
        r#ref: Some(session_ref::Ref::Key(event.session_id().to_owned())),
    }
}

/// The longest beginning of `text` of at most `bytes_max` bytes that cuts no character.
#[must_use]
pub fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

// === impl HookRequest ===

impl HookRequest {
    /// The key of the session it is about.
    #[must_use]
    pub fn session_key(&self) -> &str {
        let reference = match self {
            Self::Open(open) => return &open.key,
            Self::Enqueue(enqueue) => &enqueue.r#ref,
            Self::End(end) => &end.r#ref,
        };
        match reference.as_ref().and_then(|one| one.r#ref.as_ref()) {
            Some(session_ref::Ref::Key(key)) => key,
            Some(session_ref::Ref::SessionId(_)) | None => "",
        }
    }
}

#[cfg(test)]
mod tests;
