//! How a session is to end: the fields that every request which ends sessions has.

use sessiond_core::limits::{END_GRACE_MAX, TEXT_BYTES_MAX};
use sessiond_core::session::{EndMode, EndReason, PendingPolicy};
use sessiond_core::time::Span;
use sessiond_proto::v1 as pb;

use super::{enumeration, text, time};
use crate::wire::faults::Faults;

/// The fields as they were sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// `reason`.
    pub(crate) reason: i32,
    /// `detail`.
    pub(crate) detail: String,
    /// `mode`.
    pub(crate) mode: i32,
    /// `end_grace`.
    pub(crate) end_grace: Option<prost_types::Duration>,
    /// `pending_policy`.
    pub(crate) pending_policy: i32,
}

/// How a session is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndTerms {
    /// Why.
    pub(crate) reason: EndReason,
    /// The caller's words.
    pub(crate) detail: String,
    /// What the end waits for.
    pub(crate) mode: EndMode,
    /// How long at most; none takes the mode's default.
    pub(crate) grace: Option<Span>,
    /// What becomes of pending messages.
    pub(crate) pending: PendingPolicy,
}

/// The terms of an end; each fault is recorded.
pub(crate) fn end_terms(faults: &mut Faults, asked: Asked) -> Option<EndTerms> {
    let reason = reason(faults, asked.reason);
    let detail = text::bounded(faults, "detail", asked.detail, TEXT_BYTES_MAX);
    let mode = mode(faults, asked.mode);
    let graced = asked.end_grace.is_some();
    let grace = time::span(faults, "end_grace", asked.end_grace, END_GRACE_MAX);
    if graced && mode == Some(EndMode::Immediate) {
        faults.invalid("end_grace", "must be unset with IMMEDIATE");
    }
    let pending = pending_policy(faults, asked.pending_policy);
    Some(EndTerms {
        reason: reason?,
        detail,
        mode: mode?,
        grace,
        pending: pending?,
    })
}

/// The reason, COMPLETED when unset; the server's own findings are refused.
fn reason(faults: &mut Faults, number: i32) -> Option<EndReason> {
    let named: pb::EndReason = enumeration::known(faults, "reason", number, "EndReason")?;
    let reason = core_reason(named);
    if reason.callers_may_give() {
        return Some(reason);
    }
    let description = match reason {
        EndReason::Admin => "must not be ADMIN: it is for operators".to_owned(),
        EndReason::Evicted
        | EndReason::Capacity
        | EndReason::Expired
        | EndReason::WorkerStuck
        | EndReason::RestartLimit
        | EndReason::OwnerLost
        | EndReason::Completed
        | EndReason::Failed
        | EndReason::Deleted
        | EndReason::Reset
        | EndReason::Replaced
        | EndReason::Compacted
        | EndReason::Scheduled
        | EndReason::Shutdown
        | EndReason::Restart
        | EndReason::Idle
        | EndReason::Crashed => {
            let name = named.as_str_name();
            format!("must not be {name}: it is the server's own finding")
        }
    };
    faults.invalid("reason", description);
    None
}

fn core_reason(reason: pb::EndReason) -> EndReason {
    match reason {
        pb::EndReason::Unspecified | pb::EndReason::Completed => EndReason::Completed,
        pb::EndReason::Failed => EndReason::Failed,
        pb::EndReason::Deleted => EndReason::Deleted,
        pb::EndReason::Admin => EndReason::Admin,
        pb::EndReason::Reset => EndReason::Reset,
        pb::EndReason::Replaced => EndReason::Replaced,
        pb::EndReason::Compacted => EndReason::Compacted,
        pb::EndReason::Scheduled => EndReason::Scheduled,
        pb::EndReason::Shutdown => EndReason::Shutdown,
        pb::EndReason::Restart => EndReason::Restart,
        pb::EndReason::Idle => EndReason::Idle,
        pb::EndReason::Expired => EndReason::Expired,
        pb::EndReason::Evicted => EndReason::Evicted,
        pb::EndReason::Capacity => EndReason::Capacity,
        pb::EndReason::OwnerLost => EndReason::OwnerLost,
        pb::EndReason::WorkerStuck => EndReason::WorkerStuck,
        pb::EndReason::RestartLimit => EndReason::RestartLimit,
        pb::EndReason::Crashed => EndReason::Crashed,
    }
}

fn mode(faults: &mut Faults, number: i32) -> Option<EndMode> {
    Some(
        match enumeration::known(faults, "mode", number, "EndMode")? {
            pb::EndMode::Unspecified | pb::EndMode::Graceful => EndMode::Graceful,
            pb::EndMode::AfterPending => EndMode::AfterPending,
            pb::EndMode::Immediate => EndMode::Immediate,
        },
    )
}

/// What becomes of pending messages, KEEP when unset.
pub(crate) fn pending_policy(faults: &mut Faults, number: i32) -> Option<PendingPolicy> {
    let policy = enumeration::known(faults, "pending_policy", number, "PendingPolicy")?;
    Some(match policy {
        pb::PendingPolicy::Unspecified | pb::PendingPolicy::Keep => PendingPolicy::Keep,
        pb::PendingPolicy::Discard => PendingPolicy::Discard,
    })
}
