//! Revoke: an operator takes a session from the worker that holds it.
//!
//! The lease ends at once and what it had in flight goes back, attempts counted, for whoever takes the
//! session next; another worker is preferred. It says nothing of the worker's health, so no failure is
//! counted.

use super::returned::{Attempt, Ended, Return};
use super::{find, finish, hand_out, release, request};
use crate::command::Revoke;
use crate::draft::events::Particulars;
use crate::draft::{Draft, Stop};
use crate::event::EventKind;
use crate::ids::SessionNo;
use crate::lease::{LeaseRow, LeaseView};
use crate::rejection::Rejection;
use crate::reply::{Frame, LeaseLostReason, Reply};

/// Ends the lease of a session, if it is the one that is meant.
pub(super) fn revoke(draft: &mut Draft<'_>, asked: &Revoke) -> Result<Reply, Stop> {
    let tag = asked.request.as_ref();
    if let Some(row) = request::earlier(draft, &asked.namespace, tag)? {
        return answer(draft, row.subject, None, true);
    }
    let session = find::holdable(draft, &asked.namespace, &asked.session)?;
    if asked.epoch.is_some() && asked.epoch != session.lease {
        return Err(Rejection::LeaseFenced {
            session: session.id.clone(),
            current: session.lease,
        }
        .into());
    }
    let revoked = match session.lease {
        Some(epoch) => {
            let shown = draft.lease_view(epoch)?;
            let lease = draft.lease(epoch)?;
            take(draft, asked, &lease)?;
            Some(shown)
        }
        None => None,
    };
    let any = revoked.is_some();
    request::record(draft, &asked.namespace, tag, session.no, any)?;
    answer(draft, session.no, revoked, false)
}

fn take(draft: &mut Draft<'_>, asked: &Revoke, lease: &LeaseRow) -> Result<(), Stop> {
    let session = draft.session(lease.session)?;
    let holder = (lease.namespace.clone(), lease.instance.clone());
    draft.push_to(
        &holder,
        Frame::LeaseLost {
            session: session.id.clone(),
            epoch: lease.epoch,
            reason: LeaseLostReason::Revoked,
            successor: None,
        },
    );
    let how = Return {
        attempt: Attempt::Counts,
        pause: None,
        ended: Ended::Lapsed,
        error: None,
        actor: asked.actor.clone(),
    };
    release::give_back(draft, lease, &how)?;
    let mut said = Particulars::attribute("instance_id", lease.instance.as_str());
    said.attributes
        .insert("reason".to_owned(), "revoked".to_owned());
    draft.event(
        EventKind::WorkerDetached,
        asked.actor.clone(),
        lease.session,
        said,
    )?;
    finish::if_drained(draft, lease.session)?;
    hand_out::offer_beside(draft, lease.queue, Some(&holder))
}

fn answer(
    draft: &Draft<'_>,
    no: SessionNo,
    lease: Option<LeaseView>,
    duplicate: bool,
) -> Result<Reply, Stop> {
    Ok(Reply::Revoked {
        session: Box::new(draft.session_view(no)?),
        lease,
        duplicate,
    })
}
