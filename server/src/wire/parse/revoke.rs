//! RevokeLease.

use sessiond_core::command::Revoke;
use sessiond_core::event::Actor;
use sessiond_core::ids::{Epoch, Namespace};
use sessiond_proto::v1 as pb;

use super::reference;
use super::request_tag::request_tag;
use crate::wire::faults::{Faults, Invalid};

const RPC: &str = "RevokeLease";

/// Which session to take from its worker.
pub(crate) fn revoke(
    namespace: &Namespace,
    mut request: pb::RevokeLeaseRequest,
    actor: Actor,
) -> Result<Revoke, Invalid> {
    let mut faults = Faults::default();
    let request_id = std::mem::take(&mut request.request_id);
    let tag = request_tag(&mut faults, RPC, request_id, &request);
    let session = reference::required(&mut faults, "ref", request.r#ref);
    if request.epoch == Some(0) {
        faults.invalid("epoch", "must be more than 0, or left unset");
    }
    faults.finish(session.map(|session| Revoke {
        namespace: namespace.clone(),
        session,
        epoch: request.epoch.map(Epoch),
        request: tag,
        actor,
    }))
}
