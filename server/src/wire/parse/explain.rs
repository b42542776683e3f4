//! ExplainSession: only a reference.

use sessiond_core::command::Explain;
use sessiond_core::ids::Namespace;
use sessiond_proto::v1 as pb;

use super::reference;
use crate::wire::faults::{Faults, Invalid};

/// Which session to explain.
pub(crate) fn explain(
    namespace: &Namespace,
    request: pb::ExplainSessionRequest,
) -> Result<Explain, Invalid> {
    let mut faults = Faults::default();
    let session = reference::required(&mut faults, "ref", request.r#ref);
    faults.finish(session.map(|session| Explain {
        namespace: namespace.clone(),
        session,
    }))
}
