//! ExportSession: only a reference.

use sessiond_core::ids::SessionRef;
use sessiond_proto::v1 as pb;

use super::reference;
use crate::wire::faults::{Faults, Invalid};

/// Which session to export.
pub(crate) fn export(request: pb::ExportSessionRequest) -> Result<SessionRef, Invalid> {
    let mut faults = Faults::default();
    let session = reference::required(&mut faults, "ref", request.r#ref);
    faults.finish(session)
}
