//! Filters of dead letters, as the calls that list and requeue them take them.

use sessiond_core::ids::{MessageKind, SessionRef};
use sessiond_core::limits::{FILTER_KINDS_MAX, KIND_BYTES_MAX};
use sessiond_proto::v1 as pb;

use super::{enumeration, number, reference, text, time};
use crate::wire::faults::Faults;
use crate::wire::query::LetterQuery;

/// Which dead letters are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LetterFilter {
    /// Those of this session; none: of the whole namespace.
    pub(crate) session: Option<SessionRef>,
    /// What they must be besides.
    pub(crate) query: LetterQuery,
}

/// The filter in a field; none if its session is not named as it must be.
pub(crate) fn letter_filter(
    faults: &mut Faults,
    field: &str,
    filter: pb::DeadLetterFilter,
) -> Option<LetterFilter> {
    faults.within(field, |faults| {
        let named = filter.r#ref.is_some();
        let session = match filter.r#ref {
            Some(given) => reference::required(faults, "ref", Some(given)),
            None => None,
        };
        let query = LetterQuery {
            kinds: kinds(faults, filter.kinds),
            reasons: enumeration::listed(
                faults,
                "reasons",
                &filter.reasons,
                pb::DeadLetterReason::Unspecified,
                "DeadLetterReason",
            ),
            since: time::past(faults, "since_time", filter.since_time),
            until: time::past(faults, "until_time", filter.until_time),
        };
        if let (Some(since), Some(until)) = (query.since, query.until)
            && until <= since
        {
            faults.invalid("until_time", "must be later than `since_time`");
        }
        (session.is_some() == named).then_some(LetterFilter { session, query })
    })
}

/// The kinds that a filter of messages names.
pub(crate) fn kinds(faults: &mut Faults, given: Vec<String>) -> Vec<MessageKind> {
    number::items(faults, "kinds", given.len(), FILTER_KINDS_MAX);
    let mut kinds = Vec::new();
    for (index, kind) in given.into_iter().take(FILTER_KINDS_MAX).enumerate() {
        faults.within_item("kinds", index, |faults| match MessageKind::parse(kind) {
            Ok(kind) => kinds.push(kind),
            Err(error) => faults.invalid("", text::describe(error, KIND_BYTES_MAX)),
        });
    }
    kinds
}
