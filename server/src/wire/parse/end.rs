//! EndSession.

use sessiond_core::command::End;
use sessiond_core::event::Actor;
use sessiond_core::ids::{Namespace, SessionId};
use sessiond_core::limits::{END_GRACE_MAX, END_WAIT_MAX, TEXT_BYTES_MAX};
use sessiond_core::session::{EndClass, EndMode, EndReason, PendingPolicy};
use sessiond_core::time::Span;
use sessiond_proto::v1 as pb;

use super::request_tag::request_tag;
use super::{enumeration, reference, text, time};
use crate::wire::faults::{Faults, Invalid};

const RPC: &str = "EndSession";

/// What EndSession asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndCall {
    /// What to decide.
    pub(crate) end: End,
    /// How long to wait for ENDED before answering; none answers when the decision is durable.
    pub(crate) wait: Option<Span>,
}

/// Which session to end, and how.
pub(crate) fn end(
    namespace: &Namespace,
    request: pb::EndSessionRequest,
    actor: Actor,
) -> Result<EndCall, Invalid> {
    let mut faults = Faults::default();
    let call = fields(&mut faults, namespace, request, actor);
    faults.finish(call)
}

fn fields(
    faults: &mut Faults,
    namespace: &Namespace,
    mut request: pb::EndSessionRequest,
    actor: Actor,
) -> Option<EndCall> {
    let request_id = std::mem::take(&mut request.request_id);
    let tag = request_tag(faults, RPC, request_id, &request);
    let session = reference::required(faults, "ref", request.r#ref);
    let reason = reason(faults, request.reason);
    let detail = text::bounded(faults, "detail", request.detail, TEXT_BYTES_MAX);
    let mode = mode(faults, request.mode);
    let graced = request.end_grace.is_some();
    let grace = time::span(faults, "end_grace", request.end_grace, END_GRACE_MAX);
    if graced && mode == Some(EndMode::Immediate) {
        faults.invalid("end_grace", "must be unset with IMMEDIATE");
    }
    let pending = pending_policy(faults, request.pending_policy);
    let successor = text::optional(
        faults,
        "successor_id",
        request.successor_id,
        SessionId::parse,
    );
    if successor.is_some() && reason.is_some_and(|reason| reason.class() != EndClass::Rotated) {
        let description = "must be empty unless the reason is of class ROTATED";
        faults.invalid("successor_id", description);
    }
    let waited = request.wait.is_some();
    let wait = time::span(faults, "wait", request.wait, END_WAIT_MAX);
    wait_for(faults, request.wait_for, waited);
    Some(EndCall {
        end: End {
            namespace: namespace.clone(),
            session: session?,
            reason: reason?,
            detail,
            mode: mode?,
            grace,
            pending: pending?,
            successor,
            request: tag,
            actor,
        },
        wait,
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

fn pending_policy(faults: &mut Faults, number: i32) -> Option<PendingPolicy> {
    let policy = enumeration::known(faults, "pending_policy", number, "PendingPolicy")?;
    Some(match policy {
        pb::PendingPolicy::Unspecified | pb::PendingPolicy::Keep => PendingPolicy::Keep,
        pb::PendingPolicy::Discard => PendingPolicy::Discard,
    })
}

/// ENDED is what is waited for; what resources would add is not built.
fn wait_for(faults: &mut Faults, number: i32, waited: bool) {
    match enumeration::known(faults, "wait_for", number, "WaitFor") {
        None | Some(pb::WaitFor::Unspecified) => {}
        Some(pb::WaitFor::Ended | pb::WaitFor::Released) if !waited => {
            faults.invalid("wait_for", "must be unset without `wait`");
        }
        Some(pb::WaitFor::Ended) => {}
        Some(pb::WaitFor::Released) => faults.not_built("wait_for"),
    }
}
