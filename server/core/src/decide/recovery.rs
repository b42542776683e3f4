//! Recovery: what a start makes of a server that died, where sessions are not to outlive one.
//!
//! Invariant: whether the last server went in order is on record, in the counters, so that sessions it kept on purpose are told
//! from those it left. What this deliberately does not do: finish a drain, which has its own record, or find the sessions.

use super::{finish, slot};
use crate::command::recovery::RecoveryCommand;
use crate::draft::{Draft, Stop};
use crate::event::{Actor, ActorKind};
use crate::ids::SessionNo;
use crate::reply::Reply;
use crate::session::{EndIntent, EndReason, Lifecycle};

/// Takes a step of a start.
pub(super) fn recovery(draft: &mut Draft<'_>, command: RecoveryCommand) -> Result<Reply, Stop> {
    match command {
        RecoveryCommand::Crashed(session) => crashed(draft, session)?,
        RecoveryCommand::Serve => {
            let mut counters = draft.counters()?;
            if !counters.serving {
                counters.serving = true;
                draft.put_counters(counters);
            }
        }
    }
    Ok(Reply::Done)
}

fn crashed(draft: &mut Draft<'_>, no: SessionNo) -> Result<(), Stop> {
    let Some(session) = draft.session_if(no)? else {
        return Ok(());
    };
    match session.lifecycle {
        Lifecycle::Queued(_) | Lifecycle::Active => {}
        // Its end is on record, and has its reason.
        Lifecycle::Draining(_) | Lifecycle::Ended(_) => return Ok(()),
    }
    drop(session);
    let intent = EndIntent {
        actor: Actor::unnamed(ActorKind::Recovery),
        ..slot::reaped(draft, EndReason::Crashed, String::new())
    };
    finish::finish(draft, no, &intent)
}
