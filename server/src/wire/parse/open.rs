//! OpenSession, also as the `open_if_missing` of an enqueue.

use std::num::NonZeroU32;

use sessiond_core::command::{ConflictPolicy, NewSessionId, Open};
use sessiond_core::event::Actor;
use sessiond_core::ids::{Namespace, PoolName, SessionId, SessionKey};
use sessiond_core::limits::{
    ID_BYTES_MAX, MAX_IN_FLIGHT_MAX, PROMPT_BYTES_MAX, TEXT_BYTES_MAX, WAIT_FOR_SLOT_MAX,
};
use sessiond_core::session::{Ordering, Profile};
use sessiond_proto::v1 as pb;

use super::request_tag::request_tag;
use super::{enumeration, number, text, time};
use crate::wire::faults::{Faults, Invalid};

const RPC: &str = "OpenSession";

/// What to open. `drawn` becomes the id of the session if the caller brings none.
pub(crate) fn open(
    namespace: &Namespace,
    request: pb::OpenSessionRequest,
    drawn: SessionId,
    actor: Actor,
) -> Result<Open, Invalid> {
    Faults::collect(|faults| fields(faults, namespace, request, drawn, actor))
}

/// The same inside another request.
pub(crate) fn fields(
    faults: &mut Faults,
    namespace: &Namespace,
    mut request: pb::OpenSessionRequest,
    drawn: SessionId,
    actor: Actor,
) -> Option<Open> {
    let request_id = std::mem::take(&mut request.request_id);
    let tag = request_tag(faults, RPC, request_id, &request);
    let key = text::optional(faults, "key", request.key, SessionKey::parse);
    let brought = text::optional(faults, "session_id", request.session_id, SessionId::parse);
    let pool = text::optional(faults, "pool", request.pool, PoolName::parse);
    let profile = Profile {
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
    };
    let timeouts = time::timeouts(
        faults,
        request.idle_timeout,
        request.max_lifetime,
        request.owner_timeout,
    );
    let conflict = conflict_policy(faults, request.conflict_policy);
    let wait = time::span(
        faults,
        "wait_for_slot",
        request.wait_for_slot,
        WAIT_FOR_SLOT_MAX,
    );
    let order = ordering(faults, request.ordering);
    let max_in_flight = max_in_flight(faults, request.max_in_flight, order);
    let parent = text::optional(
        faults,
        "parent_session_id",
        request.parent_session_id,
        SessionId::parse,
    );
    Some(Open {
        namespace: namespace.clone(),
        key,
        id: brought.map_or(NewSessionId::Drawn(drawn), NewSessionId::Brought),
        pool,
        profile,
        prompt_number: request.prompt_number,
        timeouts,
        conflict: conflict?,
        wait,
        ordering: order,
        max_in_flight,
        parent,
        request: tag,
        actor,
    })
}

fn conflict_policy(faults: &mut Faults, number: i32) -> Option<ConflictPolicy> {
    let policy = enumeration::known(faults, "conflict_policy", number, "ConflictPolicy")?;
    Some(match policy {
        pb::ConflictPolicy::Unspecified | pb::ConflictPolicy::UseExisting => {
            ConflictPolicy::UseExisting
        }
        pb::ConflictPolicy::Replace => ConflictPolicy::Replace,
        pb::ConflictPolicy::Fail => ConflictPolicy::Fail,
    })
}

/// The order asked for; none is asked for when it is unset or not known.
pub(crate) fn ordering(faults: &mut Faults, number: i32) -> Option<Ordering> {
    match enumeration::known(faults, "ordering", number, "Ordering")? {
        pb::Ordering::Unspecified => None,
        pb::Ordering::Strict => Some(Ordering::Strict),
        pb::Ordering::Serial => Some(Ordering::Serial),
        pb::Ordering::Relaxed => Some(Ordering::Relaxed),
    }
}

/// How many may be in flight: with SERIAL only one.
pub(crate) fn max_in_flight(
    faults: &mut Faults,
    number: Option<u32>,
    order: Option<Ordering>,
) -> Option<NonZeroU32> {
    let max = match order {
        Some(Ordering::Serial) => 1,
        Some(Ordering::Strict | Ordering::Relaxed) | None => MAX_IN_FLIGHT_MAX,
    };
    number::positive(faults, "max_in_flight", number, max)
}
