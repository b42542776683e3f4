//! Explain: what holds a session, each of its deadlines, and why its pending work does not move.
//!
//! It asks the rules themselves (`deadlines`, presence, the queue's disposition), so that it cannot say anything but what
//! they would do. Invariant: it changes nothing, and looks at a bounded number of messages however many there are.

use super::{attached, cancel, find, purge, retention};
use crate::command::Explain;
use crate::deadlines;
use crate::draft::{Draft, Stop};
use crate::explanation::{
    Deadline, DeadlineKind, Effect, Explanation, HoldKind, Stall, StallReason,
};
use crate::ids::Epoch;
use crate::index::{IndexEntry, Scan};
use crate::lease::LeaseMode;
use crate::limits::EXPLAIN_MESSAGES_MAX;
use crate::message::{DeliveryMode, Standing};
use crate::queue::{Disposition, QueueRow};
use crate::reply::Reply;
use crate::session::{EndReason, Lifecycle, Ordering, SessionRow, SessionView, Wait};
use crate::time::EngineTime;

mod holds;

/// Explains the session that is asked for; a key means the live one, else the newest.
pub(super) fn explain(draft: &Draft<'_>, asked: &Explain) -> Result<Reply, Stop> {
    let no = find::any(draft, &asked.namespace, &asked.session)?.no;
    let session = draft.session_view(no)?;
    // A queue that a successor took over is the successor's, and may have gone with it.
    let owned = purge::own_queue(draft, &session.session)?;
    let holds = holds::of(draft, &session)?;
    let mut deadlines = session_deadlines(draft, &session);
    deadlines.extend(lease_deadline(&session));
    deadlines.extend(suspension(draft, &session));
    deadlines.extend(deletion(draft, &session)?);
    let mut stalls = Vec::new();
    if let Some(queue) = owned {
        let next_due = next_due(draft, &queue)?;
        deadlines.extend(queue_deadlines(draft, &queue, next_due));
        stalls = keeps_pending(draft, &session.session, &queue, next_due)?;
    }
    deadlines.sort_by_key(|deadline| deadline.at);
    Ok(Reply::Explained(Box::new(Explanation {
        session,
        now: draft.now.wall,
        holds,
        deadlines,
        stalls,
    })))
}

/// The limits of a session in use, or the end of what a draining one waits for.
fn session_deadlines(draft: &Draft<'_>, view: &SessionView) -> Vec<Deadline> {
    let row = &view.session;
    match &row.lifecycle {
        Lifecycle::Ended(_) => Vec::new(),
        Lifecycle::Draining(intent) => vec![Deadline {
            kind: DeadlineKind::EndGrace,
            at: draft.now.wall_of(intent.deadline),
            effect: Effect::Ends(intent.reason),
            spared_by: Vec::new(),
        }],
        Lifecycle::Queued(wait) => waiting_deadlines(draft, view, *wait),
        Lifecycle::Active => active_deadlines(draft, view),
    }
}

/// The clocks that run while a session waits for its slot.
fn waiting_deadlines(draft: &Draft<'_>, view: &SessionView, wait: Wait) -> Vec<Deadline> {
    let deadline = |kind, at, reason| Deadline {
        kind,
        at: draft.now.wall_of(at),
        effect: Effect::Ends(reason),
        spared_by: Vec::new(),
    };
    let owner = deadlines::reached_at(&view.session, &view.activity).owner;
    let owner = owner.map(|at| deadline(DeadlineKind::Owner, at, EndReason::OwnerLost));
    let slot = wait.until;
    let slot = slot.map(|at| deadline(DeadlineKind::Slot, at, EndReason::Capacity));
    owner.into_iter().chain(slot).collect()
}

fn active_deadlines(draft: &Draft<'_>, view: &SessionView) -> Vec<Deadline> {
    let (row, activity) = (&view.session, &view.activity);
    let spared_by = deadlines::spared_by(row, activity, view.depth, draft.now.engine);
    let limits = deadlines::reached_at(row, activity);
    let ends = [
        (
            DeadlineKind::Owner,
            limits.owner,
            EndReason::OwnerLost,
            false,
        ),
        (DeadlineKind::Idle, limits.idle, EndReason::Idle, true),
        (
            DeadlineKind::Lifetime,
            limits.lifetime,
            EndReason::Expired,
            true,
        ),
        (
            DeadlineKind::HardLifetime,
            limits.hard_lifetime,
            EndReason::Expired,
            false,
        ),
    ];
    let known = ends
        .into_iter()
        .filter_map(|(kind, at, reason, excusable)| {
            Some(Deadline {
                kind,
                at: draft.now.wall_of(at?),
                effect: Effect::Ends(reason),
                spared_by: if excusable {
                    spared_by.clone()
                } else {
                    Vec::new()
                },
            })
        });
    known.collect()
}

fn lease_deadline(view: &SessionView) -> Option<Deadline> {
    let lease = view.lease.as_ref()?;
    Some(Deadline {
        kind: DeadlineKind::Lease,
        at: lease.expire_time,
        effect: Effect::ReturnsDeliveries,
        spared_by: Vec::new(),
    })
}

fn suspension(draft: &Draft<'_>, view: &SessionView) -> Option<Deadline> {
    let until = view.activity.restart_guard.suspended_until?;
    Some(Deadline {
        kind: DeadlineKind::Suspension,
        at: draft.now.wall_of(until),
        effect: Effect::HandsOut,
        spared_by: Vec::new(),
    })
}

fn deletion(draft: &Draft<'_>, view: &SessionView) -> Result<Option<Deadline>, Stop> {
    let goes = retention::goes_at(draft, &view.session, &view.activity)?;
    let spared_by = draft
        .policy()
        .export_before_purge
        .then_some(HoldKind::Export);
    Ok(goes.map(|at| Deadline {
        kind: DeadlineKind::Retention,
        at: draft.now.wall_of(at),
        effect: Effect::Deletes,
        spared_by: spared_by.into_iter().collect(),
    }))
}

fn queue_deadlines(
    draft: &Draft<'_>,
    queue: &QueueRow,
    next_due: Option<EngineTime>,
) -> Vec<Deadline> {
    let deadline = |kind, at, effect| Deadline {
        kind,
        at: draft.now.wall_of(at),
        effect,
        spared_by: Vec::new(),
    };
    match queue.disposition {
        Disposition::Serving => next_due
            .map(|at| deadline(DeadlineKind::Message, at, Effect::HandsOut))
            .into_iter()
            .collect(),
        Disposition::Held { until } => {
            vec![deadline(
                DeadlineKind::HeldQueue,
                until,
                Effect::DeadLetters,
            )]
        }
        // With its session, when that does.
        Disposition::Dead { .. } if draft.policy().export_before_purge => Vec::new(),
        Disposition::Dead { until, .. } => until
            .map(|until| deadline(DeadlineKind::DeadLetters, until, Effect::Deletes))
            .into_iter()
            .collect(),
        Disposition::Quiet | Disposition::Discarded { .. } | Disposition::Purged { .. } => {
            Vec::new()
        }
    }
}

/// When the next of the oldest messages that wait for their time may go out.
fn next_due(draft: &Draft<'_>, queue: &QueueRow) -> Result<Option<EngineTime>, Stop> {
    if queue.depth.waiting == 0 {
        return Ok(None);
    }
    let oldest = draft.scan(&Scan::Pending(queue.id), EXPLAIN_MESSAGES_MAX)?;
    let seqs: Vec<_> = oldest.iter().filter_map(IndexEntry::seq).collect();
    draft.know_messages(seqs.iter().map(|seq| (queue.id, *seq)))?;
    let mut next: Option<EngineTime> = None;
    for seq in seqs {
        let message = draft.message(queue.id, seq)?;
        let due = message.and_then(|message| match message.standing {
            Standing::Waiting { due, .. } => Some(due),
            Standing::Debounced => queue.pause.map(|pause| pause.until),
            Standing::Ready(_) | Standing::InFlight(_) | Standing::Dead { .. } => None,
        });
        next = match (next, due) {
            (Some(next), Some(due)) => Some(due.min(next)),
            (next, due) => next.or(due),
        };
    }
    Ok(next)
}

fn keeps_pending(
    draft: &Draft<'_>,
    session: &SessionRow,
    queue: &QueueRow,
    next_due: Option<EngineTime>,
) -> Result<Vec<Stall>, Stop> {
    let mut stalls = Vec::new();
    let pending = queue.depth.ready + queue.depth.waiting;
    let mut stall = |reason, messages, until: Option<EngineTime>| {
        let until = until.map(|at| draft.now.wall_of(at));
        stalls.push(Stall {
            reason,
            messages,
            until,
        });
    };
    match queue.disposition {
        Disposition::Held { until } if pending > 0 => {
            stall(StallReason::Held, pending, Some(until));
        }
        Disposition::Quiet if pending > 0 => {
            let (reason, until) = match &session.lifecycle {
                Lifecycle::Queued(wait) if wait.behind.is_some() => {
                    (StallReason::PredecessorResources, wait.until)
                }
                Lifecycle::Queued(wait) => (StallReason::Queued, wait.until),
                Lifecycle::Draining(intent) => (StallReason::Draining, Some(intent.deadline)),
                Lifecycle::Active | Lifecycle::Ended(_) => (StallReason::Draining, None),
            };
            stall(reason, pending, until);
        }
        Disposition::Serving => {
            let ready = queue.depth.ready;
            if ready > 0 {
                let reason = keeps_back(draft, session, queue)?;
                let guard = draft.activity(session.no)?.restart_guard;
                let until = if reason == StallReason::Order {
                    next_due
                } else {
                    guard.suspended_until
                };
                stall(reason, ready, until);
            }
            if queue.depth.waiting > 0 {
                stall(StallReason::NotDue, queue.depth.waiting, next_due);
            }
        }
        // Nothing of these is pending any more.
        Disposition::Held { .. }
        | Disposition::Quiet
        | Disposition::Dead { .. }
        | Disposition::Discarded { .. }
        | Disposition::Purged { .. } => {}
    }
    Ok(stalls)
}

/// Why messages that may be handed out are not; there always is a reason, or the decision before this one would have
/// handed them out.
fn keeps_back(
    draft: &Draft<'_>,
    session: &SessionRow,
    queue: &QueueRow,
) -> Result<StallReason, Stop> {
    if queue.suspended {
        return Ok(StallReason::Suspended);
    }
    let Some(epoch) = queue.lease else {
        return Ok(if attached::has_room(draft, session) {
            StallReason::NoWorker
        } else {
            StallReason::PoolAttached
        });
    };
    if u64::from(session.in_flight_max()) <= queue.depth.in_flight {
        return Ok(StallReason::InFlightFull);
    }
    if work_in_progress(draft, queue, epoch)? {
        return Ok(StallReason::WorkInProgress);
    }
    let ordered = match session.ordering {
        Ordering::Relaxed => false,
        Ordering::Strict | Ordering::Serial => true,
    };
    if ordered && !draft.scan(&Scan::Returned(queue.id), 1)?.is_empty() {
        return Ok(StallReason::Order);
    }
    let Some(clock) = draft.clock_ref(epoch) else {
        // Between a start and the term that recovery gives it.
        return Ok(StallReason::WorkerAway);
    };
    Ok(match clock.mode {
        LeaseMode::Claim => StallReason::NotClaimed,
        LeaseMode::Stream => {
            let here = draft
                .instance_ref(&clock.holder)
                .is_some_and(|instance| instance.stream.is_some() && draft.is_heard(instance));
            if here {
                // Full, or the next message is larger than what is left of it.
                StallReason::WindowFull
            } else {
                StallReason::WorkerAway
            }
        }
    })
}

/// Whether nothing goes out before what is in flight is back or settled.
fn work_in_progress(draft: &Draft<'_>, queue: &QueueRow, epoch: Epoch) -> Result<bool, Stop> {
    if cancel::is_pending(draft, draft.lease_ref(epoch)?)? {
        return Ok(true);
    }
    if queue.depth.in_flight == 0 {
        return Ok(false);
    }
    let first = draft.scan(&Scan::Ready(queue.id), 1)?;
    let Some(seq) = first.first().and_then(IndexEntry::seq) else {
        return Ok(false);
    };
    let message = draft.message(queue.id, seq)?;
    Ok(message.is_some_and(|message| message.mode == DeliveryMode::Collect))
}
