//! Opening and ending sessions, one call each.
//!
//! Sessions are spread over namespaces, because a pool of each takes only so many. What it deliberately
//! does not do: wait for anything; an end without pending work is over with its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;

use super::{Outcome, Plan, crowd};
use crate::caller::Caller;
use crate::samples::{Load, closed_loop, each_once};
use crate::server::Server;

/// Sessions there is room for each second, more than are opened in one.
const OPENED_PER_SECOND: f64 = 120_000.0;
/// Sessions to end for each second of the measurement, by one caller and by many; all of them are ended.
const ENDED_PER_SECOND: [f64; 2] = [1_500.0, 15_000.0];
/// Room for at least this many.
const SESSIONS_MIN: usize = 100;

/// Measures opens on a server of its own.
pub(super) async fn open(plan: &Plan, load: &Load) -> Result<Outcome> {
    let room = sessions(load, OPENED_PER_SECOND);
    let (_server, callers) = start(plan, room).await?;
    let next = Arc::new(AtomicUsize::new(0));
    let samples = closed_loop(load, |_| {
        let callers = Arc::clone(&callers);
        let next = Arc::clone(&next);
        move || {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let caller = callers[index % callers.len()].clone();
            async move { caller.open(crowd::session(index)).await.map(drop) }
        }
    });
    Ok(samples.await?.into())
}

/// Measures ends on a server of its own, of sessions opened for it.
pub(super) async fn end(plan: &Plan, load: &Load) -> Result<Outcome> {
    let [by_one, by_many] = ENDED_PER_SECOND;
    let per_second = if load.callers == 1 { by_one } else { by_many };
    let sessions = sessions(load, per_second);
    let (_server, callers) = start(plan, sessions).await?;
    let (opened, _) = crowd::open(&callers, sessions).await?;
    let (_, samples) = each_once(
        load.callers,
        opened,
        |(caller, id): (Caller, String)| async move { caller.end(&id).await },
    )
    .await?;
    Ok(samples.into())
}

fn sessions(load: &Load, per_second: f64) -> usize {
    let seconds = (load.warm_up + load.duration).as_secs_f64();
    SESSIONS_MIN.max((per_second * seconds) as usize)
}

/// A server with room for this many sessions.
async fn start(plan: &Plan, sessions: usize) -> Result<(Server, Arc<[Caller]>)> {
    let namespaces = crowd::namespaces(sessions);
    let server = Server::sessiond(&plan.places, &namespaces).await?;
    let caller = Caller::connect(server.address()).await?;
    let callers = crowd::callers(&caller, &namespaces);
    Ok((server, callers))
}
