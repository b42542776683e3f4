//! WatchSessionEvents.

use sessiond_core::ids::{InstanceId, Namespace, Revision, SessionId, SubscriptionName};
use sessiond_core::limits::{
    BOOKMARK_INTERVAL_MAX, FILTER_SESSIONS_MAX, ID_BYTES_MAX, TEXT_BYTES_MAX,
};
use sessiond_core::time::Span;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::event_start;
use sessiond_proto::v1::watch_session_events_request::Start;

use super::session_filter::given;
use super::{enumeration, number, text, time};
use crate::wire::faults::{Faults, Invalid};
use crate::wire::query::{EventQuery, Glob};
use crate::wire::token::ResumeToken;

/// What WatchSessionEvents asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WatchCall {
    /// Where to start, and which events to send.
    pub(crate) source: WatchSource,
    /// Whether to send what lives first.
    pub(crate) initial_state: InitialState,
    /// Longest time between two bookmarks.
    pub(crate) bookmark_interval: Span,
}

/// What a watch reads, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WatchSource {
    /// What its caller says.
    Asked {
        /// From where.
        start: WatchStart,
        /// Which events, of which namespaces.
        query: EventQuery,
    },
    /// What a subscription says.
    Subscription {
        /// Which.
        name: SubscriptionName,
        /// Who consumes it; none: somebody who never did before.
        consumer: Option<InstanceId>,
        /// Whether another consumer must give way.
        take_over: bool,
    },
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
    let interval = time::span(
        faults,
        "bookmark_interval",
        request.bookmark_interval,
        BOOKMARK_INTERVAL_MAX,
    );
    let initial_state = if request.send_initial_state {
        InitialState::Sent
    } else {
        InitialState::LeftOut
    };
    Some(WatchCall {
        source: source(faults, namespace, request)?,
        initial_state,
        bookmark_interval: interval.unwrap_or(BOOKMARK_INTERVAL_MAX),
    })
}

fn source(
    faults: &mut Faults,
    namespace: &Namespace,
    request: pb::WatchSessionEventsRequest,
) -> Option<WatchSource> {
    if let Some(Start::Subscription(name)) = request.start {
        if request.filter.is_some() {
            faults.invalid("filter", "must be unset with `subscription`, which has one");
        }
        if request.all_namespaces {
            let description = "must be unset with `subscription`, which is of one namespace";
            faults.invalid("all_namespaces", description);
        }
        let consumer = text::optional(faults, "consumer", request.consumer, InstanceId::parse);
        let name = text::required(faults, "subscription", name, SubscriptionName::parse)?;
        return Some(WatchSource::Subscription {
            name,
            consumer,
            take_over: request.take_over,
        });
    }
    if request.take_over {
        faults.invalid("take_over", "must be unset without `subscription`");
    }
    if !request.consumer.is_empty() {
        faults.invalid("consumer", "must be unset without `subscription`");
    }
    let start = start(faults, request.start);
    let scope = (!request.all_namespaces).then(|| namespace.clone());
    let query = faults.within("filter", |faults| {
        event_query(faults, scope, request.filter.unwrap_or_default())
    });
    Some(WatchSource::Asked {
        start: start?,
        query,
    })
}

/// Where to start that is no subscription.
fn start(faults: &mut Faults, start: Option<Start>) -> Option<WatchStart> {
    let Some(start) = start else {
        return Some(WatchStart::Now);
    };
    let start = match start {
        Start::Now(yes) => event_start::Start::Now(yes),
        Start::Oldest(yes) => event_start::Start::Oldest(yes),
        Start::AfterRevision(revision) => event_start::Start::AfterRevision(revision),
        Start::ResumeToken(token) => event_start::Start::ResumeToken(token),
        Start::Subscription(_) => return None,
    };
    place(faults, Some(start))
}

/// A place of the log; unset is behind the newest commit.
pub(super) fn place(faults: &mut Faults, start: Option<event_start::Start>) -> Option<WatchStart> {
    use event_start::Start;
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

/// Which events a filter means.
pub(super) fn event_query(
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
