//! Deadlines: which limit of a session in use is passed, which is near, and when the session is looked at next.
//!
//! Invariant: a look may come early, never late, and never again and again in vain: a limit that is
//! passed but excused is looked at at a steady pace, however much the session is used. Nothing is idle
//! while it is in use: open deliveries and live requests protect a session from its idle limit and, up to
//! twice the limit, from its age limit; pending messages protect it for a day from its last activity. Each
//! limit ends a session only when strictly more time has passed. An end by idleness or age is warned of
//! once, if it would come as things stand; a session that is in use for good is not alarmed. What this
//! deliberately does not do: end or write anything; a session that is ending has its deadline elsewhere.

use crate::command::Thresholds;
use crate::explanation::HoldKind;
use crate::limits::{
    LIFETIME_HARD_FACTOR, PENDING_PROTECTS, Policy, WARNING_LEAD_MIN, WARNING_LEAD_PART,
};
use crate::queue::Depth;
use crate::session::{ActivityRow, EndReason, Lifecycle, SessionRow};
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

/// How a session is in use, as far as that protects it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Somebody works on it or with it.
    Open,
    /// Messages wait, and something happened within a day.
    Pending,
    /// Neither.
    None,
}

/// Limits that are warned of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WarnedLimit {
    /// Of the time without activity.
    Idle,
    /// Of age.
    Age,
}

/// A limit that is about to end a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Approach {
    /// Which.
    pub(crate) limit: WarnedLimit,
    /// The last instant at which it does not.
    pub(crate) end: EngineTime,
}

/// When the limits of a session are reached.
pub(crate) fn reached_at(session: &SessionRow, activity: &ActivityRow) -> ReachedAt {
    let limits = &session.timeouts;
    ReachedAt {
        owner: limits.owner.from(activity.owner_seen),
        idle: limits.idle.from(session.idle_since(activity)),
        lifetime: limits.lifetime.from(session.active_since),
        hard_lifetime: hard_limit(limits.lifetime).from(session.active_since),
    }
}

/// Until when pending messages protect a session.
pub(crate) fn pending_protects_until(session: &SessionRow, activity: &ActivityRow) -> EngineTime {
    session.idle_since(activity) + PENDING_PROTECTS
}

/// What excuses a session from its idle limit, and up to twice the limit from its age limit.
pub(crate) fn spared_by(
    session: &SessionRow,
    activity: &ActivityRow,
    depth: Depth,
    now: EngineTime,
) -> Vec<HoldKind> {
    let until = pending_protects_until(session, activity);
    let pending = depth.ready + depth.waiting > 0 && now <= until;
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

fn use_of(session: &SessionRow, activity: &ActivityRow, depth: Depth, now: EngineTime) -> Use {
    match &spared_by(session, activity, depth, now)[..] {
        [] => Use::None,
        [HoldKind::Pending] => Use::Pending,
        [..] => Use::Open,
    }
}

/// Whether nothing was heard of the owner for longer than the session lets it be silent, which nothing excuses.
pub(crate) fn is_owner_lost(session: &SessionRow, activity: &ActivityRow, now: EngineTime) -> bool {
    match session.timeouts.owner {
        Limit::After(limit) => now.since(activity.owner_seen) > limit,
        Limit::Never => false,
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
    let limits = &session.timeouts;
    if is_owner_lost(session, activity, now) {
        return Some(EndReason::OwnerLost);
    }
    let (age_factor, may_idle) = match use_of(session, activity, depth, now) {
        Use::Open | Use::Pending => (LIFETIME_HARD_FACTOR, false),
        Use::None => (1, true),
    };
    if over(limits.lifetime, session.active_since, age_factor) {
        return Some(EndReason::Expired);
    }
    let idle = over(limits.idle, session.idle_since(activity), 1) && may_idle;
    idle.then_some(EndReason::Idle)
}

/// The ends by idleness and by age that are near as things stand, and that nobody was warned of.
pub(crate) fn approaching(
    session: &SessionRow,
    activity: &ActivityRow,
    depth: Depth,
    policy: &Policy,
    now: EngineTime,
) -> Vec<Approach> {
    let (limits, warned) = (&session.timeouts, &activity.warned);
    let (idle, age) = expected(session, activity, depth, now);
    let near = |end: &EngineTime, limit: Limit, told: Option<EngineTime>| {
        let from = warn_at(*end, limit, policy);
        told != Some(*end) && from.is_some_and(|from| from <= now) && *end >= now
    };
    let idle = idle.filter(|end| near(end, limits.idle, warned.idle));
    let age = age.filter(|end| near(end, limits.lifetime, warned.age));
    let approach = |limit| move |end| Approach { limit, end };
    let idle = idle.map(approach(WarnedLimit::Idle));
    let age = age.map(approach(WarnedLimit::Age));
    idle.into_iter().chain(age).collect()
}

/// When a session would end by idleness, and when by age, were its use to stay as it is.
fn expected(
    session: &SessionRow,
    activity: &ActivityRow,
    depth: Depth,
    now: EngineTime,
) -> (Option<EngineTime>, Option<EngineTime>) {
    let ReachedAt {
        idle,
        lifetime: age,
        hard_lifetime: hard,
        owner: _,
    } = reached_at(session, activity);
    let protected_until = pending_protects_until(session, activity);
    match use_of(session, activity, depth, now) {
        Use::Open => (None, hard),
        Use::Pending => (
            idle.map(|at| at.max(protected_until)),
            age.map(|at| at.max(protected_until))
                .map(|at| hard.map_or(at, |hard| at.min(hard))),
        ),
        Use::None => (idle, age),
    }
}

/// From when on an end is warned of; never, if the lead is too short to be of use.
fn warn_at(end: EngineTime, limit: Limit, policy: &Policy) -> Option<EngineTime> {
    let (Limit::After(limit), Limit::After(longest)) = (limit, policy.warning_lead) else {
        return None;
    };
    let lead = Span(limit.0 / WARNING_LEAD_PART).min(longest);
    (lead >= WARNING_LEAD_MIN).then(|| EngineTime(end.0.saturating_sub(lead.0)))
}

/// The earliest instant at which one of a session's limits may end it or is to be warned of, or something of it has its
/// time.
pub(crate) fn next_check(
    session: &SessionRow,
    activity: &ActivityRow,
    policy: &Policy,
) -> Option<EngineTime> {
    let timer = activity.next_timer();
    match &session.lifecycle {
        Lifecycle::Queued(wait) => {
            let owner = session.timeouts.owner.passed_at(activity.owner_seen);
            owner.into_iter().chain(wait.until).min()
        }
        Lifecycle::Active => instants(session, activity, policy).chain(timer).min(),
        Lifecycle::Draining(intent) => timer.into_iter().chain([intent.deadline]).min(),
        Lifecycle::Ended(_) => None,
    }
}

/// Whether a session that has not ended is not going to be looked at, or only long after it should be. A limit that is
/// passed but excused is looked at again within the policy's `cleanup_interval`, so nothing is ever due later than that
/// after its first instant or after now.
#[must_use]
pub fn is_overlooked(
    session: &SessionRow,
    activity: &ActivityRow,
    policy: &Policy,
    now: EngineTime,
) -> bool {
    let Some(first) = next_check(session, activity, policy) else {
        return false;
    };
    let latest = first.max(now) + policy.cleanup_interval;
    activity.check_at.is_none_or(|at| at > latest)
}

/// The first instants at which limits are passed or to be warned of, were nothing to happen.
fn instants(
    session: &SessionRow,
    activity: &ActivityRow,
    policy: &Policy,
) -> impl Iterator<Item = EngineTime> + use<> {
    let (limits, warned) = (&session.timeouts, &activity.warned);
    let warning = |limit: Limit, start: EngineTime, told: Option<EngineTime>| {
        let end = limit.from(start).filter(|end| told != Some(*end))?;
        warn_at(end, limit, policy)
    };
    let warnings = [
        warning(limits.idle, session.idle_since(activity), warned.idle),
        warning(limits.lifetime, session.active_since, warned.age),
    ];
    let passed = session.limits_passed_at(activity);
    passed.chain(warnings.into_iter().flatten())
}

/// When a session in use is looked at next: at once if a limit ends it or is near, or something of it has
/// had its time, else when the first limit that is still ahead may be passed or the first of those times
/// comes, and for a limit that is passed or near but excused after the policy's `cleanup_interval` and in
/// time for the age that nothing excuses.
pub(crate) fn next_look(
    session: &SessionRow,
    activity: &ActivityRow,
    depth: Depth,
    policy: &Policy,
    now: EngineTime,
) -> Option<EngineTime> {
    let first = next_check(session, activity, policy)?;
    let at_once = || {
        let timer = activity.next_timer();
        timer.is_some_and(|at| at <= now)
            || passed(session, activity, depth, now).is_some()
            || !approaching(session, activity, depth, policy, now).is_empty()
    };
    if first > now || at_once() {
        return Some(first);
    }
    let hard = reached_at(session, activity).hard_lifetime;
    let hard_warning = hard
        .filter(|end| activity.warned.age != Some(*end))
        .and_then(|end| warn_at(end, session.timeouts.lifetime, policy));
    let hard = hard.map(|end| end + Span(1));
    let ahead = instants(session, activity, policy)
        .chain(activity.next_timer())
        .chain(hard)
        .chain(hard_warning);
    let pace = if faulty!(RecheckLate) {
        Span(2 * policy.cleanup_interval.0)
    } else {
        policy.cleanup_interval
    };
    let recheck = now + pace;
    Some(ahead.filter(|at| *at > now).fold(recheck, EngineTime::min))
}

/// The age that nothing excuses.
fn hard_limit(lifetime: Limit) -> Limit {
    match lifetime {
        Limit::After(span) => Limit::After(Span(span.0.saturating_mul(LIFETIME_HARD_FACTOR))),
        Limit::Never => Limit::Never,
    }
}
