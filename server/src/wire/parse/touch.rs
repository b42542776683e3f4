//! TouchSession.

use sessiond_core::command::Touch;
use sessiond_core::ids::Namespace;
use sessiond_core::session::Usage;
use sessiond_proto::v1 as pb;

use super::reference;
use crate::wire::faults::{Faults, Invalid};

/// Which session is in use.
pub(crate) fn touch(
    namespace: &Namespace,
    request: pb::TouchSessionRequest,
) -> Result<Touch, Invalid> {
    let mut faults = Faults::default();
    let session = reference::required(&mut faults, "ref", request.r#ref);
    faults.finish(session.map(|session| Touch {
        namespace: namespace.clone(),
        session,
        usage: usage(request.usage_delta),
    }))
}

/// Tokens to add; unset adds none.
pub(crate) fn usage(delta: Option<pb::Usage>) -> Usage {
    delta.map_or_else(Usage::default, |delta| Usage {
        input_tokens: delta.input_tokens,
        output_tokens: delta.output_tokens,
    })
}
