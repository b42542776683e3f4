//! `sessionctl watch`: events as they happen.
//!
//! Invariant: every matching event once and in order, across restarts of the server; what is
//! missing is said. What this deliberately does not do: remember its place; who needs that gives
//! the token which is printed at the end.

use clap::Args;
use futures_util::StreamExt as _;
use sessiond_client::{Client, EventStream, LinkState, WatchItem, pb};

use crate::event_args::{EventFilterArgs, StartArgs};
use crate::failure::Failure;
use crate::output::{Format, Output, json};
use crate::say;
use crate::values;

/// What to watch and from where.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    start: StartArgs,
    /// Bring every session that has not ended first.
    #[arg(long)]
    initial: bool,
    /// Go on with the oldest event that is kept when events are missing, instead of failing.
    #[arg(long)]
    skip_gaps: bool,
    #[command(flatten)]
    filter: EventFilterArgs,
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
        let mut watch = client.watch().filter(self.filter.filter());
        if let Some(revision) = self.start.after {
            watch = watch.after(revision);
        }
        if let Some(token) = &self.start.resume {
            watch = watch.resume_token(token);
        }
        if self.start.oldest {
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
        let missing = missing(oldest, current);
        if self.skip_gaps {
            say::line(&missing);
            return Ok(());
        }
        Err(Failure::Conflict(missing))
    }
}

/// Says that the log no longer has what was to come next.
pub(crate) fn missing(oldest: u64, current: u64) -> String {
    format!("events are missing: the server keeps revisions {oldest} to {current}")
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
