//! BeginRequest.

use sessiond_core::command::BeginRequest;
use sessiond_core::ids::Namespace;
use sessiond_core::limits::{REQUEST_LEASE_MAX, REQUEST_LEASE_MIN};
use sessiond_core::requests::RequestToken;
use sessiond_proto::v1 as pb;

use super::{reference, text, time};
use crate::wire::faults::{Faults, Invalid};

/// Which session is being used, and for how long.
pub(crate) fn begin_request(
    namespace: &Namespace,
    request: pb::BeginRequestRequest,
) -> Result<BeginRequest, Invalid> {
    let mut faults = Faults::default();
    let session = reference::required(&mut faults, "ref", request.r#ref);
    let lease = time::span_between(
        &mut faults,
        "request_lease",
        request.request_lease,
        REQUEST_LEASE_MIN,
        REQUEST_LEASE_MAX,
    );
    let renews = match request.request_token {
        none if none.is_empty() => None,
        given => token(&mut faults, given),
    };
    faults.finish(session.map(|session| BeginRequest {
        namespace: namespace.clone(),
        session,
        lease,
        renews,
    }))
}

/// The request that a token names. A text that is no token of ours names none that there is, which the
/// rules say; it is no fault of the field.
pub(super) fn token(faults: &mut Faults, given: String) -> Option<RequestToken> {
    text::required(faults, "request_token", given, |text| {
        sessiond_core::ids::check_text(&text)?;
        Ok(RequestToken::parse(&text))
    })
}
