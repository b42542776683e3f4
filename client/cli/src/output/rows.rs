//! What is listed, as rows of a table: which columns, and which id stands for it alone.
//!
//! Invariant: as many cells as headers and widths. What this deliberately does not do: lay out.

mod resource;
mod subscription;

use jiff::Timestamp;
use sessiond_client::pb;

use super::age::{ago, wire_length};
use super::json::Described;
use crate::values;

/// Something that is listed.
pub(crate) trait Row {
    /// What it is in JSON.
    type Document: Described;

    const HEADERS: &'static [&'static str];
    /// The widths of the columns when the rows come one by one.
    const WIDTHS: &'static [usize];

    /// The cells, as of `now`.
    fn cells(&self, now: Timestamp) -> Vec<String>;

    /// What names it to other commands.
    fn id(&self) -> String;

    fn document(&self) -> &Self::Document;
}

/// A message as a worker gets it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delivered {
    pub(crate) message: pb::Message,
}

impl Row for pb::Session {
    type Document = Self;

    const HEADERS: &'static [&'static str] = &[
        "KEY",
        "SESSION",
        "STATE",
        "PROJECT",
        "AGE",
        "IDLE",
        "PENDING",
        "IN FLIGHT",
        "DONE",
        "DEAD",
        "WORKER",
        "END",
    ];
    const WIDTHS: &'static [usize] = &[24, 36, 8, 16, 6, 6, 7, 9, 6, 4, 16, 10];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let counts = self.counts.unwrap_or_default();
        let worker = self.lease.as_ref().map(|lease| lease.worker.clone());
        let end = self
            .end
            .as_ref()
            .map(|end| values::enum_name::<pb::EndReason>(end.reason));
        vec![
            self.key.clone(),
            self.session_id.clone(),
            values::enum_name::<pb::SessionState>(self.state),
            self.project.clone(),
            ago(self.create_time, now),
            ago(self.last_activity_time, now),
            counts.pending.to_string(),
            counts.in_flight.to_string(),
            counts.processed.to_string(),
            counts.dead_lettered.to_string(),
            worker.unwrap_or_default(),
            end.unwrap_or_default(),
        ]
    }

    fn id(&self) -> String {
        self.session_id.clone()
    }

    fn document(&self) -> &Self::Document {
        self
    }
}

impl Row for pb::EndResult {
    type Document = Self;

    const HEADERS: &'static [&'static str] = &["KEY", "SESSION", "OUTCOME", "ERROR"];
    const WIDTHS: &'static [usize] = &[24, 36, 13, 20];

    fn cells(&self, _now: Timestamp) -> Vec<String> {
        let error = self.error.as_ref().map(|error| error.reason.clone());
        vec![
            self.key.clone(),
            self.session_id.clone(),
            values::enum_name::<pb::EndOutcome>(self.outcome),
            error.unwrap_or_default(),
        ]
    }

    fn id(&self) -> String {
        self.session_id.clone()
    }

    fn document(&self) -> &Self::Document {
        self
    }
}

impl Row for pb::SweepResult {
    type Document = Self;

    const HEADERS: &'static [&'static str] = &["KEY", "SESSION", "OUTCOME", "REASON", "SINCE"];
    const WIDTHS: &'static [usize] = &[24, 36, 9, 10, 6];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let why = match &self.error {
            Some(error) => error.reason.clone(),
            None => values::enum_name::<pb::EndReason>(self.reason),
        };
        vec![
            self.key.clone(),
            self.session_id.clone(),
            values::enum_name::<pb::SweepOutcome>(self.outcome),
            why,
            ago(self.reach_time, now),
        ]
    }

    fn id(&self) -> String {
        self.session_id.clone()
    }

    fn document(&self) -> &Self::Document {
        self
    }
}

impl Row for pb::PurgeResult {
    type Document = Self;

    const HEADERS: &'static [&'static str] = &["KEY", "SESSION", "OUTCOME", "MESSAGES", "ERROR"];
    const WIDTHS: &'static [usize] = &[24, 36, 11, 8, 20];

    fn cells(&self, _now: Timestamp) -> Vec<String> {
        let error = self.error.as_ref().map(|error| error.reason.clone());
        vec![
            self.key.clone(),
            self.session_id.clone(),
            values::enum_name::<pb::PurgeOutcome>(self.outcome),
            self.messages.to_string(),
            error.unwrap_or_default(),
        ]
    }

    fn id(&self) -> String {
        self.session_id.clone()
    }

    fn document(&self) -> &Self::Document {
        self
    }
}

impl Row for pb::PoolInfo {
    type Document = Self;

    const HEADERS: &'static [&'static str] = &[
        "POOL",
        "LIVE",
        "MAX LIVE",
        "DRAINING",
        "RELEASING",
        "LINGERING",
        "QUEUED",
        "OLDEST",
        "ATTACHED",
        "MAX ATTACHED",
        "WHEN FULL",
        "WAIT",
    ];
    const WIDTHS: &'static [usize] = &[24, 6, 8, 8, 9, 9, 6, 6, 8, 12, 9, 6];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let bound = |max: Option<u64>| max.map_or_else(|| "-".to_owned(), |max| max.to_string());
        vec![
            self.pool.clone(),
            self.live.to_string(),
            bound(self.max_sessions),
            self.draining.to_string(),
            self.releasing.to_string(),
            self.lingering.to_string(),
            self.queued.to_string(),
            ago(self.oldest_waiting_time, now),
            self.attached.to_string(),
            bound(self.max_attached),
            values::enum_name::<pb::WhenFull>(self.when_full),
            wire_length(self.default_wait),
        ]
    }

    fn id(&self) -> String {
        self.pool.clone()
    }

    fn document(&self) -> &Self::Document {
        self
    }
}

impl Row for pb::Message {
    type Document = Self;

    const HEADERS: &'static [&'static str] = &[
        "SEQ", "KIND", "STATE", "PROMPT", "ATTEMPT", "AGE", "WORKER", "ERROR",
    ];
    const WIDTHS: &'static [usize] = &[6, 16, 13, 6, 7, 6, 16, 20];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let status = self.status.clone().unwrap_or_default();
        vec![
            self.seq.to_string(),
            self.kind.clone(),
            values::enum_name::<pb::MessageState>(status.state),
            self.prompt_number.unwrap_or_default().to_string(),
            self.attempt.to_string(),
            ago(self.enqueue_time, now),
            status.worker,
            status.last_error,
        ]
    }

    fn id(&self) -> String {
        self.seq.to_string()
    }

    fn document(&self) -> &Self::Document {
        self
    }
}

impl Row for pb::DeadLetter {
    type Document = Self;

    const HEADERS: &'static [&'static str] = &[
        "LETTER", "KEY", "SESSION", "KIND", "REASON", "ATTEMPTS", "DEAD", "ERROR",
    ];
    const WIDTHS: &'static [usize] = &[10, 24, 36, 16, 13, 8, 6, 20];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let kind = self.message.as_ref().map(|message| message.kind.clone());
        vec![
            self.id(),
            self.key.clone(),
            self.session_id.clone(),
            kind.unwrap_or_default(),
            values::enum_name::<pb::DeadLetterReason>(self.reason),
            self.attempts.to_string(),
            ago(self.dead_letter_time, now),
            self.last_error.clone(),
        ]
    }

    /// Its queue and its place there.
    fn id(&self) -> String {
        let place = self.message.as_ref();
        let place = place.map(|message| (message.queue_id, message.seq));
        let (queue, seq) = place.unwrap_or_default();
        format!("{queue}/{seq}")
    }

    fn document(&self) -> &Self::Document {
        self
    }
}

impl Row for pb::EnqueueResult {
    type Document = Self;

    const HEADERS: &'static [&'static str] = &["SEQ", "STATUS"];
    const WIDTHS: &'static [usize] = &[6, 12];

    fn cells(&self, _now: Timestamp) -> Vec<String> {
        vec![
            self.seq.to_string(),
            values::enum_name::<pb::EnqueueStatus>(self.status),
        ]
    }

    fn id(&self) -> String {
        self.seq.to_string()
    }

    fn document(&self) -> &Self::Document {
        self
    }
}

impl Row for Delivered {
    type Document = pb::Message;

    const HEADERS: &'static [&'static str] = &[
        "SESSION", "SEQ", "KIND", "ATTEMPT", "AGE", "BYTES", "PAYLOAD",
    ];
    const WIDTHS: &'static [usize] = &[36, 6, 16, 7, 6, 8, 20];

    fn cells(&self, now: Timestamp) -> Vec<String> {
        let message = &self.message;
        vec![
            message.session_id.clone(),
            message.seq.to_string(),
            message.kind.clone(),
            message.attempt.to_string(),
            ago(message.enqueue_time, now),
            message.payload.len().to_string(),
            String::from_utf8_lossy(&message.payload).into_owned(),
        ]
    }

    fn id(&self) -> String {
        self.message.seq.to_string()
    }

    fn document(&self) -> &Self::Document {
        &self.message
    }
}

impl Row for pb::SessionEvent {
    type Document = Self;

    const HEADERS: &'static [&'static str] = &[
        "REVISION", "TYPE", "KEY", "SESSION", "STATE", "ACTOR", "DETAIL",
    ];
    const WIDTHS: &'static [usize] = &[8, 21, 24, 36, 8, 8, 20];

    fn cells(&self, _now: Timestamp) -> Vec<String> {
        // An event about the server has none, and so no state either.
        let session = self.session.as_ref();
        let state = session.map(|session| values::enum_name::<pb::SessionState>(session.state));
        let session = session.cloned().unwrap_or_default();
        let actor = self
            .actor
            .as_ref()
            .map(|actor| values::enum_name::<pb::ActorKind>(actor.kind));
        vec![
            self.revision.to_string(),
            values::enum_name::<pb::EventType>(self.r#type),
            session.key,
            session.session_id,
            state.unwrap_or_default(),
            actor.unwrap_or_default(),
            event_detail(self),
        ]
    }

    fn id(&self) -> String {
        self.revision.to_string()
    }

    fn document(&self) -> &Self::Document {
        self
    }
}

/// What an event says beyond its type.
fn event_detail(event: &pb::SessionEvent) -> String {
    let end = event.end.as_ref().map(|end| {
        let reason = values::enum_name::<pb::EndReason>(end.reason);
        if end.detail.is_empty() {
            reason
        } else {
            format!("{reason}: {}", end.detail)
        }
    });
    let message = event
        .message_ref
        .as_ref()
        .map(|message| format!("{} {}", message.kind, message.seq));
    let attributes = event
        .attributes
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let parts: Vec<String> = end.into_iter().chain(message).chain(attributes).collect();
    parts.join(" ")
}
