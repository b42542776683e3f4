//! ListResources.

use prost::Message;
use sessiond_core::ids::{Namespace, SessionRef};
use sessiond_proto::v1 as pb;

use super::page::{self, Page};
use super::{enumeration, reference};
use crate::wire::faults::{Faults, Invalid};
use crate::wire::token::{Binding, ListKind};

/// What ListResources asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListResourcesCall {
    /// Of which session; none: of all, what is not released.
    pub(crate) session: Option<SessionRef>,
    /// In one of these states; empty: in any.
    pub(crate) states: Vec<pb::ResourceState>,
    /// Which of them now.
    pub(crate) page: Page,
}

/// Which resources to list, out of the log `log_id`.
pub(crate) fn list_resources(
    namespace: &Namespace,
    request: pb::ListResourcesRequest,
    log_id: &str,
) -> Result<ListResourcesCall, Invalid> {
    Faults::collect(|faults| fields(faults, namespace, request, log_id))
}

fn fields(
    faults: &mut Faults,
    namespace: &Namespace,
    mut request: pb::ListResourcesRequest,
    log_id: &str,
) -> Option<ListResourcesCall> {
    let token = std::mem::take(&mut request.page_token);
    let size = std::mem::take(&mut request.page_size);
    // What is left says which list it is.
    let parts = [namespace.as_str().as_bytes(), &request.encode_to_vec()];
    let binding = Binding::new(ListKind::Resources, log_id, &parts);
    let of_one = request.r#ref.is_some();
    let session = request
        .r#ref
        .and_then(|session| reference::required(faults, "ref", Some(session)));
    let states = enumeration::listed(
        faults,
        "states",
        &request.states,
        pb::ResourceState::Unspecified,
        "ResourceState",
    );
    if !of_one {
        refuse_released(faults, &request.states);
    }
    Some(ListResourcesCall {
        session,
        states,
        page: page::page(faults, size, &token, binding),
    })
}

/// Over all sessions only what is not released is found.
fn refuse_released(faults: &mut Faults, states: &[i32]) {
    let released = i32::from(pb::ResourceState::Released);
    let states = states.iter().enumerate();
    for (index, _) in states.filter(|(_, state)| **state == released) {
        faults.within_item("states", index, |faults| {
            faults.invalid("", "must not be RELEASED unless `ref` names a session");
        });
    }
}
