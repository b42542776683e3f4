//! What `sessionctl session open` and `reset` say about the new session in the same words.
//!
//! Invariant: a group has only options that mean the same for both, so that their help is the same. What
//! this deliberately does not do: fill in a request; each command has its own.

use clap::Args;
use sessiond_client::pb;

use crate::values::{self, LimitValue};

/// Where a session comes from.
#[derive(Debug, Default, Args)]
pub(super) struct OriginArgs {
    /// What opens it.
    #[arg(long)]
    pub(super) source: Option<String>,
    /// The agent it belongs to.
    #[arg(long)]
    pub(super) agent_id: Option<String>,
}

/// When a session ends by itself.
#[derive(Debug, Default, Args)]
pub(super) struct LimitArgs {
    /// End it when idle for longer: a duration or `never`.
    #[arg(long, value_name = "LIMIT")]
    pub(super) idle_timeout: Option<LimitValue>,
    /// End it when active for longer: a duration or `never`.
    #[arg(long, value_name = "LIMIT")]
    pub(super) max_lifetime: Option<LimitValue>,
    /// End it when its owner does not touch it for longer: a duration or `never`.
    #[arg(long, value_name = "LIMIT")]
    pub(super) owner_timeout: Option<LimitValue>,
}

/// How its messages are handed out.
#[derive(Debug, Default, Args)]
pub(super) struct QueueArgs {
    /// In which order to hand out messages: strict, serial or relaxed.
    #[arg(long, value_parser = values::wire_enum::<pb::Ordering>)]
    pub(super) ordering: Option<pb::Ordering>,
    /// How many messages may be in flight at once.
    #[arg(long, value_name = "MESSAGES")]
    pub(super) max_in_flight: Option<u32>,
}
