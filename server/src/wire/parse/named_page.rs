//! Calls that look after messages, named one by one or chosen by what they are.
//!
//! Invariant: a call uses exactly one of the two ways, so that none reaches more than its caller meant. What this
//! deliberately does not do: know what a name or a filter is; each call reads its own.

use sessiond_core::limits::MESSAGES_NAMED_MAX;

use super::number;
use super::page::{self, Page, Sizes};
use crate::wire::faults::Faults;
use crate::wire::token::Binding;

/// How messages are chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chosen<N, Q> {
    /// By their names.
    Named(Vec<N>),
    /// By what they are, a page of them.
    Matching {
        /// Which ones.
        query: Q,
        /// Which of them now.
        page: Page,
    },
}

/// The fields of a request that say which messages are meant.
#[derive(Debug)]
pub(crate) struct Asked<'r, G, F> {
    /// The field that names messages.
    pub(crate) list: &'static str,
    /// What is in it.
    pub(crate) named: Vec<G>,
    /// What the messages must be, if they are not named.
    pub(crate) filter: Option<F>,
    /// How many at once, if they are not named.
    pub(crate) page_size: u32,
    /// Where to go on, if they are not named.
    pub(crate) page_token: &'r str,
}

/// Which messages are meant: each is read by `name`, or what they are and what their pages are bound to by `matching`.
pub(crate) fn chosen<G, F, N, Q>(
    faults: &mut Faults,
    asked: Asked<'_, G, F>,
    name: impl FnMut(&mut Faults, G) -> N,
    matching: impl FnOnce(&mut Faults, F) -> (Option<Q>, Binding),
) -> Option<Chosen<N, Q>> {
    match (asked.filter, asked.named.is_empty()) {
        (Some(filter), true) => {
            let (query, binding) = matching(faults, filter);
            let page = page(faults, asked.page_size, asked.page_token, binding);
            query.map(|query| Chosen::Matching { query, page })
        }
        (filter, _) => {
            refuse(faults, asked.page_size, asked.page_token, asked.list);
            if filter.is_some() {
                faults.invalid(asked.list, "must be empty with `filter`");
            }
            Some(Chosen::Named(names(faults, asked.list, asked.named, name)))
        }
    }
}

fn names<G, N>(
    faults: &mut Faults,
    list: &str,
    given: Vec<G>,
    mut name: impl FnMut(&mut Faults, G) -> N,
) -> Vec<N> {
    if given.is_empty() {
        let description =
            format!("must have 1 to {MESSAGES_NAMED_MAX} items, or `filter` must be set");
        faults.invalid(list, description);
    }
    number::items(faults, list, given.len(), MESSAGES_NAMED_MAX);
    let given = given.into_iter().take(MESSAGES_NAMED_MAX).enumerate();
    given
        .map(|(index, one)| faults.within_item(list, index, |faults| name(faults, one)))
        .collect()
}

/// The page of a call that chooses messages by what they are.
fn page(faults: &mut Faults, page_size: u32, page_token: &str, binding: Binding) -> Page {
    let most = u32::try_from(MESSAGES_NAMED_MAX).expect("a bound of a call fits a u32");
    page::page_within(faults, Sizes::up_to(most), page_size, page_token, binding)
}

/// Refuses pages where messages are named in `list`.
fn refuse(faults: &mut Faults, page_size: u32, page_token: &str, list: &str) {
    let description = format!("must not be set with `{list}`");
    if page_size != 0 {
        faults.invalid("page_size", description.clone());
    }
    if !page_token.is_empty() {
        faults.invalid("page_token", description);
    }
}
