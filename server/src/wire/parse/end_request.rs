//! EndRequest.

use sessiond_core::command::EndRequest;
use sessiond_core::ids::Namespace;
use sessiond_proto::v1 as pb;

use super::{begin_request, reference};
use crate::wire::faults::{Faults, Invalid};

/// Which request is over.
pub(crate) fn end_request(
    namespace: &Namespace,
    request: pb::EndRequestRequest,
) -> Result<EndRequest, Invalid> {
    let mut faults = Faults::default();
    let session = reference::required(&mut faults, "ref", request.r#ref);
    let token = begin_request::token(&mut faults, request.request_token);
    faults.finish(session.zip(token).map(|(session, token)| EndRequest {
        namespace: namespace.clone(),
        session,
        token,
    }))
}
