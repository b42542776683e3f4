//! Slots: which session of a pool has one, which waits for one, and who is let in when one frees.
//!
//! ACTIVE and DRAINING sessions have a slot, and ended ones for as long as anything of them is left outside; QUEUED
//! ones wait in the order in which they were opened. Nobody passes those who wait, and no slot is free while somebody does: whatever frees one, at whatever point of a
//! decision, lets the first of the line in before the decision is over. A successor takes over its predecessor's
//! slot, or its place in the line, which is why a full pool never refuses one. How a full pool makes room is in
//! `make_room`.

use std::sync::Arc;

use super::{finish, hand_out, make_room};
use crate::command::{Command, Open};
use crate::deadlines;
use crate::draft::events::Particulars;
use crate::draft::{Draft, PoolKey, Stop};
use crate::event::{Actor, EventKind};
use crate::ids::{Namespace, PoolName, SessionNo};
use crate::index::{IndexEntry, Scan};
use crate::limits::{ADMIT_PER_DECISION, ADMIT_RETRY, WAITING_SESSIONS_MAX};
use crate::queue::Disposition;
use crate::rejection::{Crowd, Rejection};
use crate::reply::Reply;
use crate::resource::Unreleased;
use crate::rows::{PoolRow, Row, RowKey};
use crate::session::{
    ActivityRow, Behind, EndIntent, EndMode, EndReason, Lifecycle, PendingPolicy, PredecessorSlot,
    SessionRow, Wait,
};
use crate::time::EngineTime;

/// The pool that a session counts in.
pub(super) fn pool_of(session: &SessionRow) -> PoolKey {
    (session.namespace.clone(), session.pool.clone())
}

/// How a new session begins: with a slot, in the line for one, or behind a session of which something is left outside.
/// `replaced` is the session it takes over from, if any, as it was; `no` is the new session's number.
pub(super) fn begin(
    draft: &mut Draft<'_>,
    open: &Open,
    pool: &PoolKey,
    replaced: Option<&SessionRow>,
    behind: Option<Behind>,
    no: SessionNo,
) -> Result<Lifecycle, Stop> {
    let until = |wait| draft.now.engine + wait;
    let own = open.wait.map(until);
    let before = replaced.filter(|old| pool_of(old) == *pool);
    let inherits = behind.is_some_and(|behind| behind.slot == PredecessorSlot::Passes);
    match before.map(|old| &old.lifecycle) {
        Some(Lifecycle::Queued(wait)) => {
            let until = own.or(wait.until);
            return Ok(Lifecycle::Queued(Wait { until, ..*wait }));
        }
        Some(Lifecycle::Active | Lifecycle::Draining(_) | Lifecycle::Ended(_)) if inherits => {
            return Ok(Lifecycle::Queued(Wait {
                until: own,
                place: no,
                behind,
            }));
        }
        Some(Lifecycle::Active | Lifecycle::Draining(_) | Lifecycle::Ended(_)) => {
            return Ok(Lifecycle::Active);
        }
        None => {}
    }
    let default = draft.policy().pool(&pool.1).default_wait();
    let until = own.or(default.map(until));
    let waiting = row(draft, pool)?.queued;
    if behind.is_none() {
        // Those who wait come first, and look for room themselves.
        if nobody_waits(draft, pool)? && make_room::find(draft, pool)? {
            return Ok(Lifecycle::Active);
        }
        if until.is_none() {
            return Err(full(draft, pool, Crowd::Live)?);
        }
    }
    if waiting >= WAITING_SESSIONS_MAX {
        return Err(full(draft, pool, Crowd::Waiting)?);
    }
    Ok(Lifecycle::Queued(Wait {
        until,
        place: no,
        behind,
    }))
}

/// Whether nobody stands in the line for a slot. Those that wait for resources do not.
pub(super) fn nobody_waits(draft: &Draft<'_>, pool: &PoolKey) -> Result<bool, Stop> {
    Ok(row(draft, pool)?.queued == 0 || first_in_line(draft, pool)?.is_none())
}

fn full(draft: &Draft<'_>, pool: &PoolKey, what: Crowd) -> Result<Stop, Stop> {
    let there = row(draft, pool)?;
    let live_max = draft.policy().pool(&pool.1).max_sessions;
    let (used, limit) = match what {
        Crowd::Live => (there.live, live_max.unwrap_or(u64::MAX)),
        Crowd::Waiting => (there.queued, WAITING_SESSIONS_MAX),
    };
    Ok(Rejection::TooManySessions {
        namespace: pool.0.clone(),
        pool: pool.1.clone(),
        what,
        used,
        limit,
    }
    .into())
}

/// How many sessions a pool has.
pub(super) fn row(draft: &Draft<'_>, (namespace, pool): &PoolKey) -> Result<PoolRow, Stop> {
    Ok(draft.pool_if(namespace, pool)?.unwrap_or_default())
}

fn put_row(draft: &mut Draft<'_>, (namespace, pool): &PoolKey, row: PoolRow) {
    draft.put(
        RowKey::Pool(namespace.clone(), pool.clone()),
        Row::Pool(row),
    );
}

/// Whether a pool has a slot that nobody has.
pub(super) fn is_free(draft: &Draft<'_>, pool: &PoolKey) -> Result<bool, Stop> {
    let live = row(draft, pool)?.live;
    let limit = draft.policy().pool(&pool.1).max_sessions;
    let overrun = u64::from(faulty!(SlotOverrun));
    Ok(limit.is_none_or(|limit| live < limit + overrun))
}

/// Where a session counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Queued,
    Active,
    Draining,
    /// It has ended, and something of it is about to go.
    Releasing,
    /// It has ended, and something of it did not go.
    Lingering,
    Ended,
}

impl Stage {
    pub(super) fn of(session: &SessionRow) -> Self {
        match &session.lifecycle {
            Lifecycle::Queued(_) => Self::Queued,
            Lifecycle::Active => Self::Active,
            Lifecycle::Draining(_) => Self::Draining,
            Lifecycle::Ended(_) => Self::after_end(session.unreleased()),
        }
    }

    /// Where a session counts that has ended.
    pub(super) fn after_end(unreleased: Unreleased) -> Self {
        match unreleased {
            Unreleased { count: 0, .. } => Self::Ended,
            Unreleased { lingering: 0, .. } => Self::Releasing,
            Unreleased { .. } => Self::Lingering,
        }
    }
}

/// Counts a session that begins or goes on in another state; `None` is before its beginning. The only place that moves
/// the counts of sessions, of the store and of the pool, so that they cannot part.
pub(super) fn count(
    draft: &mut Draft<'_>,
    pool: &PoolKey,
    from: Option<Stage>,
    to: Stage,
) -> Result<(), Stop> {
    let mut totals = draft.counters()?;
    let mut pool_row = row(draft, pool)?;
    for (stage, shift) in [(from, -1), (Some(to), 1)] {
        let (total, in_pool) = match stage {
            Some(Stage::Queued) => (&mut totals.queued, Some(&mut pool_row.queued)),
            Some(Stage::Active) => (&mut totals.active, Some(&mut pool_row.live)),
            Some(Stage::Draining) => {
                shift_by(&mut pool_row.draining, shift);
                (&mut totals.draining, Some(&mut pool_row.live))
            }
            Some(Stage::Releasing) => {
                shift_by(&mut pool_row.releasing, shift);
                (&mut totals.ended, Some(&mut pool_row.live))
            }
            Some(Stage::Lingering) => {
                shift_by(&mut pool_row.lingering, shift);
                (&mut totals.ended, Some(&mut pool_row.live))
            }
            Some(Stage::Ended) => (&mut totals.ended, None),
            None => continue,
        };
        shift_by(total, shift);
        if let Some(in_pool) = in_pool {
            shift_by(in_pool, shift);
        }
    }
    draft.put_counters(totals);
    put_row(draft, pool, pool_row);
    let in_line = from == Some(Stage::Queued) || to == Stage::Queued;
    if in_line || to == Stage::Ended && pool_row.queued > 0 {
        draft.lines.insert(pool.clone());
    }
    Ok(())
}

fn shift_by(count: &mut u64, shift: i64) {
    *count = count
        .checked_add_signed(shift)
        .expect("what leaves a state was counted there");
}

/// Has a line looked at, which something outside of decisions may have made move.
pub(super) fn admit_waiting(
    draft: &mut Draft<'_>,
    namespace: &Namespace,
    pool: &PoolName,
) -> Reply {
    draft.lines.insert((namespace.clone(), pool.clone()));
    Reply::Done
}

/// Lets those in that wait, as far as slots are free, in every line that the decision touched. Comes last in a decision:
/// a slot that it frees and takes again is nobody else's.
pub(super) fn serve_lines(draft: &mut Draft<'_>) -> Result<(), Stop> {
    if faulty!(LineForgotten) {
        return Ok(());
    }
    while let Some(pool) = draft.lines.pop_first() {
        serve_line(draft, &pool)?;
    }
    Ok(())
}

fn serve_line(draft: &mut Draft<'_>, pool: &PoolKey) -> Result<(), Stop> {
    let mut admitted = 0;
    while row(draft, pool)?.queued > 0 && is_free(draft, pool)? {
        let Some(first) = first_in_line(draft, pool)? else {
            break;
        };
        if admitted == ADMIT_PER_DECISION {
            draft.follow_ups.push(Command::Admit {
                namespace: pool.0.clone(),
                pool: pool.1.clone(),
            });
            return Ok(());
        }
        admit(draft, first)?;
        admitted += 1;
    }
    // With several slots at once there may be more to be had for the next one, too.
    let pause = if admitted > 0 {
        draft.now.engine
    } else {
        draft.now.engine + ADMIT_RETRY
    };
    look_again(draft, pool, pause)
}

/// The session whose turn it is.
fn first_in_line(
    draft: &Draft<'_>,
    (namespace, pool): &PoolKey,
) -> Result<Option<SessionNo>, Stop> {
    let line = Scan::Waiting(namespace.clone(), pool.clone());
    if faulty!(LineReversed) {
        let all = draft.scan(&line, ADMIT_PER_DECISION)?;
        return Ok(all.last().and_then(IndexEntry::session));
    }
    let first = draft.scan(&line, 1)?;
    Ok(first.first().and_then(IndexEntry::session))
}

/// Sees to it that the first in the line looks for room at `at` or sooner.
fn look_again(draft: &mut Draft<'_>, pool: &PoolKey, at: EngineTime) -> Result<(), Stop> {
    let Some(first) = first_in_line(draft, pool)? else {
        return Ok(());
    };
    let activity = draft.activity(first)?;
    if activity.check_at.is_some_and(|armed| armed <= at) {
        return Ok(());
    }
    draft.put_activity_checked_at(ActivityRow {
        check_at: Some(at),
        ..activity
    })
}

/// Gives a slot to a session that waited. What was enqueued meanwhile goes out from here on.
pub(super) fn admit(draft: &mut Draft<'_>, no: SessionNo) -> Result<(), Stop> {
    let mut session = Arc::unwrap_or_clone(draft.session(no)?);
    let pool = pool_of(&session);
    count(draft, &pool, Some(Stage::Queued), Stage::Active)?;
    session.lifecycle = Lifecycle::Active;
    session.active_since = draft.now.engine;
    session.ranked_at = draft.now.engine;
    draft.put_session(session.clone());
    let mut activity = draft.activity(no)?;
    activity.check_at = None;
    draft.put_activity(&session, activity)?;
    let queue = draft.queue(session.queue)?;
    draft.dispose(queue, Disposition::Serving)?;
    draft.event(
        EventKind::SessionAdmitted,
        Actor::reaper(),
        no,
        Particulars::default(),
    )?;
    hand_out::offer(draft, session.queue)
}

/// A waiting session's look at its limits and, if its turn is next, for room.
pub(super) fn waiter_due(
    draft: &mut Draft<'_>,
    session: &SessionRow,
    wait: Wait,
) -> Result<(), Stop> {
    let now = draft.now.engine;
    let activity = draft.activity(session.no)?;
    if deadlines::is_owner_lost(session, &activity, now) {
        return give_up(draft, session.no, EndReason::OwnerLost);
    }
    let pool = pool_of(session);
    let is_first = first_in_line(draft, &pool)? == Some(session.no);
    if is_first && make_room::find(draft, &pool)? {
        // Its turn has come; whoever waits behind it looks next.
        draft.lines.insert(pool);
        return Ok(());
    }
    if wait.until.is_some_and(|until| until <= now) {
        return give_up(draft, session.no, EndReason::Capacity);
    }
    let next = deadlines::next_check(session, &activity, draft.policy());
    let retry = is_first.then_some(now + ADMIT_RETRY);
    let check_at = next.into_iter().chain(retry).min();
    draft.put_activity_checked_at(ActivityRow {
        check_at,
        ..activity
    })
}

fn give_up(draft: &mut Draft<'_>, no: SessionNo, reason: EndReason) -> Result<(), Stop> {
    let intent = reaped(draft, reason, String::new());
    finish::finish(draft, no, &intent)
}

/// An end that nobody asked for.
pub(super) fn reaped(draft: &Draft<'_>, reason: EndReason, detail: String) -> EndIntent {
    EndIntent {
        reason,
        detail,
        actor: Actor::reaper(),
        mode: EndMode::Immediate,
        deadline: draft.now.engine,
        pending: PendingPolicy::Keep,
        create_time: draft.now.wall,
    }
}
