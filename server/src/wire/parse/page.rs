//! Pages of lists: how many entries, and where to go on.

use sessiond_core::limits::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};

use crate::wire::faults::Faults;
use crate::wire::token::{Binding, PagePosition, TokenError};

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// Entries at most; more than zero.
    pub(crate) size: usize,
    /// After which entry; none starts at the beginning.
    pub(crate) after: Option<PagePosition>,
    /// What the next page's token is bound to.
    pub(crate) binding: Binding,
}

/// The page that a list asks for.
pub(crate) fn page(
    faults: &mut Faults,
    page_size: u32,
    page_token: &str,
    binding: Binding,
) -> Page {
    if page_size > PAGE_SIZE_MAX {
        let description = format!("must be at most {PAGE_SIZE_MAX}, got {page_size}");
        faults.invalid("page_size", description);
    }
    let size = if page_size == 0 {
        PAGE_SIZE_DEFAULT
    } else {
        page_size
    };
    let after = match page_token {
        "" => None,
        token => binding
            .position(token)
            .map_err(|error| faults.invalid("page_token", refused(error)))
            .ok(),
    };
    Page {
        size: size as usize,
        after,
        binding,
    }
}

fn refused(error: TokenError) -> String {
    let what = match error {
        TokenError::Malformed => "must be a token that this list returned, unchanged",
        TokenError::OtherLog => "must not be of another store: start from the first page",
        TokenError::OtherList => "must go with the list, reference and filter that it came from",
    };
    what.to_owned()
}
