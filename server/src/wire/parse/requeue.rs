//! RequeueDeadLetters.

use prost::Message;
use sessiond_core::command::RequestTag;
use sessiond_core::command::letters::Effect;
use sessiond_core::ids::{Namespace, QueueId, Seq, SessionRef};
use sessiond_core::limits::MESSAGES_NAMED_MAX;
use sessiond_proto::v1 as pb;

use super::dead_letter_filter::{self, LetterFilter};
use super::named_page;
use super::page::Page;
use super::request_tag::request_tag;
use super::{number, reference};
use crate::wire::faults::{Faults, Invalid};
use crate::wire::token::{Binding, ListKind};

const RPC: &str = "RequeueDeadLetters";

/// What RequeueDeadLetters asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequeueCall {
    /// Which letters.
    pub(crate) letters: Letters,
    /// Where they go; none: each into its own queue.
    pub(crate) into: Option<SessionRef>,
    /// Whether anything changes.
    pub(crate) effect: Effect,
    /// Its name as a mutation.
    pub(crate) request: Option<RequestTag>,
}

/// How letters are chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Letters {
    /// By their places.
    Named(Vec<(QueueId, Seq)>),
    /// By what they are, a page of them.
    Matching {
        /// Which ones.
        filter: LetterFilter,
        /// Which of them now.
        page: Page,
    },
}

/// Which dead letters to bring back, out of the log `log_id`.
pub(crate) fn requeue(
    namespace: &Namespace,
    request: pb::RequeueDeadLettersRequest,
    log_id: &str,
) -> Result<RequeueCall, Invalid> {
    let mut faults = Faults::default();
    let call = fields(&mut faults, namespace, request, log_id);
    faults.finish(call)
}

fn fields(
    faults: &mut Faults,
    namespace: &Namespace,
    mut request: pb::RequeueDeadLettersRequest,
    log_id: &str,
) -> Option<RequeueCall> {
    let request_id = std::mem::take(&mut request.request_id);
    let tag = request_tag(faults, RPC, request_id, &request);
    let into_given = request.into.is_some();
    let named = request.into.clone().unwrap_or_default();
    let into = match request.into {
        Some(given) => reference::required(faults, "into", Some(given)),
        None => None,
    };
    let chosen = (request.filter, request.letters.is_empty());
    let letters = match chosen {
        (Some(filter), true) => {
            let parts = [
                namespace.as_str().as_bytes(),
                &filter.encode_to_vec(),
                &named.encode_to_vec(),
            ];
            let binding = Binding::new(ListKind::Requeues, log_id, &parts);
            let filter = dead_letter_filter::letter_filter(faults, "filter", filter);
            let page = named_page::page(faults, request.page_size, &request.page_token, binding);
            filter.map(|filter| Letters::Matching { filter, page })
        }
        (filter, _) => {
            named_page::refuse(faults, request.page_size, &request.page_token, "letters");
            if filter.is_some() {
                faults.invalid("letters", "must be empty with `filter`");
            }
            Some(Letters::Named(places(faults, request.letters)))
        }
    };
    Some(RequeueCall {
        letters: letters?,
        into: if into_given { Some(into?) } else { None },
        effect: named_page::effect(request.validate_only),
        request: tag,
    })
}

fn places(faults: &mut Faults, given: Vec<pb::DeadLetterRef>) -> Vec<(QueueId, Seq)> {
    if given.is_empty() {
        let description =
            format!("must have 1 to {MESSAGES_NAMED_MAX} items, or `filter` must be set");
        faults.invalid("letters", description);
    }
    number::items(faults, "letters", given.len(), MESSAGES_NAMED_MAX);
    let mut places = Vec::with_capacity(given.len().min(MESSAGES_NAMED_MAX));
    for (index, letter) in given.into_iter().take(MESSAGES_NAMED_MAX).enumerate() {
        faults.within_item("letters", index, |faults| {
            let queue = number::required(faults, "queue_id", letter.queue_id);
            let seq = number::required(faults, "seq", letter.seq);
            places.push((QueueId(queue), Seq(seq)));
        });
    }
    places
}
