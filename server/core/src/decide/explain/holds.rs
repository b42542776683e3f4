//! What holds a session: work on it while it lives, and what keeps its record once it has ended.
//!
//! What this deliberately does not do: say what a hold spares it; see the deadlines.

use crate::deadlines;
use crate::decide::purge;
use crate::draft::{Draft, Stop};
use crate::explanation::{Hold, HoldKind};
use crate::purging;
use crate::session::{SessionRow, SessionView};

/// What holds a session, in the order of the kinds.
pub(super) fn of(draft: &Draft<'_>, session: &SessionView) -> Result<Vec<Hold>, Stop> {
    let mut holds = Vec::new();
    let unreleased = session.session.unreleased().count;
    let outside = (unreleased > 0).then(|| Hold {
        kind: HoldKind::Resources,
        count: unreleased.into(),
        until: None,
        holder: String::new(),
    });
    if session.session.is_ended() {
        let unexported = draft.policy().export_before_purge.then(|| Hold {
            kind: HoldKind::Export,
            count: 1,
            until: None,
            holder: String::new(),
        });
        let unheard = unheard(draft, &session.session)?;
        return Ok(outside
            .into_iter()
            .chain(unexported)
            .chain(unheard)
            .collect());
    }
    if let Some(lease) = &session.lease {
        holds.push(Hold {
            kind: HoldKind::Lease,
            count: 1,
            until: Some(lease.expire_time),
            holder: lease.worker.to_string(),
        });
    }
    let requests = &session.activity.requests;
    let now = draft.now.engine;
    if requests.any_live(now) {
        let live = requests.live.iter().filter(|request| request.until > now);
        let last = live.clone().map(|request| request.until).max();
        holds.push(Hold {
            kind: HoldKind::Request,
            count: live.count() as u64,
            until: last.map(|at| draft.now.wall_of(at)),
            holder: String::new(),
        });
    }
    let counts = session.counts();
    if counts.in_flight > 0 {
        holds.push(Hold {
            kind: HoldKind::InFlight,
            count: counts.in_flight,
            until: None,
            holder: String::new(),
        });
    }
    let protects_until = deadlines::pending_protects_until(&session.session, &session.activity);
    if counts.pending > 0 && draft.now.engine <= protects_until {
        holds.push(Hold {
            kind: HoldKind::Pending,
            count: counts.pending,
            until: Some(draft.now.wall_of(protects_until)),
            holder: String::new(),
        });
    }
    holds.extend(outside);
    Ok(holds)
}

/// The required subscriptions that an ended session is kept for.
fn unheard(draft: &Draft<'_>, session: &SessionRow) -> Result<Option<Hold>, Stop> {
    let now = draft.now;
    let awaited = purging::awaited(session, purge::behind(draft, session)?, now.engine);
    let Some((_, waits)) = awaited else {
        return Ok(None);
    };
    let names = purge::unheard(draft, session)?;
    Ok(Some(Hold {
        kind: HoldKind::Subscription,
        count: names.len() as u64,
        until: Some(now.wall_of(now.engine + waits)),
        holder: names.join(","),
    }))
}
