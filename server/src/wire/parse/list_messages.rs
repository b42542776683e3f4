//! ListMessages.

use prost::Message;
use sessiond_core::ids::{Namespace, SessionRef};
use sessiond_proto::v1 as pb;

use super::page::{self, Page};
use super::{dead_letter_filter, enumeration, reference};
use crate::wire::faults::{Faults, Invalid};
use crate::wire::query::MessageQuery;
use crate::wire::token::{Binding, ListKind};

/// What ListMessages asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListMessagesCall {
    /// Of which session.
    pub(crate) session: SessionRef,
    /// Which messages.
    pub(crate) query: MessageQuery,
    /// Which of them now.
    pub(crate) page: Page,
    /// Whether to show what they carry.
    pub(crate) payloads: Payloads,
}

/// Whether a list shows payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payloads {
    /// It does.
    Shown,
    /// It leaves them empty.
    LeftOut,
}

/// Which messages to list, out of the log `log_id`.
pub(crate) fn list_messages(
    namespace: &Namespace,
    request: pb::ListMessagesRequest,
    log_id: &str,
) -> Result<ListMessagesCall, Invalid> {
    Faults::collect(|faults| fields(faults, namespace, request, log_id))
}

fn fields(
    faults: &mut Faults,
    namespace: &Namespace,
    request: pb::ListMessagesRequest,
    log_id: &str,
) -> Option<ListMessagesCall> {
    let filter = request.filter.unwrap_or_default();
    let named = request.r#ref.clone().unwrap_or_default();
    let parts = [
        namespace.as_str().as_bytes(),
        &named.encode_to_vec(),
        &filter.encode_to_vec(),
    ];
    let binding = Binding::new(ListKind::Messages, log_id, &parts);
    let session = reference::required(faults, "ref", request.r#ref);
    let query = faults.within("filter", |faults| message_query(faults, filter));
    let page = page::page(faults, request.page_size, &request.page_token, binding);
    Some(ListMessagesCall {
        session: session?,
        query,
        page,
        payloads: if request.include_payload {
            Payloads::Shown
        } else {
            Payloads::LeftOut
        },
    })
}

/// Which messages a filter means.
pub(super) fn message_query(faults: &mut Faults, filter: pb::MessageFilter) -> MessageQuery {
    let kinds = dead_letter_filter::kinds(faults, filter.kinds);
    let states = enumeration::listed(
        faults,
        "states",
        &filter.states,
        pb::MessageState::Unspecified,
        "MessageState",
    );
    MessageQuery { kinds, states }
}
