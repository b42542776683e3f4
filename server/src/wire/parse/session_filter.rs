//! Filters of sessions, for lists and for work.

use sessiond_core::ids::{Namespace, Revision};
use sessiond_core::limits::{ID_BYTES_MAX, TEXT_BYTES_MAX};
use sessiond_core::presence::SessionFilter;
use sessiond_proto::v1 as pb;

use super::{enumeration, text};
use crate::wire::faults::Faults;
use crate::wire::query::SessionQuery;

/// Which sessions a list shows.
pub(crate) fn of_list(
    faults: &mut Faults,
    namespace: &Namespace,
    filter: pb::SessionFilter,
) -> SessionQuery {
    let states = states(faults, &filter.states);
    SessionQuery {
        namespace: namespace.clone(),
        states,
        ended_after: filter.ended_after_revision.map(Revision),
        filter: conditions(faults, filter),
    }
}

/// Which sessions a worker takes work of: for these, neither a state nor an end is a condition yet.
pub(crate) fn of_work(faults: &mut Faults, filter: pb::SessionFilter) -> SessionFilter {
    let states = states(faults, &filter.states);
    if !states.is_empty() {
        faults.not_built("states");
    }
    if filter.ended_after_revision.is_some() {
        faults.not_built("ended_after_revision");
    }
    conditions(faults, filter)
}

fn states(faults: &mut Faults, given: &[i32]) -> Vec<pb::SessionState> {
    enumeration::listed(
        faults,
        "states",
        given,
        pb::SessionState::Unspecified,
        "SessionState",
    )
}

fn conditions(faults: &mut Faults, filter: pb::SessionFilter) -> SessionFilter {
    let project = text::bounded(faults, "project", filter.project, TEXT_BYTES_MAX);
    let key_prefix = text::bounded(faults, "key_prefix", filter.key_prefix, ID_BYTES_MAX);
    let pool = text::bounded(faults, "pool", filter.pool, ID_BYTES_MAX);
    SessionFilter {
        labels: text::labels(faults, "labels", filter.labels),
        project: given(project),
        key_prefix: given(key_prefix),
        pool: given(pool),
    }
}

/// An empty text is no condition.
pub(crate) fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
