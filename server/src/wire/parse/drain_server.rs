//! DrainServer.

use sessiond_core::drain::DrainSessions;
use sessiond_core::session::EndReason;
use sessiond_core::time::{Span, WallTime};
use sessiond_proto::v1 as pb;

use super::{enumeration, time};
use crate::drain::Terms;
use crate::limits::{DRAIN_NOTICE_MAX, SHUTDOWN_BUDGET_MIN};
use crate::wire::faults::{Faults, Invalid};

/// What DrainServer asks for, as resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DrainServerCall {
    /// Why sessions end.
    pub(crate) reason: EndReason,
    /// What becomes of them.
    pub(crate) sessions: DrainSessions,
    /// How long it is only announced.
    pub(crate) notice: Span,
    /// How long it may take from then on.
    pub(crate) within: Span,
}

/// How the server is to go. What is left unset is as configured.
pub(crate) fn drain_server(
    request: pb::DrainServerRequest,
    now: WallTime,
    terms: Terms,
) -> Result<DrainServerCall, Invalid> {
    let mut faults = Faults::default();
    let reason = reason(&mut faults, request.reason);
    let sessions = enumeration::known(&mut faults, "sessions", request.sessions, "DrainSessions")
        .map(|sessions| match sessions {
            pb::DrainSessions::Unspecified => terms.sessions,
            pb::DrainSessions::End => DrainSessions::End,
            pb::DrainSessions::Keep => DrainSessions::Keep,
        });
    let notice = time::span(&mut faults, "notice", request.notice, DRAIN_NOTICE_MAX);
    let notice = notice.unwrap_or_default();
    let begins = now.0.saturating_add(notice.0);
    let deadline = time::deadline(&mut faults, "deadline", request.deadline);
    if deadline.is_some_and(|at| at <= now) {
        faults.invalid("deadline", "must be in the future");
    } else if deadline.is_some_and(|at| at.0 <= begins) {
        faults.invalid("deadline", "must be later than the end of the notice");
    }
    let left = deadline.map_or(terms.budget, |at| Span(at.0.saturating_sub(begins)));
    faults.finish(match (reason, sessions) {
        (Some(reason), Some(sessions)) => Some(DrainServerCall {
            reason,
            sessions,
            notice,
            within: left.max(SHUTDOWN_BUDGET_MIN).min(terms.budget),
        }),
        (_, _) => None,
    })
}

fn reason(faults: &mut Faults, reason: i32) -> Option<EndReason> {
    match enumeration::known(faults, "reason", reason, "EndReason")? {
        pb::EndReason::Unspecified | pb::EndReason::Shutdown => Some(EndReason::Shutdown),
        pb::EndReason::Restart => Some(EndReason::Restart),
        pb::EndReason::Completed
        | pb::EndReason::Failed
        | pb::EndReason::Deleted
        | pb::EndReason::Admin
        | pb::EndReason::Reset
        | pb::EndReason::Replaced
        | pb::EndReason::Compacted
        | pb::EndReason::Scheduled
        | pb::EndReason::Idle
        | pb::EndReason::Expired
        | pb::EndReason::Evicted
        | pb::EndReason::Capacity
        | pb::EndReason::OwnerLost
        | pb::EndReason::WorkerStuck
        | pb::EndReason::RestartLimit
        | pb::EndReason::Crashed => {
            faults.invalid("reason", "must be SHUTDOWN or RESTART, or left unset");
            None
        }
    }
}
