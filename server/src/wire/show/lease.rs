//! Leases.

use sessiond_core::lease::LeaseView;
use sessiond_proto::v1 as pb;

use super::time::timestamp;

/// A lease of a session.
pub(crate) fn lease(lease: &LeaseView, session_id: &str) -> pb::Lease {
    pb::Lease {
        worker: lease.worker.to_string(),
        instance_id: lease.instance.to_string(),
        epoch: lease.epoch.0,
        acquire_time: Some(timestamp(lease.acquire_time)),
        expire_time: Some(timestamp(lease.expire_time)),
        session_id: session_id.to_owned(),
    }
}
