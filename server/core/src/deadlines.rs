//! Deadlines: which limit of a session in use is passed, and when its limits are looked at next.
//!
//! Invariant: a look may come early, never late, and never again and again in vain: a limit that is
//! passed but excused is looked at at a steady pace, however much the session is used. Nothing is idle
//! while it is in use: open deliveries and live requests protect a session from its idle limit and, up to
//! twice the limit, from its age limit; pending messages protect it for a day from its last activity. Each
//! limit ends a session only when strictly more time has passed. What this deliberately does not do: end or
//! write anything; a session that is ending has its deadline elsewhere.

use crate::command::Thresholds;
use crate::explanation::HoldKind;
use crate::limits::{LIFETIME_HARD_FACTOR, PENDING_PROTECTS};
use crate::queue::Depth;
use crate::session::{ActivityRow, EndReason, SessionRow};
use crate::time::{EngineTime, Limit, Span};

/// When each limit of a session in use is reached, were nothing to happen; none for one that is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReachedAt {
    pub(crate) owner: Option<EngineTime>,
    pub(crate) idle: Option<EngineTime>,
    pub(crate) lifetime: Option<EngineTime>,
    /// The age that nothing excuses.
    pub(crate) hard_lifetime: Option<EngineTime>,
}

/// When the limits of a session are reached.
pub(crate) fn reached_at(session: &SessionRow, activity: &ActivityRow) -> ReachedAt {
    let limits = &session.timeouts;
    ReachedAt {
        owner: limits.owner.from(activity.owner_seen),
        idle: limits.idle.from(activity.last_activity),
        lifetime: limits.lifetime.from(session.created_at),
        hard_lifetime: hard_limit(limits.lifetime).from(session.created_at),
    }
}

/// Until when pending messages protect a session.
pub(crate) fn pending_protects_until(activity: &ActivityRow) -> EngineTime {
    activity.last_activity + PENDING_PROTECTS
}

/// What excuses a session from its idle limit, and up to twice the limit from its age limit.
pub(crate) fn spared_by(activity: &ActivityRow, depth: Depth, now: EngineTime) -> Vec<HoldKind> {
    let pending = depth.ready + depth.waiting > 0 && now <= pending_protects_until(activity);
    let requested = activity.requests.any_live(now) && !faulty!(RequestUnprotected);
    let spared = [
        (HoldKind::Request, requested),
        (HoldKind::InFlight, depth.in_flight > 0),
        (HoldKind::Pending, pending),
    ];
    let holding = spared.into_iter().filter(|(_, holds)| *holds);
    holding.map(|(kind, _)| kind).collect()
}

/// A limit that is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// As what the session ends.
    pub reason: EndReason,
    /// When the limit was reached.
    pub at: EngineTime,
}

/// The first limit of a session in use that is passed and not excused, where a threshold that is tighter than a limit of
/// its own takes that limit's place.
#[must_use]
pub fn passed_within(
    session: &SessionRow,
    activity: &ActivityRow,
    depth: Depth,
    within: Thresholds,
    now: EngineTime,
) -> Option<Passed> {
    let mut judged = session.clone();
    let limits = &mut judged.timeouts;
    limits.idle = tighter(limits.idle, within.idle);
    limits.lifetime = tighter(limits.lifetime, within.lifetime);
    let reason = passed(&judged, activity, depth, now)?;
    let reached = reached_at(&judged, activity);
    let at = if reason == EndReason::OwnerLost {
        reached.owner
    } else if reason == EndReason::Idle {
        reached.idle
    } else {
        reached.lifetime
    };
    let at = at.expect("a limit that is passed was reached");
    Some(Passed { reason, at })
}

fn tighter(own: Limit, threshold: Option<Span>) -> Limit {
    match (own, threshold) {
        (own, None) => own,
        (Limit::Never, Some(span)) => Limit::After(span),
        (Limit::After(own), Some(span)) => Limit::After(Span(own.0.min(span.0))),
    }
}

/// The first limit that is passed and not excused.
pub(crate) fn passed(
    session: &SessionRow,
    activity: &ActivityRow,
    depth: Depth,
    now: EngineTime,
) -> Option<EndReason> {
    let over = |limit: Limit, start: EngineTime, factor: u64| match limit {
        Limit::After(span) => now.since(start) > Span(span.0.saturating_mul(factor)),
        Limit::Never => false,
    };
    let spared = !spared_by(activity, depth, now).is_empty();
    let limits = &session.timeouts;
    if over(limits.owner, activity.owner_seen, 1) {
        return Some(EndReason::OwnerLost);
    }
    let age_factor = if spared { LIFETIME_HARD_FACTOR } else { 1 };
    if over(limits.lifetime, session.created_at, age_factor) {
        return Some(EndReason::Expired);
    }
    let idle = over(limits.idle, activity.last_activity, 1) && !spared;
    idle.then_some(EndReason::Idle)
}

/// When a session in use is looked at next: at once if a limit ends it or a request has lapsed, else
/// when the first limit that is still ahead may be passed or the first request lapses, and for a limit
/// that is passed but excused after `pace` and in time for the age that nothing excuses.
pub(crate) fn next_look(
    session: &SessionRow,
    activity: &ActivityRow,
    depth: Depth,
    now: EngineTime,
    pace: Span,
) -> Option<EngineTime> {
    let first = session.next_check(activity)?;
    if first > now || passed(session, activity, depth, now).is_some() {
        return Some(first);
    }
    let lapse = activity.requests.next_lapse();
    if lapse.is_some_and(|at| at <= now) {
        return lapse;
    }
    let limits = session.limits_passed_at(activity).chain(lapse);
    let ahead = limits.filter(|at| *at > now);
    let pace = if faulty!(RecheckLate) {
        Span(2 * pace.0)
    } else {
        pace
    };
    let recheck = (now + pace).min(hard_age(session));
    Some(ahead.fold(recheck, EngineTime::min))
}

/// The first instant at which a session has reached the age that nothing excuses.
fn hard_age(session: &SessionRow) -> EngineTime {
    let reached = hard_limit(session.timeouts.lifetime).from(session.created_at);
    reached.map_or(EngineTime(u64::MAX), |at| at + Span(1))
}

/// The age that nothing excuses.
fn hard_limit(lifetime: Limit) -> Limit {
    match lifetime {
        Limit::After(span) => Limit::After(Span(span.0.saturating_mul(LIFETIME_HARD_FACTOR))),
        Limit::Never => Limit::Never,
    }
}
