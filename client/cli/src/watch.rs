//! `sessionctl watch`: events as they happen.
//!
//! Invariant: every matching event once and in order, across restarts of the server; what is
//! missing is said. What this deliberately does not do: remember its place; who needs that gives
//! the token which is printed at the end.

use clap::Args;
use futures_util::StreamExt as _;
use sessiond_client::{Client, EventStream, LinkState, WatchItem, pb};

use crate::failure::Failure;
use crate::output::{Format, Output, json};
use crate::say;
use crate::values::{self, Pair};

/// What to watch and from where.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Start after this revision; 0 is the first event [default: from now on].
    #[arg(long, value_name = "REVISION", group = "start")]
    after: Option<u64>,
    /// Start where an earlier watch or list left off.
    #[arg(long, value_name = "TOKEN", group = "start")]
    resume: Option<String>,
    /// Start with the oldest event that is kept.
    #[arg(long, group = "start")]
    oldest: bool,
    /// Bring every session that has not ended first.
    #[arg(long)]
    initial: bool,
    /// Go on with the oldest event that is kept when events are missing, instead of failing.
    #[arg(long)]
    skip_gaps: bool,
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
    /// Events of all namespaces. For operators.
    #[arg(long)]
    all_namespaces: bool,
    /// Stop after this many events.
    #[arg(long, value_name = "EVENTS")]
    count: Option<u64>,
}

// === impl WatchArgs ===

impl WatchArgs {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        if self.count == Some(0) {
            return Ok(());
        }
        let mut events = self.start(client);
        let result = self.print(&mut events, output).await;
        if let Some(token) = events.resume_token() {
            say::line(&format!("to go on from here: --resume {token}"));
        }
        result
    }

    fn start(&self, client: &Client) -> EventStream {
        let filter = pb::EventFilter {
            types: self.types.iter().map(|&kind| kind.into()).collect(),
            session_ids: self.session_ids.clone(),
            key_glob: self.key_glob.clone().unwrap_or_default(),
            labels: values::map(&self.labels),
            project: self.project.clone().unwrap_or_default(),
        };
        let mut watch = client.watch().filter(filter);
        if let Some(revision) = self.after {
            watch = watch.after(revision);
        }
        if let Some(token) = &self.resume {
            watch = watch.resume_token(token);
        }
        if self.oldest {
            watch = watch.oldest();
        }
        if self.initial {
            watch = watch.initial_state();
        }
        if self.skip_gaps {
            watch = watch.continue_after_gap();
        }
        if self.all_namespaces {
            watch = watch.all_namespaces();
        }
        watch.start()
    }

    async fn print(&self, events: &mut EventStream, output: &mut Output) -> Result<(), Failure> {
        let mut link = events.link();
        let mut printed = 0;
        loop {
            // Either arm may win: notices and events go to different places.
            let item = tokio::select! {
                item = events.next() => item,
                state = link.changed(), if link.state() != LinkState::Closed => {
                    notice(state);
                    continue;
                }
            };
            let Some(item) = item else {
                return Ok(());
            };
            match item? {
                WatchItem::Initial(session) => initial(&session, output)?,
                WatchItem::Event(event) => {
                    output.thing(&*event)?;
                    printed += 1;
                    if self.count.is_some_and(|count| printed >= count) {
                        return Ok(());
                    }
                }
                WatchItem::Gap { oldest, current } => self.gap(oldest, current)?,
                WatchItem::Started(started) => say::line(&format!(
                    "watching log {} at revision {}",
                    started.log_id, started.current_revision
                )),
                WatchItem::Reconnected(started) => {
                    say::line(&format!(
                        "reconnected at revision {}",
                        started.current_revision
                    ));
                }
                WatchItem::InitialEnd => say::line("that is every session; events follow"),
                WatchItem::Bookmark(_) => {}
            }
        }
    }

    fn gap(&self, oldest: u64, current: u64) -> Result<(), Failure> {
        let missing =
            format!("events are missing: the server keeps revisions {oldest} to {current}");
        if self.skip_gaps {
            say::line(&missing);
            return Ok(());
        }
        Err(Failure::Conflict(missing))
    }
}

/// A session of the initial state, told apart from events by the frame it came in.
fn initial(session: &pb::Session, output: &mut Output) -> Result<(), Failure> {
    let frame = pb::WatchSessionEventsResponse {
        frame: Some(pb::watch_session_events_response::Frame::Initial(
            session.clone(),
        )),
    };
    match output.format() {
        Format::Json | Format::Jsonl => output.write(&json::line(&frame)),
        Format::Table => {
            let state = values::enum_name::<pb::SessionState>(session.state);
            let (key, id) = (&session.key, &session.session_id);
            let cells = ["-", "(initial)", key, id, &state, "-", "-"];
            output.line::<pb::SessionEvent>(&cells)
        }
    }
}

fn notice(state: LinkState) {
    match state {
        LinkState::Reconnecting { attempt: 1 } => say::line("connection lost, reconnecting"),
        LinkState::Connecting
        | LinkState::Connected
        | LinkState::Reconnecting { .. }
        | LinkState::Closed => {}
    }
}
