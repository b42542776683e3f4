//! `sessionctl session`: what can be done with one session, or with many at once.
//!
//! Invariant: one call of the server for each command, but for `wait`, which ends nothing, and for those about many
//! sessions, with one for each page. What this deliberately does not do: decide what an unset field means; the server does.

mod end;
mod explain;
mod export;
mod import;
mod open;
mod purge;
mod request;
mod reset;
mod reset_circuit;
mod sweep;
mod terms;
mod wait;

use clap::{Args, Subcommand};
use futures_util::TryStreamExt as _;
use sessiond_client::{Client, pb};

use self::end::EndArgs;
use self::export::ExportArgs;
use self::import::ImportArgs;
use self::open::OpenArgs;
use self::purge::PurgeArgs;
use self::request::{BeginRequestArgs, EndRequestArgs};
use self::reset::ResetArgs;
use self::reset_circuit::ResetCircuitArgs;
use self::sweep::SweepArgs;
use self::wait::WaitArgs;
use crate::args::{FilterArgs, SessionArg};
use crate::failure::Failure;
use crate::output::{Output, age, json};
use crate::values;

/// How many sessions a page of a listing has.
const PAGE_SIZE: u32 = 500;

#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// Opens a session, or returns the live one of the key.
    Open(Box<OpenArgs>),
    /// Shows one session; a key falls back to the newest one that has ended.
    Get(SessionArg),
    /// Lists sessions, newest first.
    Ls(ListArgs),
    /// Says what holds a session, what becomes of it and when, and why its pending work does not move.
    Explain(SessionArg),
    /// Says that a session is in use for a while: it is not idle, and its end waits.
    BeginRequest(BeginRequestArgs),
    /// Says that a request is over. A repeat is harmless.
    EndRequest(EndRequestArgs),
    /// Ends a session, or many at once. The first reason given holds.
    End(Box<EndArgs>),
    /// Ends a live session and opens its successor in one step: the same key and slot, by default the
    /// same messages.
    Reset(Box<ResetArgs>),
    /// Accepts messages of a kind again that failed too often.
    ResetCircuit(ResetCircuitArgs),
    /// Ends the live sessions that have passed a limit: their own, or one given here.
    Sweep(SweepArgs),
    /// Deletes ended sessions for good, with their messages and dead letters.
    Purge(Box<PurgeArgs>),
    /// Writes everything on record of a session into a file: itself, its unsettled messages and dead letters with what they
    /// carry, and its events.
    Export(ExportArgs),
    /// Opens a new session from a file that `session export` made, and enqueues its unsettled messages.
    Import(ImportArgs),
    /// Waits until a session has reached a state.
    Wait(WaitArgs),
}

/// Which sessions to list.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Sessions in this state: queued, active, draining or ended. Repeat it to ask for several.
    #[arg(long = "state", value_parser = values::wire_enum::<pb::SessionState>)]
    states: Vec<pb::SessionState>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Sessions that ended after this revision.
    #[arg(long, value_name = "REVISION")]
    ended_after: Option<u64>,
}

// === impl SessionCommand ===

impl SessionCommand {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::Open(args) => {
                let answer = client.open(args.request()).await?;
                output.answer(&answer, answer.session.as_slice())
            }
            Self::Get(session) => {
                let session = client.get(session.session_ref()).await?;
                show(&session, output)
            }
            Self::Ls(args) => args.run(client, output).await,
            Self::Explain(session) => explain::run(&session, client, output).await,
            Self::BeginRequest(args) => args.run(client, output).await,
            Self::EndRequest(args) => args.run(client, output).await,
            Self::End(args) => args.run(client, output).await,
            Self::Reset(args) => args.run(client, output).await,
            Self::ResetCircuit(args) => args.run(client, output).await,
            Self::Sweep(args) => args.run(client, output).await,
            Self::Purge(args) => args.run(client, output).await,
            Self::Export(args) => args.run(client, output).await,
            Self::Import(args) => args.run(client, output).await,
            Self::Wait(args) => show(&args.run(client).await?, output),
        }
    }
}

// === impl ListArgs ===

impl ListArgs {
    async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let request = pb::ListSessionsRequest {
            filter: Some(pb::SessionFilter {
                states: self.states.iter().map(|&state| state.into()).collect(),
                ended_after_revision: self.ended_after,
                ..self.filter.filter()
            }),
            page_size: PAGE_SIZE,
            page_token: String::new(),
        };
        if output.is_one_by_one() {
            let mut sessions = std::pin::pin!(client.list_all(request));
            while let Some(session) = sessions.try_next().await? {
                output.thing(&session)?;
            }
            return Ok(());
        }
        let answer = all_pages(client, request).await?;
        output.answer(&answer, &answer.sessions)
    }
}

/// All pages as one, with the place from which a watch misses nothing.
async fn all_pages(
    client: &Client,
    mut request: pb::ListSessionsRequest,
) -> Result<pb::ListSessionsResponse, Failure> {
    let mut whole = client.list(request.clone()).await?;
    while !whole.next_page_token.is_empty() {
        request.page_token = std::mem::take(&mut whole.next_page_token);
        let page = client.list(request.clone()).await?;
        whole.sessions.extend(page.sessions);
        whole.next_page_token = page.next_page_token;
    }
    Ok(whole)
}

fn show(session: &pb::Session, output: &mut Output) -> Result<(), Failure> {
    let answer = pb::GetSessionResponse {
        session: Some(session.clone()),
    };
    output.fields(
        &answer,
        &session.session_id,
        || json::line(session),
        || fields(session),
    )
}

/// How many requests are open, if any are.
fn in_use(requests: u32) -> String {
    match requests {
        0 => String::new(),
        open => format!("{open} open"),
    }
}

/// What it has outside that is not released, if anything.
fn resources(session: &pb::Session) -> String {
    let (count, lingering) = (session.unreleased_resources, session.lingering_resources);
    match (count, lingering) {
        (0, _) => String::new(),
        (count, 0) => format!("{count} not released"),
        (count, lingering) => format!("{count} not released, {lingering} of them lingering"),
    }
}

/// The kinds of message that failed lately: state, failures, and when the next one is let through.
fn circuits(session: &pb::Session, now: jiff::Timestamp) -> String {
    let shown = session.circuits.iter().map(|circuit| {
        let state = values::enum_name::<pb::CircuitState>(circuit.state);
        let retry = match circuit.retry_time {
            Some(_) => format!(", retry in {}", age::until(circuit.retry_time, now)),
            None => String::new(),
        };
        format!(
            "{} {state} ({} failures{retry})",
            circuit.kind, circuit.failures
        )
    });
    shown.collect::<Vec<String>>().join(", ")
}

/// What a session waits for; nothing if it does not.
fn waiting_for(session: &pb::Session) -> String {
    match session.waiting_for() {
        pb::WaitingFor::Unspecified => String::new(),
        waiting_for @ (pb::WaitingFor::Slot | pb::WaitingFor::PredecessorResources) => {
            values::enum_name::<pb::WaitingFor>(waiting_for.into())
        }
    }
}

/// Names and values, as they are given.
fn labels(session: &pb::Session) -> String {
    let labels = session.labels.iter();
    let pairs = labels.map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<String>>().join(" ")
}

/// What a person wants to know about one session. What is unset is left out.
fn fields(session: &pb::Session) -> Vec<[String; 2]> {
    let now = jiff::Timestamp::now();
    let counts = session.counts.unwrap_or_default();
    let usage = session.usage.unwrap_or_default();
    let labels = labels(session);
    let worker = session
        .lease
        .as_ref()
        .map(|lease| format!("{} (epoch {})", lease.worker, lease.epoch));
    let requests = in_use(session.active_requests);
    let end = session.end.as_ref().map(|end| {
        let reason = values::enum_name::<pb::EndReason>(end.reason);
        format!("{reason} {}", end.detail).trim_end().to_owned()
    });
    let pairs = [
        ("key", session.key.clone()),
        ("session", session.session_id.clone()),
        (
            "state",
            values::enum_name::<pb::SessionState>(session.state),
        ),
        ("namespace", session.namespace.clone()),
        ("pool", session.pool.clone()),
        ("waits for", waiting_for(session)),
        ("project", session.project.clone()),
        ("source", session.source.clone()),
        ("agent", session.agent_id.clone()),
        ("labels", labels),
        (
            "prompt",
            format!("{} {}", session.prompt_number, session.prompt),
        ),
        ("transcript", session.transcript_path.clone()),
        ("age", age::ago(session.create_time, now)),
        ("idle", age::ago(session.last_activity_time, now)),
        ("expires in", age::until(session.expire_time, now)),
        (
            "messages",
            format!(
                "{} enqueued, {} pending, {} in flight, {} processed, {} superseded, {} dead",
                counts.enqueued,
                counts.pending,
                counts.in_flight,
                counts.processed,
                counts.superseded,
                counts.dead_lettered
            ),
        ),
        ("requests", requests),
        ("resources", resources(session)),
        (
            "tokens",
            format!("{} in, {} out", usage.input_tokens, usage.output_tokens),
        ),
        ("worker", worker.unwrap_or_default()),
        ("circuits", circuits(session, now)),
        ("end", end.unwrap_or_default()),
        ("predecessor", session.predecessor_id.clone()),
        ("successor", session.successor_id.clone()),
        ("parent", session.parent_session_id.clone()),
        ("revision", session.revision.to_string()),
    ];
    pairs
        .into_iter()
        .filter(|(_, value)| !value.is_empty() && value != "-")
        .map(|(name, value)| [name.to_owned(), value])
        .collect()
}
