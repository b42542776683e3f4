//! WatchSessionEvents.

use sessiond_core::ids::{Namespace, Revision, SessionId};
use sessiond_core::limits::{
    BOOKMARK_INTERVAL_MAX, FILTER_SESSIONS_MAX, ID_BYTES_MAX, TEXT_BYTES_MAX,
};
use sessiond_core::time::Span;
use sessiond_proto::v1 as pb;

use super::session_filter::given;
use super::{enumeration, number, text, time};
use crate::wire::faults::{Faults, Invalid};
use crate::wire::query::{EventQuery, Glob};
use crate::wire::token::ResumeToken;

/// What WatchSessionEvents asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WatchCall {
    /// Where to start.
    pub(crate) start: WatchStart,
    /// Whether to send what lives first.
    pub(crate) initial_state: InitialState,
    /// Which events, of which namespaces.
    pub(crate) query: EventQuery,
    /// Longest time between two bookmarks.
    pub(crate) bookmark_interval: Span,
}

/// Where a watch starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchStart {
    /// After the newest commit.
    Now,
    /// From the oldest event on record.
    Oldest,
    /// After this revision.
    After(Revision),
    /// Where an earlier watch or list left off, if it was of this log.
    Resume(ResumeToken),
}

/// Whether a watch sends the sessions that live before the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InitialState {
    /// It does.
    Sent,
    /// It sends events only.
    LeftOut,
}

/// Where to start a watch and what to send. Who may watch all namespaces is not decided here: the
/// query of such a watch names none.
pub(crate) fn watch(
    namespace: &Namespace,
    request: pb::WatchSessionEventsRequest,
) -> Result<WatchCall, Invalid> {
    Faults::collect(|faults| fields(faults, namespace, request))
}

fn fields(
    faults: &mut Faults,
    namespace: &Namespace,
    request: pb::WatchSessionEventsRequest,
) -> Option<WatchCall> {
    use pb::watch_session_events_request::Start;
    let subscribed = matches!(request.start, Some(Start::Subscription(_)));
    if request.take_over && !subscribed {
        faults.invalid("take_over", "must be unset without `subscription`");
    } else if request.take_over {
        faults.not_built("take_over");
    }
    let start = start(faults, request.start);
    let scope = (!request.all_namespaces).then(|| namespace.clone());
    let query = faults.within("filter", |faults| {
        event_query(faults, scope, request.filter.unwrap_or_default())
    });
    let interval = time::span(
        faults,
        "bookmark_interval",
        request.bookmark_interval,
        BOOKMARK_INTERVAL_MAX,
    );
    Some(WatchCall {
        start: start?,
        initial_state: if request.send_initial_state {
            InitialState::Sent
        } else {
            InitialState::LeftOut
        },
        query,
        bookmark_interval: interval.unwrap_or(BOOKMARK_INTERVAL_MAX),
    })
}

fn start(
    faults: &mut Faults,
    start: Option<pb::watch_session_events_request::Start>,
) -> Option<WatchStart> {
    use pb::watch_session_events_request::Start;
    match start {
        None | Some(Start::Now(true)) => Some(WatchStart::Now),
        Some(Start::Oldest(true)) => Some(WatchStart::Oldest),
        Some(Start::AfterRevision(revision)) => Some(WatchStart::After(Revision(revision))),
        Some(Start::ResumeToken(token)) => {
            let token = ResumeToken::decode(&token);
            if token.is_none() {
                let description = "must be a token that a watch or list returned, unchanged";
                faults.invalid("resume_token", description);
            }
            token.map(WatchStart::Resume)
        }
        Some(Start::Subscription(_)) => {
            faults.not_built("subscription");
            None
        }
        Some(Start::Now(false)) => {
            faults.invalid("now", "must be true, or another start");
            None
        }
        Some(Start::Oldest(false)) => {
            faults.invalid("oldest", "must be true, or another start");
            None
        }
    }
}

fn event_query(
    faults: &mut Faults,
    namespace: Option<Namespace>,
    filter: pb::EventFilter,
) -> EventQuery {
    let types = enumeration::listed(
        faults,
        "types",
        &filter.types,
        pb::EventType::Unspecified,
        "EventType",
    );
    let found = filter.session_ids.len();
    number::items(faults, "session_ids", found, FILTER_SESSIONS_MAX);
    let ids = filter.session_ids.into_iter().take(FILTER_SESSIONS_MAX);
    let sessions = ids.enumerate().filter_map(|(index, id)| {
        faults.within_item("session_ids", index, |faults| {
            text::required(faults, "", id, SessionId::parse)
        })
    });
    let sessions = sessions.collect();
    let key_glob = text::bounded(faults, "key_glob", filter.key_glob, ID_BYTES_MAX);
    let project = text::bounded(faults, "project", filter.project, TEXT_BYTES_MAX);
    EventQuery {
        namespace,
        types,
        sessions,
        key_glob: given(key_glob).map(Glob::new),
        labels: text::labels(faults, "labels", filter.labels),
        project: given(project),
    }
}
