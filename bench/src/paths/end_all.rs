//! Ending very many live sessions at once, each end durable.
//!
//! One EndSessions for each namespace, all namespaces at once: a call ends what lives in its namespace. The
//! time is from the first call to the last answer. What it deliberately does not do: watch the events.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;

use super::{Outcome, Plan, crowd};
use crate::caller::Caller;
use crate::server::Server;

/// Measures it on a server of its own.
pub(super) async fn measure(plan: &Plan) -> Result<Outcome> {
    let sessions = plan.scale.sessions_to_end;
    let namespaces = crowd::namespaces(sessions);
    let server = Server::sessiond(&plan.places, &namespaces).await?;
    let caller = Caller::connect(server.address()).await?;
    let callers = crowd::callers(&caller, &namespaces);
    crowd::open(&callers, sessions).await?;
    let begun = Instant::now();
    let mut calls = JoinSet::new();
    for caller in callers.iter() {
        let caller = caller.clone();
        calls.spawn(async move { caller.end_all().await });
    }
    let mut ended = 0;
    while let Some(call) = calls.join_next().await {
        ended += call.context("a caller died")??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(
        ended == sessions,
        "{ended} of {sessions} sessions were ended"
    );
    Ok(Outcome::facts(vec![
        ("sessions", sessions as f64),
        ("calls", namespaces.len() as f64),
        ("all_ended_s", seconds),
        ("per_100k_sessions_s", seconds * 100_000.0 / sessions as f64),
    ]))
}
