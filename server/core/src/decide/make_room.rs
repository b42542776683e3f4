//! Make room: how a full pool comes by a slot.
//!
//! First the emergency sweep: sessions that are idle for longer than the pool allows in an emergency end, and if
//! that frees nothing, those that are older than it allows. Then, if the pool evicts, the session that is idle for
//! longest gives up its slot: one victim for one waiter. What is in use is never ended: a session with live
//! requests or deliveries out, or with pending work that a present worker serves. All of it is decided on the rows of this decision.
//!
//! Use does not move a session in the order of idleness, so it may stand there earlier than it should, never later.
//! Whoever meets one that was used since ranks it anew; so each use costs at most one look, and looking stops at the
//! first rank that is too young.

use std::sync::Arc;

use super::{finish, slot};
use crate::deadlines;
use crate::draft::{Draft, PoolKey, Stop};
use crate::explanation::HoldKind;
use crate::ids::{Epoch, SessionNo};
use crate::index::{IndexEntry, Scan};
use crate::lease::LeaseMode;
use crate::limits::{EMERGENCY_ENDS_MAX, MAKE_ROOM_CHUNK, MAKE_ROOM_LOOKS_MAX, WhenFull};
use crate::presence::{Instance, Intent};
use crate::rows::RowKey;
use crate::session::{ActivityRow, EndReason, SessionRow};
use crate::time::{EngineTime, Limit};

/// A session that could give up its slot, by how long it has been idle.
type Candidate = (EngineTime, SessionNo);

/// Sees to it that a pool has a free slot, if that can be had; answers whether it has one.
pub(super) fn find(draft: &mut Draft<'_>, pool: &PoolKey) -> Result<bool, Stop> {
    for make in [sweep_idle, sweep_aged, evict] {
        if slot::is_free(draft, pool)? {
            break;
        }
        make(draft, pool)?;
    }
    slot::is_free(draft, pool)
}

/// What is left to do when an open was refused: the sweep that was not enough, and the ranks that were out of date, so
/// that the next one does not meet them again.
pub(super) fn after_refusal(draft: &mut Draft<'_>, pool: &PoolKey) -> Result<(), Stop> {
    if slot::nobody_waits(draft, pool)? {
        find(draft, pool)?;
    }
    Ok(())
}

/// Ends sessions that are idle for too long in an emergency.
fn sweep_idle(draft: &mut Draft<'_>, pool: &PoolKey) -> Result<(), Stop> {
    let Limit::After(limit) = draft.policy().pool(&pool.1).emergency_idle else {
        return Ok(());
    };
    let now = draft.now.engine;
    let too_idle = |since: EngineTime| now.since(since) > limit;
    let mut want = MAKE_ROOM_CHUNK;
    loop {
        let look = look(draft, pool, want, too_idle)?;
        let found = look.candidates.iter().filter(|(since, _)| too_idle(*since));
        let found: Vec<Candidate> = found.take(EMERGENCY_ENDS_MAX).copied().collect();
        if found.len() == EMERGENCY_ENDS_MAX || look.all || want >= MAKE_ROOM_LOOKS_MAX {
            for (_, no) in found {
                end(draft, no, EndReason::Idle, "emergency_idle")?;
            }
            return Ok(());
        }
        want = MAKE_ROOM_LOOKS_MAX;
    }
}

/// Ends sessions that are too old in an emergency.
fn sweep_aged(draft: &mut Draft<'_>, (namespace, pool): &PoolKey) -> Result<(), Stop> {
    let Limit::After(limit) = draft.policy().pool(pool).emergency_age else {
        return Ok(());
    };
    let now = draft.now.engine;
    let scan = Scan::Live(namespace.clone(), pool.clone());
    let mut want = MAKE_ROOM_CHUNK;
    loop {
        let entries = draft.scan(&scan, want)?;
        let mut all = entries.len() < want;
        let numbers: Vec<SessionNo> = entries.iter().filter_map(IndexEntry::session).collect();
        know_sessions(draft, &numbers)?;
        let mut found = Vec::new();
        for no in numbers {
            let session = draft.session(no)?;
            if now.since(session.created_at) <= limit {
                // Those behind it were opened later.
                all = true;
                break;
            }
            let old = session.is_active() && now.since(session.active_since) > limit;
            if old && found.len() < EMERGENCY_ENDS_MAX {
                let activity = draft.activity(no)?;
                if !is_in_use(draft, &session, &activity)? {
                    found.push(no);
                }
            }
        }
        if found.len() == EMERGENCY_ENDS_MAX || all || want >= MAKE_ROOM_LOOKS_MAX {
            for no in found {
                end(draft, no, EndReason::Expired, "emergency_age")?;
            }
            return Ok(());
        }
        want = MAKE_ROOM_LOOKS_MAX;
    }
}

/// Ends the session that is idle for longest, of equals the one that was opened first, if that frees a slot.
fn evict(draft: &mut Draft<'_>, pool: &PoolKey) -> Result<(), Stop> {
    let policy = draft.policy().pool(&pool.1);
    let there = slot::row(draft, pool)?;
    // A slot that is about to be free is somebody's: one victim for one waiter.
    let comes = there.releasing > 0 && !faulty!(VictimsPileUp);
    let evicts = match policy.when_full {
        WhenFull::Evict => policy.max_sessions == Some(there.live) && !comes,
        WhenFull::Reject | WhenFull::Wait => false,
    };
    if !evicts {
        return Ok(());
    }
    let mut want = MAKE_ROOM_CHUNK;
    loop {
        let look = look(draft, pool, want, |_| true)?;
        let idlest = look.candidates.first().copied();
        // Whoever stands behind the last one that was looked at is not idle for longer than that one.
        let certain = look.all || idlest.is_some() && idlest <= look.last;
        if certain || want >= MAKE_ROOM_LOOKS_MAX {
            return match idlest {
                Some((_, no)) => end(draft, no, EndReason::Evicted, "when_full"),
                None => Ok(()),
            };
        }
        want = MAKE_ROOM_LOOKS_MAX;
    }
}

/// What was seen in the order of idleness.
struct Look {
    /// Those that are not in use, by how long they have really been idle.
    candidates: Vec<Candidate>,
    /// Where the last one stood that was looked at.
    last: Option<Candidate>,
    /// Whether all were looked at that matter.
    all: bool,
}

/// Looks at the first `want` sessions of a pool's order of idleness, as far as `matters` says so of their ranks, and ranks
/// those anew that were used since.
fn look(
    draft: &mut Draft<'_>,
    (namespace, pool): &PoolKey,
    want: usize,
    matters: impl Fn(EngineTime) -> bool,
) -> Result<Look, Stop> {
    let entries = draft.scan(&Scan::Idle(namespace.clone(), pool.clone()), want)?;
    let ranks = entries.iter().filter_map(|entry| {
        let IndexEntry::Idle(_, _, at, no) = entry else {
            return None;
        };
        Some((*at, *no))
    });
    let ranks: Vec<Candidate> = ranks.take_while(|(at, _)| matters(*at)).collect();
    let all = ranks.len() < want;
    let numbers: Vec<SessionNo> = ranks.iter().map(|(_, no)| *no).collect();
    know_sessions(draft, &numbers)?;
    let mut candidates = Vec::new();
    for (at, no) in &ranks {
        let session = draft.session(*no)?;
        let activity = draft.activity(*no)?;
        let since = if faulty!(RankTrusted) {
            *at
        } else {
            session.idle_since(&activity)
        };
        if !is_in_use(draft, &session, &activity)? || faulty!(BusyEvicted) {
            candidates.push((since, *no));
        }
        if since > *at {
            let mut session = Arc::unwrap_or_clone(session);
            session.ranked_at = since;
            draft.put_session(session);
        }
    }
    candidates.sort_unstable();
    Ok(Look {
        candidates,
        last: ranks.last().copied(),
        all,
    })
}

/// Sees to it that the rows of these sessions are known, and asks for all that are not at once.
fn know_sessions(draft: &Draft<'_>, numbers: &[SessionNo]) -> Result<(), Stop> {
    let rows = |no: &SessionNo| [RowKey::Session(*no), RowKey::Activity(*no)];
    draft.know(numbers.iter().flat_map(rows))?;
    let mut queues = Vec::with_capacity(numbers.len());
    for no in numbers {
        queues.push(RowKey::Queue(draft.session(*no)?.queue));
    }
    draft.know(queues.into_iter())
}

/// Whether a session may not be made to give up its slot. Pending work counts as long as it does for the idle limit, and
/// only if somebody is there to do it: else it is held for the next session of the key, and nothing is lost.
fn is_in_use(
    draft: &Draft<'_>,
    session: &SessionRow,
    activity: &ActivityRow,
) -> Result<bool, Stop> {
    let queue = draft.queue_ref(session.queue)?;
    let spared_by = deadlines::spared_by(session, activity, queue.depth, draft.now.engine);
    Ok(spared_by.iter().any(|hold| match hold {
        HoldKind::Pending => is_served(draft, session, queue.lease),
        HoldKind::Lease | HoldKind::Request | HoldKind::InFlight => true,
        HoldKind::Resources | HoldKind::Export | HoldKind::Subscription => false,
    }))
}

/// Whether a worker is here that works on a session, or would.
fn is_served(draft: &Draft<'_>, session: &SessionRow, lease: Option<Epoch>) -> bool {
    let is_here = |instance: &Instance| instance.stream.is_some() && draft.is_heard(instance);
    if let Some(clock) = lease.and_then(|epoch| draft.clock_ref(epoch)) {
        return match clock.mode {
            LeaseMode::Claim => true,
            LeaseMode::Stream => draft.instance_ref(&clock.holder).is_some_and(is_here),
        };
    }
    let serves = |instance: &Instance| {
        let stays = instance.intent == Intent::Stays;
        stays && is_here(instance) && instance.means(session)
    };
    let mut present = draft.view.presence.instances_of(&session.namespace);
    present.any(|(key, _)| draft.instance_ref(key).is_some_and(serves))
}

/// Ends a session by one of the pool's rules, which the end names.
fn end(draft: &mut Draft<'_>, no: SessionNo, reason: EndReason, rule: &str) -> Result<(), Stop> {
    let detail = format!("its pool was full: {rule}");
    let intent = slot::reaped(draft, reason, detail);
    finish::finish(draft, no, &intent)
}
