//! `sessionctl session end`: every field of the request as an option.
//!
//! Invariant: what is not given is left unset. What this deliberately does not do: check bounds.

use std::time::Duration;

use clap::{Args, ValueEnum};
use sessiond_client::pb;

use crate::args::SessionArg;
use crate::values;

/// Which session to end, and how.
#[derive(Debug, Args)]
pub(crate) struct EndArgs {
    #[command(flatten)]
    session: SessionArg,
    /// Why it ends, for example completed, failed, deleted, reset or replaced [default: completed].
    #[arg(long, value_parser = values::wire_enum::<pb::EndReason>)]
    reason: Option<pb::EndReason>,
    /// More about it, for a person.
    #[arg(long)]
    detail: Option<String>,
    /// How much it may still do: graceful, after-pending or immediate [default: graceful].
    #[arg(long, value_parser = values::wire_enum::<pb::EndMode>)]
    mode: Option<pb::EndMode>,
    /// How long it may do that.
    #[arg(long, value_name = "DURATION", value_parser = values::span)]
    grace: Option<Duration>,
    /// Delete unprocessed messages instead of keeping them.
    #[arg(long)]
    discard_pending: bool,
    /// The session under which the conversation goes on.
    #[arg(long, value_name = "SESSION_ID")]
    successor: Option<String>,
    /// Wait this long for what `--wait-for` names.
    #[arg(long, value_name = "DURATION", value_parser = values::span)]
    wait: Option<Duration>,
    /// What to wait for.
    #[arg(long, value_enum, requires = "wait")]
    wait_for: Option<WaitFor>,
    /// Makes a repeat of this command harmless for 24 h.
    #[arg(long)]
    request_id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WaitFor {
    /// The session has ended.
    Ended,
    /// It has ended and its resources are gone.
    Released,
}

impl EndArgs {
    pub(crate) fn request(&self) -> pb::EndSessionRequest {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let pending_policy = if self.discard_pending {
            pb::PendingPolicy::Discard
        } else {
            pb::PendingPolicy::Unspecified
        };
        let wait_for = match self.wait_for {
            None => pb::WaitFor::Unspecified,
            Some(WaitFor::Ended) => pb::WaitFor::Ended,
            Some(WaitFor::Released) => pb::WaitFor::Released,
        };
        pb::EndSessionRequest {
            r#ref: Some(self.session.session_ref()),
            reason: self.reason.unwrap_or_default().into(),
            detail: text(&self.detail),
            mode: self.mode.unwrap_or_default().into(),
            end_grace: self.grace.map(values::wire_span),
            pending_policy: pending_policy.into(),
            successor_id: text(&self.successor),
            wait: self.wait.map(values::wire_span),
            wait_for: wait_for.into(),
            request_id: text(&self.request_id),
        }
    }
}
