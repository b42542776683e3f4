//! GetStats: what is counted, and whether the work gets on.
//!
//! Counters are of the newest commit; what leases are silent for is the engine's to say, since renewals and progress are in
//! its memory. Invariant: an engine that hangs keeps nobody from being told the rest. What this deliberately does not do:
//! judge; whoever asks knows how long its work may take.

use sessiond_core::command::Command;
use sessiond_core::ids::SessionId;
use sessiond_core::reply::{LeaseProgress, Reply};
use sessiond_core::rows::{Row, RowKey};
use sessiond_core::time::WallTime;
use sessiond_proto::v1 as pb;
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::Rows;
use tonic::Status;

use super::context::{Context, faulted, session_id};
use crate::limits::LEASE_PROGRESS_WITHIN;
use crate::wire::show::server::{self, Counts, WorkProgress};

/// What there is to count.
pub(crate) async fn stats(context: &Context) -> Result<pb::GetStatsResponse, Status> {
    let leases = lease_progress(context).await;
    let rows = context.rows()?;
    let progress = context.engine.progress();
    let counts = Counts {
        store: rows.counters().map_err(|fault| faulted(&fault))?,
        workers_connected: u32::try_from(context.dispatcher.open_streams()).unwrap_or(u32::MAX),
        uptime: context.uptime(),
        engine: pb::EngineStats {
            commands: progress.commands(),
            commits: progress.commits(),
            events: progress.events(),
        },
        cleanup: pb::CleanupStats {
            sessions_created: progress.sessions_created(),
            sessions_cleaned: progress.sessions_cleaned(),
            runs: progress.cleanup_runs(),
            errors: progress.cleanup_errors(),
            repairs: progress.repairs(),
        },
        work: work(context, &rows, leases).map_err(|fault| faulted(&fault))?,
    };
    Ok(server::stats(counts))
}

fn work(
    context: &Context,
    rows: &Rows,
    leases: Option<LeaseProgress>,
) -> Result<WorkProgress, Fault> {
    let slowest = match leases.and_then(|leases| leases.slowest) {
        Some(slowest) => session_id(rows, slowest.session)?,
        None => None,
    };
    let progress = context.engine.progress();
    Ok(WorkProgress {
        unserved: unserved(context, rows)?,
        acked: progress.acked(),
        last_ack: progress.last_ack(),
        leases,
        slowest,
    })
}

/// What leases are silent for; nothing if the engine is too busy to say, which is when everything else is asked for most.
async fn lease_progress(context: &Context) -> Option<LeaseProgress> {
    let asked = context.engine.ask(Command::LeaseProgress);
    let answer = tokio::time::timeout(LEASE_PROGRESS_WITHIN, asked).await;
    match answer.ok()?.ok()?.outcome {
        Ok(Reply::LeaseProgress(progress)) => Some(progress),
        other => panic!("the progress of leases is answered with it: {other:?}"),
    }
}

/// The oldest message that no worker takes, of all namespaces: its session, and since when it waits.
fn unserved(context: &Context, rows: &Rows) -> Result<Option<(SessionId, WallTime)>, Fault> {
    let mut oldest = None;
    for namespace in &context.namespaces {
        let first = rows.unserved_after(namespace, None, 1)?;
        oldest = oldest.into_iter().chain(first).min();
    }
    let Some((_, queue)) = oldest else {
        return Ok(None);
    };
    let Some(Row::Queue(queue)) = rows.row(&RowKey::Queue(queue))? else {
        return Ok(None);
    };
    let session = session_id(rows, queue.owner)?;
    Ok(session.zip(queue.oldest.map(|oldest| oldest.time)))
}
