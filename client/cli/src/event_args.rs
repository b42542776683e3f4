//! Which events are meant and where in the log to begin, as options that several commands take.
//!
//! Invariant: one place is named in one way; what is not given is left unset. What this deliberately does not do: check
//! bounds, which the server names better.

use clap::Args;
use sessiond_client::pb;
use sessiond_client::pb::event_start::Start;

use crate::values::{self, Pair};

/// Which events.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct EventFilterArgs {
    /// Events of this type, for example session-end. Repeat it to ask for several.
    #[arg(long = "type", value_name = "TYPE", value_parser = values::wire_enum::<pb::EventType>)]
    types: Vec<pb::EventType>,
    /// Events of the session with this id. Repeat it to ask for several.
    #[arg(long = "id", value_name = "SESSION_ID")]
    session_ids: Vec<String>,
    /// Events of sessions whose key matches, with `*` and `?`.
    #[arg(long, value_name = "PATTERN")]
    key_glob: Option<String>,
    /// Events of sessions with this label. Repeat it to ask for several.
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<Pair>,
    /// Events of sessions of this project.
    #[arg(long)]
    project: Option<String>,
}

/// Where in the log to begin.
#[derive(Clone, Debug, Default, Args)]
#[group(id = "start", multiple = false)]
pub(crate) struct StartArgs {
    /// Start after this revision; 0 is the first event [default: from now on].
    #[arg(long, value_name = "REVISION")]
    pub(crate) after: Option<u64>,
    /// Start where an earlier watch or list left off.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) resume: Option<String>,
    /// Start with the oldest event that is kept.
    #[arg(long)]
    pub(crate) oldest: bool,
}

// === impl EventFilterArgs ===

impl EventFilterArgs {
    pub(crate) fn filter(&self) -> pb::EventFilter {
        pb::EventFilter {
            types: self.types.iter().map(|&kind| kind.into()).collect(),
            session_ids: self.session_ids.clone(),
            key_glob: self.key_glob.clone().unwrap_or_default(),
            labels: values::map(&self.labels),
            project: self.project.clone().unwrap_or_default(),
        }
    }
}

// === impl StartArgs ===

impl StartArgs {
    /// The place; none when none is given.
    pub(crate) fn start(&self) -> Option<pb::EventStart> {
        let start = match self {
            Self { oldest: true, .. } => Start::Oldest(true),
            Self {
                after: Some(revision),
                ..
            } => Start::AfterRevision(*revision),
            Self {
                resume: Some(token),
                ..
            } => Start::ResumeToken(token.clone()),
            Self { .. } => return None,
        };
        Some(pb::EventStart { start: Some(start) })
    }
}
