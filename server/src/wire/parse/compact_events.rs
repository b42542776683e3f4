//! CompactEvents: only up to where.

use sessiond_core::ids::Revision;
use sessiond_proto::v1 as pb;

use crate::wire::faults::{Faults, Invalid};

/// Up to where to delete events of a log that ends with `newest`.
pub(crate) fn compact_events(
    request: pb::CompactEventsRequest,
    newest: Revision,
) -> Result<Revision, Invalid> {
    let mut faults = Faults::default();
    let through = request.through_revision;
    if !(1..=newest.0).contains(&through) {
        faults.invalid(
            "through_revision",
            format!("must be 1 to the newest revision, {newest}, got {through}"),
        );
    }
    faults.finish(Some(Revision(through)))
}
