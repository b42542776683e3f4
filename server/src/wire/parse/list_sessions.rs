//! ListSessions.

use prost::Message;
use sessiond_core::ids::Namespace;
use sessiond_proto::v1 as pb;

use super::page::{self, Page};
use super::session_filter;
use crate::wire::faults::{Faults, Invalid};
use crate::wire::query::SessionQuery;
use crate::wire::token::{Binding, ListKind};

/// What ListSessions asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListSessionsCall {
    /// Which sessions.
    pub(crate) query: SessionQuery,
    /// Which of them now.
    pub(crate) page: Page,
}

/// Which sessions to list, out of the log `log_id`.
pub(crate) fn list_sessions(
    namespace: &Namespace,
    request: pb::ListSessionsRequest,
    log_id: &str,
) -> Result<ListSessionsCall, Invalid> {
    let mut faults = Faults::default();
    let filter = request.filter.unwrap_or_default();
    let parts = [namespace.as_str().as_bytes(), &filter.encode_to_vec()];
    let binding = Binding::new(ListKind::Sessions, log_id, &parts);
    let query = faults.within("filter", |faults| {
        session_filter::of_list(faults, namespace, filter)
    });
    let page = page::page(&mut faults, request.page_size, &request.page_token, binding);
    faults.finish(Some(ListSessionsCall { query, page }))
}
