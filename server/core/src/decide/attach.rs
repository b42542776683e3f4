//! Attach: a worker's stream takes a session, asked for by it or assigned to it.

use super::acquire::{self, Taker};
use super::{attached, find, hand_out, restart_guard};
use crate::draft::{Draft, Stop};
use crate::ids::SessionRef;
use crate::lease::LeaseMode;
use crate::limits::WINDOW_SESSIONS_MAX;
use crate::presence::{InstanceKey, Intent};
use crate::rejection::Rejection;
use crate::reply::Frame;
use crate::session::SessionRow;

/// Answers an attach frame: ATTACHED and the first deliveries, or ATTACH_FAILED. A worker that said
/// goodbye is refused whatever it asks for: a lease would be served by nobody until it lapses.
pub(super) fn attach(
    draft: &mut Draft<'_>,
    key: &InstanceKey,
    asked: &SessionRef,
) -> Result<(), Stop> {
    match try_attach(draft, key, asked) {
        Err(Stop::Rejected(rejection)) => {
            draft.push_to(
                key,
                Frame::AttachFailed {
                    asked: asked.clone(),
                    rejection: *rejection,
                },
            );
            Ok(())
        }
        other => other,
    }
}

fn try_attach(draft: &mut Draft<'_>, key: &InstanceKey, asked: &SessionRef) -> Result<(), Stop> {
    let leaves = draft
        .instance_ref(key)
        .is_some_and(|instance| instance.intent == Intent::Leaves);
    if leaves {
        return Err(Rejection::WorkerLeft.into());
    }
    let session = find::workable(draft, &key.0, asked)?;
    let held = draft.instance_ref(key).map_or(0, |i| i.in_flight.sessions);
    let own = acquire::own_lease(draft, &session, key)?;
    if own.is_none() && !attached::has_room(draft, &session) {
        return Err(attached::full(draft, &session));
    }
    if let Some(lease) = own {
        if lease.mode == LeaseMode::Stream {
            return say_attached(draft, key, &session, Vec::new());
        }
        // A lease taken by a claim becomes the stream's: given back and taken again under a new
        // token, so that a late settlement of the claim is told from the stream's.
        super::detach::detach_lease(draft, &lease)?;
    }
    if held >= WINDOW_SESSIONS_MAX {
        return Err(Rejection::TooManyLeases {
            limit: WINDOW_SESSIONS_MAX,
        }
        .into());
    }
    restart_guard::refuse_suspended(draft, &session)?;
    grant(draft, key, &session)?;
    hand_out::refill(draft, key)
}

/// Gives a free session to a stream and marks it for the next refill.
pub(super) fn grant(
    draft: &mut Draft<'_>,
    key: &InstanceKey,
    session: &SessionRow,
) -> Result<(), Stop> {
    let instance = draft
        .instance(key)
        .expect("a session is given to an instance that is here");
    let taker = Taker {
        key: key.clone(),
        worker: instance.worker,
        mode: LeaseMode::Stream,
        duration: draft.policy().stream_lease,
    };
    let (epoch, voided) = acquire::acquire(draft, session, &taker)?;
    say_attached(draft, key, session, voided)?;
    hand_out::mark_hungry(draft, key, epoch);
    Ok(())
}

fn say_attached(
    draft: &mut Draft<'_>,
    key: &InstanceKey,
    session: &SessionRow,
    voided_keys: Vec<String>,
) -> Result<(), Stop> {
    let view = draft.session_view(session.no)?;
    let lease = view.lease.clone().expect("an attached session has a lease");
    draft.push_to(
        key,
        Frame::Attached {
            lease,
            session: Box::new(view),
            voided_keys,
        },
    );
    Ok(())
}
