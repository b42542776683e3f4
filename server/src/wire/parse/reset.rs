//! ResetSession.

use sessiond_core::command::{Carry, NewSessionId, Reset};
use sessiond_core::event::Actor;
use sessiond_core::ids::{Namespace, SessionId};
use sessiond_core::limits::{ID_BYTES_MAX, PROMPT_BYTES_MAX, TEXT_BYTES_MAX};
use sessiond_core::session::{EndReason, Profile};
use sessiond_proto::v1 as pb;

use super::open::{max_in_flight, ordering};
use super::request_tag::request_tag;
use super::{enumeration, reference, text, time};
use crate::wire::faults::{Faults, Invalid};

const RPC: &str = "ResetSession";

/// Which session to reset, and how. `drawn` becomes the id of the successor if the caller brings none.
pub(crate) fn reset(
    namespace: &Namespace,
    request: pb::ResetSessionRequest,
    drawn: SessionId,
    actor: Actor,
) -> Result<Reset, Invalid> {
    Faults::collect(|faults| fields(faults, namespace, request, drawn, actor))
}

fn fields(
    faults: &mut Faults,
    namespace: &Namespace,
    mut request: pb::ResetSessionRequest,
    drawn: SessionId,
    actor: Actor,
) -> Option<Reset> {
    let request_id = std::mem::take(&mut request.request_id);
    let tag = request_tag(faults, RPC, request_id, &request);
    let session = reference::required(faults, "ref", request.r#ref.take());
    let reason = reason(faults, request.reason);
    let detail = std::mem::take(&mut request.detail);
    let detail = text::bounded(faults, "detail", detail, TEXT_BYTES_MAX);
    let new_id = std::mem::take(&mut request.new_session_id);
    let brought = text::optional(faults, "new_session_id", new_id, SessionId::parse);
    let carry = carry(faults, request.carry);
    let etag = std::mem::take(&mut request.etag);
    let etag = text::optional(faults, "etag", etag, |etag| {
        sessiond_core::ids::check_text(&etag).map(|()| etag)
    });
    let timeouts = time::timeouts(
        faults,
        request.idle_timeout.take(),
        request.max_lifetime.take(),
        request.owner_timeout.take(),
    );
    let order = ordering(faults, request.ordering);
    let in_flight = max_in_flight(faults, request.max_in_flight, order);
    let parent = std::mem::take(&mut request.parent_session_id);
    let parent = text::optional(faults, "parent_session_id", parent, SessionId::parse);
    let prompt_number = request.prompt_number;
    let profile = profile(faults, request);
    Some(Reset {
        namespace: namespace.clone(),
        session: session?,
        reason: reason?,
        detail,
        id: brought.map_or(NewSessionId::Drawn(drawn), NewSessionId::Brought),
        carry: carry?,
        profile,
        prompt_number,
        timeouts,
        ordering: order,
        max_in_flight: in_flight,
        parent,
        etag,
        request: tag,
        actor,
    })
}

fn profile(faults: &mut Faults, request: pb::ResetSessionRequest) -> Profile {
    Profile {
        project: text::bounded(faults, "project", request.project, TEXT_BYTES_MAX),
        source: text::bounded(faults, "source", request.source, ID_BYTES_MAX),
        agent_id: text::name(faults, "agent_id", request.agent_id),
        labels: text::labels(faults, "labels", request.labels),
        prompt: text::bounded(faults, "prompt", request.prompt, PROMPT_BYTES_MAX),
        transcript_path: text::bounded(
            faults,
            "transcript_path",
            request.transcript_path,
            TEXT_BYTES_MAX,
        ),
    }
}

/// The reason, RESET when unset: only those under which a conversation goes on in a new session.
fn reason(faults: &mut Faults, number: i32) -> Option<EndReason> {
    let named: pb::EndReason = enumeration::known(faults, "reason", number, "EndReason")?;
    let reason = match named {
        pb::EndReason::Unspecified | pb::EndReason::Reset => EndReason::Reset,
        pb::EndReason::Compacted => EndReason::Compacted,
        pb::EndReason::Scheduled => EndReason::Scheduled,
        pb::EndReason::Replaced => EndReason::Replaced,
        pb::EndReason::Completed
        | pb::EndReason::Failed
        | pb::EndReason::Deleted
        | pb::EndReason::Admin
        | pb::EndReason::Shutdown
        | pb::EndReason::Restart
        | pb::EndReason::Idle
        | pb::EndReason::Expired
        | pb::EndReason::Evicted
        | pb::EndReason::Capacity
        | pb::EndReason::OwnerLost
        | pb::EndReason::WorkerStuck
        | pb::EndReason::RestartLimit
        | pb::EndReason::Crashed => {
            let name = named.as_str_name();
            let description =
                format!("must be RESET, COMPACTED, SCHEDULED or REPLACED, got {name}");
            faults.invalid("reason", description);
            return None;
        }
    };
    Some(reason)
}

fn carry(faults: &mut Faults, number: i32) -> Option<Carry> {
    Some(
        match enumeration::known(faults, "carry", number, "Carry")? {
            pb::Carry::Unspecified | pb::Carry::Move => Carry::Move,
            pb::Carry::Keep => Carry::Keep,
            pb::Carry::Discard => Carry::Discard,
        },
    )
}
