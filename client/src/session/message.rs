//! A message to be enqueued.
//!
//! Keeps nothing of its own: it fills in one wire message without the fields
//! which the server sets.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sessiond_proto::v1 as pb;

use super::open::to_span;

/// A message to be enqueued.
#[derive(Clone, Debug)]
#[must_use = "a message goes nowhere before it is enqueued"]
pub struct NewMessage {
    message: pb::Message,
}

// === impl NewMessage ===

impl NewMessage {
    /// A message of one kind, for example `observation`, without a payload.
    pub fn new(kind: impl Into<String>) -> Self {
        let message = pb::Message {
            kind: kind.into(),
            ..Default::default()
        };
        Self { message }
    }

    /// Sets the work itself.
    pub fn payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.message.payload = payload.into();
        self
    }

    /// Sets the media type of the payload.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.message.content_type = content_type.into();
        self
    }

    /// Adds an attribute.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.message.attributes.insert(name.into(), value.into());
        self
    }

    /// Names the sub-agent it comes from, and its type.
    pub fn agent(mut self, id: impl Into<String>, agent_type: impl Into<String>) -> Self {
        self.message.agent_id = id.into();
        self.message.agent_type = agent_type.into();
        self
    }

    /// Sets the prompt it belongs to. Default: the session's current one.
    pub fn prompt_number(mut self, number: u32) -> Self {
        self.message.prompt_number = Some(number);
        self
    }

    /// Sets when what it reports happened. Default: when it is enqueued.
    pub fn occurred(mut self, time: SystemTime) -> Self {
        self.message.occurred_time = Some(time.into());
        self
    }

    /// Holds it back until this time.
    pub fn not_before(mut self, time: SystemTime) -> Self {
        self.message.not_before_time = Some(time.into());
        self
    }

    /// Makes a repeated enqueue harmless beyond the repeats of the SDK.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.message.idempotency_key = key.into();
        self
    }

    /// Hands the caller's `traceparent` to the worker.
    pub fn trace_parent(mut self, trace_parent: impl Into<String>) -> Self {
        self.message.trace_parent = trace_parent.into();
        self
    }

    /// Sets how it relates to work in progress. Default: FOLLOW_UP.
    pub fn delivery_mode(mut self, mode: pb::DeliveryMode) -> Self {
        self.message.set_delivery_mode(mode);
        self
    }

    /// Lets it supersede pending messages with the same key.
    pub fn coalesce_key(mut self, key: impl Into<String>) -> Self {
        self.message.coalesce_key = key.into();
        self
    }

    /// Holds it back until nothing like it came for `quiet`, at most `max_wait`.
    pub fn debounce(mut self, quiet: Duration, max_wait: Option<Duration>) -> Self {
        self.message.debounce = Some(pb::Debounce {
            quiet: Some(to_span(quiet)),
            max_wait: max_wait.map(to_span),
        });
        self
    }
}

impl From<NewMessage> for pb::Message {
    fn from(message: NewMessage) -> Self {
        message.message
    }
}
