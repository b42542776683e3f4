//! ListWorkers.

use sessiond_core::ids::Namespace;
use sessiond_proto::v1 as pb;

use super::page::{self, Page};
use crate::wire::faults::{Faults, Invalid};
use crate::wire::token::{Binding, ListKind};

/// Which page of the workers of `namespace` to list. Workers belong to no log; their tokens are bound
/// to `log_id` all the same, so that one of another server is told.
pub(crate) fn list_workers(
    namespace: &Namespace,
    request: &pb::ListWorkersRequest,
    log_id: &str,
) -> Result<Page, Invalid> {
    let mut faults = Faults::default();
    let parts = [namespace.as_str().as_bytes()];
    let binding = Binding::new(ListKind::Workers, log_id, &parts);
    let page = page::page(&mut faults, request.page_size, &request.page_token, binding);
    faults.finish(Some(page))
}
