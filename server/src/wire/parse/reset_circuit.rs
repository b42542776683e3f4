//! ResetCircuit.

use sessiond_core::command::{ResetCircuit, ResetTarget};
use sessiond_core::event::Actor;
use sessiond_core::ids::{MessageKind, Namespace};
use sessiond_core::limits::KIND_BYTES_MAX;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::reset_circuit_request::Target;

use super::request_tag::request_tag;
use super::{reference, text};
use crate::wire::faults::{Faults, Invalid};

const RPC: &str = "ResetCircuit";

/// Which breaker of which session to reset.
pub(crate) fn reset_circuit(
    namespace: &Namespace,
    mut request: pb::ResetCircuitRequest,
    actor: Actor,
) -> Result<ResetCircuit, Invalid> {
    let mut faults = Faults::default();
    let request_id = std::mem::take(&mut request.request_id);
    let tag = request_tag(&mut faults, RPC, request_id, &request);
    let session = reference::required(&mut faults, "ref", request.r#ref);
    let target = target(&mut faults, request.target);
    let reset = session.zip(target).map(|(session, target)| ResetCircuit {
        namespace: namespace.clone(),
        session,
        target,
        request: tag,
        actor,
    });
    faults.finish(reset)
}

fn target(faults: &mut Faults, target: Option<Target>) -> Option<ResetTarget> {
    match target {
        Some(Target::Kind(kind)) => MessageKind::parse(kind)
            .map_err(|error| faults.invalid("kind", text::describe(error, KIND_BYTES_MAX)))
            .ok()
            .map(ResetTarget::Kind),
        Some(Target::RestartGuard(true)) => Some(ResetTarget::RestartGuard),
        Some(Target::RestartGuard(false)) => {
            faults.invalid("restart_guard", "must be true, or another target");
            None
        }
        None => {
            faults.invalid("target", "must be set: name what to reset");
            None
        }
    }
}
