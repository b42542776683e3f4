//! Ending very many live sessions at once, each end durable.
//!
//! By calls: there is no command yet that ends all sessions of a server. The time is from the first call
//! to the last answer. What it deliberately does not do: watch the events.

use anyhow::Result;

use super::{Outcome, Plan, crowd};
use crate::caller::Caller;
use crate::samples::each_once;
use crate::server::Server;

/// Calls under way: as many as one connection takes.
const CALLERS: usize = 256;

/// Measures it on a server of its own.
pub(super) async fn measure(plan: &Plan) -> Result<Outcome> {
    let sessions = plan.scale.sessions_to_end;
    let namespaces = crowd::namespaces(sessions);
    let server = Server::sessiond(&plan.places, &namespaces).await?;
    let caller = Caller::connect(server.address()).await?;
    let callers = crowd::callers(&caller, &namespaces);
    let (opened, _) = crowd::open(&callers, sessions).await?;
    let (_, samples) = each_once(
        CALLERS,
        opened,
        |(caller, id): (Caller, String)| async move { caller.end(&id).await },
    )
    .await?;
    let seconds = samples.elapsed.as_secs_f64();
    Ok(Outcome {
        samples: Some(samples),
        facts: vec![
            ("sessions", sessions as f64),
            ("all_ended_s", seconds),
            ("per_100k_sessions_s", seconds * 100_000.0 / sessions as f64),
        ],
    })
}
