//! DiscardMessages.

use prost::Message;
use sessiond_core::command::RequestTag;
use sessiond_core::command::letters::Effect;
use sessiond_core::ids::{Namespace, Seq, SessionRef};
use sessiond_core::limits::MESSAGES_NAMED_MAX;
use sessiond_proto::v1 as pb;

use super::list_messages::message_query;
use super::named_page;
use super::page::Page;
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
    pub(crate) messages: Chosen,
    /// Whether anything changes.
    pub(crate) effect: Effect,
    /// Its name as a mutation.
    pub(crate) request: Option<RequestTag>,
}

/// How messages are chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// By their numbers.
    Named(Vec<Seq>),
    /// By what they are, a page of them.
    Matching {
        /// Which ones.
        query: MessageQuery,
        /// Which of them now.
        page: Page,
    },
}

/// Which messages to delete, out of the log `log_id`.
pub(crate) fn discard(
    namespace: &Namespace,
    request: pb::DiscardMessagesRequest,
    log_id: &str,
) -> Result<DiscardCall, Invalid> {
    let mut faults = Faults::default();
    let call = fields(&mut faults, namespace, request, log_id);
    faults.finish(call)
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
    let messages = match (request.filter, request.seqs.is_empty()) {
        (Some(filter), true) => {
            let parts = [
                namespace.as_str().as_bytes(),
                &named.encode_to_vec(),
                &filter.encode_to_vec(),
            ];
            let binding = Binding::new(ListKind::Discards, log_id, &parts);
            let query = faults.within("filter", |faults| query(faults, filter));
            let page = named_page::page(faults, request.page_size, &request.page_token, binding);
            Chosen::Matching { query, page }
        }
        (filter, _) => {
            named_page::refuse(faults, request.page_size, &request.page_token, "seqs");
            if filter.is_some() {
                faults.invalid("seqs", "must be empty with `filter`");
            }
            Chosen::Named(seqs(faults, request.seqs))
        }
    };
    Some(DiscardCall {
        session: session?,
        messages,
        effect: named_page::effect(request.validate_only),
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

fn seqs(faults: &mut Faults, given: Vec<u64>) -> Vec<Seq> {
    if given.is_empty() {
        let description =
            format!("must have 1 to {MESSAGES_NAMED_MAX} items, or `filter` must be set");
        faults.invalid("seqs", description);
    }
    number::items(faults, "seqs", given.len(), MESSAGES_NAMED_MAX);
    let mut seqs = Vec::with_capacity(given.len().min(MESSAGES_NAMED_MAX));
    for (index, seq) in given.into_iter().take(MESSAGES_NAMED_MAX).enumerate() {
        faults.within_item("seqs", index, |faults| {
            seqs.push(Seq(number::required(faults, "", seq)));
        });
    }
    seqs
}
