//! Calls that look after messages, named one by one or chosen by what they are: what their two ways share.

use sessiond_core::command::letters::Effect;
use sessiond_core::limits::MESSAGES_NAMED_MAX;

use super::page::{self, Page, Sizes};
use crate::wire::faults::Faults;
use crate::wire::token::Binding;

/// The page of a call that chooses messages by what they are.
pub(crate) fn page(
    faults: &mut Faults,
    page_size: u32,
    page_token: &str,
    binding: Binding,
) -> Page {
    let most = u32::try_from(MESSAGES_NAMED_MAX).expect("a bound of a call fits a u32");
    let sizes = Sizes {
        max: most,
        default: most,
    };
    page::page_within(faults, sizes, page_size, page_token, binding)
}

/// Refuses pages where messages are named in `list`.
pub(crate) fn refuse(faults: &mut Faults, page_size: u32, page_token: &str, list: &str) {
    let description = format!("must not be set with `{list}`");
    if page_size != 0 {
        faults.invalid("page_size", description.clone());
    }
    if !page_token.is_empty() {
        faults.invalid("page_token", description);
    }
}

/// Whether a call changes anything.
pub(crate) fn effect(validate_only: bool) -> Effect {
    if validate_only {
        Effect::LeftOut
    } else {
        Effect::Made
    }
}
