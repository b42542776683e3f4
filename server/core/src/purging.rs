//! Purging: which session may be deleted, and how many messages go with it.
//!
//! Invariant: a purge that is decided and one that is only foreseen are judged by the same words. What this deliberately
//! does not do: find a session, or delete anything; see `decide/purge.rs`.

use crate::ids::{Revision, SubscriptionName};
use crate::limits::REQUIRED_WAIT;
use crate::queue::{Disposition, QueueRow};
use crate::rejection::Rejection;
use crate::session::{Lifecycle, PendingPolicy, SessionRow};
use crate::subscription::SubscriptionRejection;
use crate::time::{EngineTime, Span};

/// How many messages go with a session, or why it stays. `own` is its queue, unless a successor took it over.
///
/// # Errors
/// It lives, something of it is left outside, or its messages wait for the next session of its key and `pending` keeps them.
pub fn judge(
    session: &SessionRow,
    own: Option<&QueueRow>,
    pending: PendingPolicy,
) -> Result<u64, Rejection> {
    let id = || session.id.clone();
    match &session.lifecycle {
        Lifecycle::Queued(_) => {
            return Err(Rejection::SessionQueued {
                session: id(),
                awaited: session.awaited(),
            });
        }
        Lifecycle::Active => return Err(Rejection::SessionActive { session: id() }),
        Lifecycle::Draining(intent) => {
            return Err(Rejection::SessionDraining {
                session: id(),
                reason: intent.reason,
            });
        }
        Lifecycle::Ended(_) => {}
    }
    if is_left(session) {
        return Err(Rejection::SessionUnreleased {
            session: id(),
            resources: session.unreleased().count,
        });
    }
    let keeps = pending == PendingPolicy::Keep && !faulty!(HeldPurged);
    let waiting = own.map_or(0, |queue| match queue.disposition {
        Disposition::Held { .. } => queue.depth.unsettled(),
        Disposition::Serving
        | Disposition::Quiet
        | Disposition::Dead { .. }
        | Disposition::Discarded { .. }
        | Disposition::Purged { .. } => 0,
    });
    if keeps && waiting > 0 {
        return Err(Rejection::QueueHeld {
            session: id(),
            messages: waiting,
        });
    }
    Ok(own.map_or(0, messages_of))
}

/// The required subscription of a namespace that is furthest behind, and what it acknowledged.
pub type FurthestBehind = (Revision, SubscriptionName);

/// Refuses a session of which a required subscription has not heard all, for as long as it is waited for.
///
/// # Errors
/// [`SubscriptionRejection::Unheard`].
pub fn judge_heard(
    session: &SessionRow,
    behind: Option<FurthestBehind>,
    now: EngineTime,
) -> Result<(), Rejection> {
    match awaited(session, behind, now) {
        None => Ok(()),
        Some((name, waits)) => Err(SubscriptionRejection::Unheard {
            session: session.id.clone(),
            name,
            waits,
        }
        .into()),
    }
}

/// For whom the deletion of a session waits, and how long yet; for nobody if all have heard of it, or were waited for long
/// enough.
pub(crate) fn awaited(
    session: &SessionRow,
    behind: Option<FurthestBehind>,
    now: EngineTime,
) -> Option<(SubscriptionName, Span)> {
    let (acked, name) = behind?;
    if acked >= session.revision || faulty!(PurgedUnheard) {
        return None;
    }
    let until = session.ended_at()? + REQUIRED_WAIT;
    (until > now).then(|| (name, until.since(now)))
}

/// Whether something of a session is left outside, so that its record must stay.
pub(crate) fn is_left(session: &SessionRow) -> bool {
    session.unreleased().count > 0 && !faulty!(UnreleasedPurged)
}

/// The messages that go with a queue.
#[must_use]
pub fn messages_of(queue: &QueueRow) -> u64 {
    match queue.disposition {
        // The others were deleted, and counted, before.
        Disposition::Discarded { .. } => queue.depth.dead,
        Disposition::Serving
        | Disposition::Quiet
        | Disposition::Held { .. }
        | Disposition::Dead { .. }
        | Disposition::Purged { .. } => queue.depth.unsettled() + queue.depth.dead,
    }
}
