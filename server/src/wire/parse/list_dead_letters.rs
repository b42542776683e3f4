//! ListDeadLetters.

use prost::Message;
use sessiond_core::ids::Namespace;
use sessiond_proto::v1 as pb;

use super::dead_letter_filter::{self, LetterFilter};
use super::list_messages::Payloads;
use super::page::{self, Page};
use crate::wire::faults::{Faults, Invalid};
use crate::wire::token::{Binding, ListKind};

/// What ListDeadLetters asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListDeadLettersCall {
    /// Which letters.
    pub(crate) filter: LetterFilter,
    /// Which of them now.
    pub(crate) page: Page,
    /// Whether to show what they carry.
    pub(crate) payloads: Payloads,
}

/// Which dead letters to list, out of the log `log_id`.
pub(crate) fn list_dead_letters(
    namespace: &Namespace,
    request: pb::ListDeadLettersRequest,
    log_id: &str,
) -> Result<ListDeadLettersCall, Invalid> {
    let mut faults = Faults::default();
    let filter = request.filter.unwrap_or_default();
    let parts = [namespace.as_str().as_bytes(), &filter.encode_to_vec()];
    let binding = Binding::new(ListKind::DeadLetters, log_id, &parts);
    let filter = dead_letter_filter::letter_filter(&mut faults, "filter", filter);
    let page = page::page(&mut faults, request.page_size, &request.page_token, binding);
    let payloads = if request.include_payload {
        Payloads::Shown
    } else {
        Payloads::LeftOut
    };
    let call = filter.map(|filter| ListDeadLettersCall {
        filter,
        page,
        payloads,
    });
    faults.finish(call)
}
