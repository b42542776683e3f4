//! ListPools: how full each pool of a namespace is, and who waits.
//!
//! Counts are of one snapshot; how many sessions workers hold is asked of the engine right before, which alone knows.

use std::collections::{BTreeMap, BTreeSet};

use sessiond_core::command::Command;
use sessiond_core::ids::{Namespace, PoolName};
use sessiond_core::reply::Reply;
use sessiond_core::rows::{PoolRow, Row, RowKey};
use sessiond_core::session::SessionRow;
use sessiond_proto::v1 as pb;
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::Rows;
use tonic::Status;

use super::context::{Context, faulted};
use crate::wire::show;

/// Answers ListPools.
pub(super) async fn list(
    context: &Context,
    namespace: &Namespace,
) -> Result<pb::ListPoolsResponse, Status> {
    let command = Command::Attached {
        namespace: namespace.clone(),
    };
    let (_, reply) = context.ask(command).await?;
    let Reply::Attached(attached) = reply else {
        panic!("what is attached is answered with counts: {reply:?}");
    };
    let attached: BTreeMap<PoolName, u64> = attached.into_iter().collect();
    let rows = context.rows()?;
    let pools = shown(context, &rows, namespace, &attached);
    Ok(pb::ListPoolsResponse {
        pools: pools.map_err(|fault| faulted(&fault))?,
    })
}

fn shown(
    context: &Context,
    rows: &Rows,
    namespace: &Namespace,
    attached: &BTreeMap<PoolName, u64>,
) -> Result<Vec<pb::PoolInfo>, Fault> {
    let policy = &context.policy;
    let counted: BTreeMap<PoolName, PoolRow> = rows.pools(namespace)?.into_iter().collect();
    let inhabited = counted
        .iter()
        .filter(|(_, row)| row.live + row.queued > 0)
        .map(|(pool, _)| pool);
    let names: BTreeSet<&PoolName> = policy.pools.keys().chain(inhabited).collect();
    let mut pools = Vec::with_capacity(names.len());
    for pool in names {
        let next = next_in_line(rows, namespace, pool)?;
        pools.push(show::pool::pool(&show::pool::PoolFacts {
            pool,
            policy: policy.pool(pool),
            configured: policy.pools.contains_key(pool),
            row: counted.get(pool).copied().unwrap_or_default(),
            attached: attached.get(pool).copied().unwrap_or_default(),
            next: next.as_deref(),
        }));
    }
    Ok(pools)
}

fn next_in_line(
    rows: &Rows,
    namespace: &Namespace,
    pool: &PoolName,
) -> Result<Option<std::sync::Arc<SessionRow>>, Fault> {
    let Some(no) = rows.waiting(namespace, pool, 1)?.first().copied() else {
        return Ok(None);
    };
    match rows.row(&RowKey::Session(no))? {
        Some(Row::Session(session)) => Ok(Some(session)),
        Some(_) | None => Ok(None),
    }
}
