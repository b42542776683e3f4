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

/// How many entries a page may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// At most.
    pub(crate) max: u32,
    /// When the caller does not say.
    pub(crate) default: u32,
}

// === impl Sizes ===

impl Sizes {
    /// Up to `max`, and as many when the caller does not say.
    pub(crate) const fn up_to(max: u32) -> Self {
        Self { max, default: max }
    }
}

/// The page that a list asks for.
pub(crate) fn page(
    faults: &mut Faults,
    page_size: u32,
    page_token: &str,
    binding: Binding,
) -> Page {
    let sizes = Sizes {
        max: PAGE_SIZE_MAX,
        default: PAGE_SIZE_DEFAULT,
    };
    page_within(faults, sizes, page_size, page_token, binding)
}

/// The page that a call with sizes of its own asks for.
pub(crate) fn page_within(
    faults: &mut Faults,
    sizes: Sizes,
    page_size: u32,
    page_token: &str,
    binding: Binding,
) -> Page {
    let Sizes { max, default } = sizes;
    if page_size > max {
        let description = format!("must be at most {max}, got {page_size}");
        faults.invalid("page_size", description);
    }
    let size = if page_size == 0 { default } else { page_size };
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
