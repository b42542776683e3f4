//! What one scrape is told: everything that is counted, at one moment.
//!
//! Invariant: an engine that hangs keeps nobody from being told the rest; what only it knows is left out then. What this
//! deliberately does not do: name anything; the table of metrics does.

use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;
use sessiond_core::drain::DrainRow;
use sessiond_core::ids::Revision;
use sessiond_core::limits::SUBSCRIPTIONS_MAX;
use sessiond_core::time::WallTime;
use sessiond_proto::v1 as pb;
use tonic::Status;

use super::calls::Calls;
use super::process::Process;
use crate::grpc::context::{Context, faulted};
use crate::grpc::{stats, subscription};
use crate::transport::Counts;

/// Everything that is counted.
#[derive(Debug)]
pub(super) struct Sample {
    /// What GetStats answers.
    pub(super) stats: pb::GetStatsResponse,
    /// Every subscription, as ListSubscriptions shows it.
    pub(super) subscriptions: Vec<pb::Subscription>,
    /// The newest drain, and what came of it; none if there was never one.
    pub(super) drain: Option<DrainRow>,
    /// Whether the server is going away.
    pub(super) is_draining: bool,
    /// The oldest event that is kept.
    pub(super) oldest_event: Revision,
    /// How long the batch under way has taken.
    pub(super) batch_age: Duration,
    /// How long commits took, in seconds.
    pub(super) commit_seconds: Histogram,
    /// How many commands were decided between two of them.
    pub(super) commit_commands: Histogram,
    /// How calls were answered.
    pub(super) calls: Calls,
    /// What became of connections.
    pub(super) connections: Counts,
    /// What the process takes.
    pub(super) process: Process,
    /// When the server started.
    pub(super) start_time: WallTime,
    /// The present.
    pub(super) now: WallTime,
}

impl Sample {
    /// Asks for everything.
    pub(super) async fn take(context: &Context, calls: Calls) -> Result<Self, Status> {
        let stats = stats::stats(context).await?;
        let rows = context.rows()?;
        let (oldest_event, _) = rows.log_bounds().map_err(|fault| faulted(&fault))?;
        let drain = rows.drain().map_err(|fault| faulted(&fault))?;
        let progress = context.engine.progress();
        let all = usize::try_from(SUBSCRIPTIONS_MAX).expect("there are few");
        let mut subscriptions = Vec::new();
        for namespace in &context.namespaces {
            let found = rows.subscriptions_after(namespace, None, all);
            for row in found.map_err(|fault| faulted(&fault))? {
                let shown = subscription::shown(context, &rows, &row);
                subscriptions.push(shown.map_err(|fault| faulted(&fault))?);
            }
        }
        Ok(Self {
            stats,
            subscriptions,
            drain: drain.map(|row| DrainRow::clone(&row)),
            is_draining: context.stopping.is_draining(),
            oldest_event,
            batch_age: progress.batch_age(context.env.clock.monotonic_ms()),
            commit_seconds: progress.commit_seconds().clone(),
            commit_commands: progress.commit_commands().clone(),
            calls,
            connections: context.connections.counts(),
            process: Process::now(),
            start_time: context.identification.start_time,
            now: context.now().wall,
        })
    }
}
