//! DiscardMessages.

use prost::Message;
use sessiond_core::command::{Effect, RequestTag};
use sessiond_core::ids::{Namespace, Seq, SessionRef};
use sessiond_proto::v1 as pb;

use super::list_messages::message_query;
use super::named_page::{self, Asked, Chosen};
use super::request_tag::request_tag;
use super::{number, reference};
use crate::wire::faults::{Faults, Invalid};
use crate::wire::query::MessageQuery;
use crate::wire::token::{Binding, ListKind};

const RPC: &str = "DiscardMessages";

/// What DiscardMessages asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DiscardCall {
    /// Of which session.
    pub(crate) session: SessionRef,
    /// Which messages.
    pub(crate) messages: Chosen<Seq, MessageQuery>,
    /// Whether anything changes.
    pub(crate) effect: Effect,
    /// Its name as a mutation.
    pub(crate) request: Option<RequestTag>,
}

/// Which messages to delete, out of the log `log_id`.
pub(crate) fn discard(
    namespace: &Namespace,
    request: pb::DiscardMessagesRequest,
    log_id: &str,
) -> Result<DiscardCall, Invalid> {
    Faults::collect(|faults| fields(faults, namespace, request, log_id))
}

fn fields(
    faults: &mut Faults,
    namespace: &Namespace,
    mut request: pb::DiscardMessagesRequest,
    log_id: &str,
) -> Option<DiscardCall> {
    let request_id = std::mem::take(&mut request.request_id);
    let tag = request_tag(faults, RPC, request_id, &request);
    let named = request.r#ref.clone().unwrap_or_default();
    let session = reference::required(faults, "ref", request.r#ref);
    let asked = Asked {
        list: "seqs",
        named: request.seqs,
        filter: request.filter,
        page_size: request.page_size,
        page_token: &request.page_token,
    };
    let seq = |faults: &mut Faults, seq| Seq(number::required(faults, "", seq));
    let messages = named_page::chosen(faults, asked, seq, |faults, filter| {
        let parts = [
            namespace.as_str().as_bytes(),
            &named.encode_to_vec(),
            &filter.encode_to_vec(),
        ];
        let binding = Binding::new(ListKind::Discards, log_id, &parts);
        let query = faults.within("filter", |faults| query(faults, filter));
        (Some(query), binding)
    });
    Some(DiscardCall {
        session: session?,
        messages: messages?,
        effect: Effect::unless(request.validate_only),
        request: tag,
    })
}

/// What is in flight is left to its worker, so that nobody need ask for it.
fn query(faults: &mut Faults, filter: pb::MessageFilter) -> MessageQuery {
    let in_flight = i32::from(pb::MessageState::InFlight);
    for (index, _) in filter
        .states
        .iter()
        .enumerate()
        .filter(|(_, state)| **state == in_flight)
    {
        faults.within_item("states", index, |faults| {
            faults.invalid("", "must not be IN_FLIGHT: that is left to its worker");
        });
    }
    message_query(faults, filter)
}
