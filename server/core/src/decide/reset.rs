//! Reset: a live session ends and a new one goes on in its place, in one commit and in constant time.
//!
//! The successor takes the key and the slot, so that neither another caller nor a full pool can come between, and by
//! CARRY the queue. What callers say about a session goes over unless they say it anew; what belongs to the conversation
//! that is over does not: its prompt and their count, its transcript, its usage, its volatile attributes.

use super::finish::Succession;
use super::{find, open, request};
use crate::command::{ConflictPolicy, Open, Reset, TimeoutOverrides};
use crate::draft::{Draft, Stop};
use crate::ids::SessionNo;
use crate::rejection::Rejection;
use crate::reply::Reply;
use crate::session::{Profile, SessionRow};

/// Resets a session.
pub(super) fn reset(draft: &mut Draft<'_>, reset: &Reset) -> Result<Reply, Stop> {
    if let Some(row) = request::earlier(draft, &reset.namespace, reset.request.as_ref())? {
        return answer(draft, row.subject, true);
    }
    let old = find::live(draft, &reset.namespace, &reset.session)?;
    let current = old.etag();
    if reset.etag.as_ref().is_some_and(|asked| *asked != current) {
        return Err(Rejection::EtagMismatch { current }.into());
    }
    let succession = Succession {
        old: &old,
        reason: reset.reason,
        detail: &reset.detail,
        carry: reset.carry,
    };
    let successor = open::create(draft, &opening(&old, reset), Some(&succession))?;
    request::record(
        draft,
        &reset.namespace,
        reset.request.as_ref(),
        successor,
        false,
    )?;
    answer(draft, successor, false)
}

/// How the successor is opened: as the session was, but for what the caller says anew.
fn opening(old: &SessionRow, reset: &Reset) -> Open {
    let limits = reset.timeouts;
    Open {
        namespace: old.namespace.clone(),
        key: old.key.clone(),
        id: reset.id.clone(),
        // Unset takes that of the session which gives way.
        pool: None,
        profile: profile(&old.profile, &reset.profile),
        prompt_number: reset.prompt_number,
        timeouts: TimeoutOverrides {
            idle: limits.idle.or(Some(old.timeouts.idle)),
            lifetime: limits.lifetime.or(Some(old.timeouts.lifetime)),
            owner: limits.owner.or(Some(old.timeouts.owner)),
        },
        conflict: ConflictPolicy::Replace,
        ordering: reset.ordering.or(Some(old.ordering)),
        max_in_flight: reset.max_in_flight.or(Some(old.max_in_flight)),
        parent: reset.parent.clone().or_else(|| old.parent.clone()),
        wait: None,
        request: None,
        actor: reset.actor.clone(),
    }
}

fn profile(old: &Profile, new: &Profile) -> Profile {
    let text = |old: &String, new: &String| if new.is_empty() { old } else { new }.clone();
    Profile {
        project: text(&old.project, &new.project),
        source: text(&old.source, &new.source),
        agent_id: text(&old.agent_id, &new.agent_id),
        labels: if new.labels.is_empty() {
            old.labels.clone()
        } else {
            new.labels.clone()
        },
        prompt: new.prompt.clone(),
        transcript_path: new.transcript_path.clone(),
    }
}

fn answer(draft: &Draft<'_>, no: SessionNo, duplicate: bool) -> Result<Reply, Stop> {
    let successor = draft.session_view(no)?;
    let namespace = &successor.session.namespace;
    let before = match &successor.session.predecessor {
        Some(id) => draft.session_id(namespace, id)?,
        None => None,
    };
    let ended = match before {
        Some(no) => Some(Box::new(draft.session_view(no)?)),
        None => None,
    };
    Ok(Reply::Reset {
        ended,
        successor: Box::new(successor),
        duplicate,
    })
}
