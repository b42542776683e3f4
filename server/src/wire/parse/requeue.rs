//! RequeueDeadLetters.

use prost::Message;
use sessiond_core::command::{Effect, RequestTag};
use sessiond_core::ids::{Namespace, QueueId, Seq, SessionRef};
use sessiond_proto::v1 as pb;

use super::dead_letter_filter::{self, LetterFilter};
use super::named_page::{self, Asked, Chosen};
use super::request_tag::request_tag;
use super::{number, reference};
use crate::wire::faults::{Faults, Invalid};
use crate::wire::token::{Binding, ListKind};

const RPC: &str = "RequeueDeadLetters";

/// What RequeueDeadLetters asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequeueCall {
    /// Which letters.
    pub(crate) letters: Chosen<(QueueId, Seq), LetterFilter>,
    /// Where they go; none: each into its own queue.
    pub(crate) into: Option<SessionRef>,
    /// Whether anything changes.
    pub(crate) effect: Effect,
    /// Its name as a mutation.
    pub(crate) request: Option<RequestTag>,
}

/// Which dead letters to bring back, out of the log `log_id`.
pub(crate) fn requeue(
    namespace: &Namespace,
    request: pb::RequeueDeadLettersRequest,
    log_id: &str,
) -> Result<RequeueCall, Invalid> {
    Faults::collect(|faults| fields(faults, namespace, request, log_id))
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
    let asked = Asked {
        list: "letters",
        named: request.letters,
        filter: request.filter,
        page_size: request.page_size,
        page_token: &request.page_token,
    };
    let letters = named_page::chosen(faults, asked, place, |faults, filter| {
        let parts = [
            namespace.as_str().as_bytes(),
            &filter.encode_to_vec(),
            &named.encode_to_vec(),
        ];
        let binding = Binding::new(ListKind::Requeues, log_id, &parts);
        let filter = dead_letter_filter::letter_filter(faults, "filter", filter);
        (filter, binding)
    });
    Some(RequeueCall {
        letters: letters?,
        into: if into_given { Some(into?) } else { None },
        effect: Effect::unless(request.validate_only),
        request: tag,
    })
}

fn place(faults: &mut Faults, letter: pb::DeadLetterRef) -> (QueueId, Seq) {
    let queue = number::required(faults, "queue_id", letter.queue_id);
    let seq = number::required(faults, "seq", letter.seq);
    (QueueId(queue), Seq(seq))
}
