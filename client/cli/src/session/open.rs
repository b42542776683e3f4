//! `sessionctl session open`: every field of the request as an option.
//!
//! Invariant: what is not given is left unset. What this deliberately does not do: check bounds.

use std::time::Duration;

use clap::Args;
use sessiond_client::pb;

use super::terms::{LimitArgs, OriginArgs, QueueArgs};
use crate::values::{self, LimitValue, Pair};

/// What to open.
#[derive(Debug, Default, Args)]
pub(crate) struct OpenArgs {
    /// The stable name of the conversation. Without it nobody can find the session again by key.
    #[arg(long)]
    key: Option<String>,
    /// The id of the new session [default: the server makes one].
    #[arg(long, value_name = "SESSION_ID")]
    id: Option<String>,
    /// The pool to count against.
    #[arg(long)]
    pool: Option<String>,
    /// The project it works in.
    #[arg(long)]
    project: Option<String>,
    #[command(flatten)]
    origin: OriginArgs,
    /// A label; repeat it for several.
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<Pair>,
    /// The user's prompt.
    #[arg(long)]
    prompt: Option<String>,
    /// The number of the prompt [default: one more than the last].
    #[arg(long)]
    prompt_number: Option<u32>,
    /// The transcript of the conversation.
    #[arg(long)]
    transcript_path: Option<String>,
    #[command(flatten)]
    limits: LimitArgs,
    /// What to do when the key has a live session: use-existing, replace or fail.
    #[arg(long, value_name = "POLICY", value_parser = values::wire_enum::<pb::ConflictPolicy>)]
    on_conflict: Option<pb::ConflictPolicy>,
    /// Accept to wait this long for a slot of a full pool.
    #[arg(long, value_name = "DURATION", value_parser = values::span)]
    wait_for_slot: Option<Duration>,
    #[command(flatten)]
    queue: QueueArgs,
    /// The session on whose behalf this one is opened.
    #[arg(long, value_name = "SESSION_ID")]
    parent: Option<String>,
    /// Makes a repeat of this command harmless for 24 h.
    #[arg(long)]
    request_id: Option<String>,
}

impl OpenArgs {
    pub(crate) fn request(&self) -> pb::OpenSessionRequest {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let limit = |value: Option<LimitValue>| value.map(pb::Limit::from);
        pb::OpenSessionRequest {
            key: text(&self.key),
            session_id: text(&self.id),
            pool: text(&self.pool),
            project: text(&self.project),
            source: text(&self.origin.source),
            agent_id: text(&self.origin.agent_id),
            labels: values::map(&self.labels),
            prompt: text(&self.prompt),
            prompt_number: self.prompt_number,
            transcript_path: text(&self.transcript_path),
            idle_timeout: limit(self.limits.idle_timeout),
            max_lifetime: limit(self.limits.max_lifetime),
            owner_timeout: limit(self.limits.owner_timeout),
            conflict_policy: self.on_conflict.unwrap_or_default().into(),
            wait_for_slot: self.wait_for_slot.map(values::wire_span),
            ordering: self.queue.ordering.unwrap_or_default().into(),
            max_in_flight: self.queue.max_in_flight,
            parent_session_id: text(&self.parent),
            request_id: text(&self.request_id),
        }
    }
}
