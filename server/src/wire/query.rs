//! Queries: which rows a list or a watch shows, once its filter is parsed.
//!
//! A row matches when it meets every condition; an empty condition is none. Queries look at one row
//! at a time and know no index: how the rows are found is the caller's business.

mod glob;

use std::collections::BTreeSet;

use sessiond_core::event::{About, EventRow};
use sessiond_core::ids::{MessageKind, Namespace, Revision, SessionId};
use sessiond_core::message::MessageRow;
use sessiond_core::presence::SessionFilter;
use sessiond_core::queue::Disposition;
use sessiond_core::session::{Labels, SessionRow};
use sessiond_core::time::{EngineTime, Span, WallTime};
use sessiond_proto::v1 as pb;

use super::show;

pub(crate) use glob::Glob;

/// Which sessions a list shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionQuery {
    /// Of this namespace.
    pub(crate) namespace: Namespace,
    /// In one of these states; empty: in any.
    pub(crate) states: Vec<pb::SessionState>,
    /// Ended, and the newest event about it is after this revision. A session that ended before and
    /// had news since is shown too: whoever catches up on ends loses none.
    pub(crate) ended_after: Option<Revision>,
    /// What it says of itself.
    pub(crate) filter: SessionFilter,
}

/// Which sessions a bulk end means: live ones only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LiveQuery {
    /// What they must be besides.
    pub(crate) query: SessionQuery,
    /// Whose key is such a one; none: with any key or without.
    pub(crate) key_glob: Option<Glob>,
}

/// Which sessions a purge means: ended ones only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndedQuery {
    /// What they must be besides.
    pub(crate) query: SessionQuery,
    /// How long ago they must have ended at least, in engine time.
    pub(crate) ended_for: Option<Span>,
}

/// Which messages a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MessageQuery {
    /// Of one of these kinds; empty: of any.
    pub(crate) kinds: Vec<MessageKind>,
    /// In one of these states; empty: in any.
    pub(crate) states: Vec<pb::MessageState>,
}

/// Which dead letters are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LetterQuery {
    /// Of one of these kinds; empty: of any.
    pub(crate) kinds: Vec<MessageKind>,
    /// Given up for one of these reasons; empty: for any.
    pub(crate) reasons: Vec<pb::DeadLetterReason>,
    /// Given up then or later.
    pub(crate) since: Option<WallTime>,
    /// Given up before.
    pub(crate) until: Option<WallTime>,
}

/// Which events a watch shows, and of which sessions its initial state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventQuery {
    /// Of this namespace; none: of all.
    pub(crate) namespace: Option<Namespace>,
    /// Of one of these types; empty: of any.
    pub(crate) types: Vec<pb::EventType>,
    /// About one of these sessions; empty: about any.
    pub(crate) sessions: BTreeSet<SessionId>,
    /// About a session with such a key.
    pub(crate) key_glob: Option<Glob>,
    /// About a session with all of these labels.
    pub(crate) labels: Labels,
    /// About a session of this project.
    pub(crate) project: Option<String>,
}

// === impl SessionQuery ===

impl SessionQuery {
    /// Whether the list shows a session.
    pub(crate) fn matches(&self, session: &SessionRow) -> bool {
        session.namespace == self.namespace
            && among(&self.states, &show::session::state(&session.lifecycle))
            && self
                .ended_after
                .is_none_or(|after| session.is_ended() && session.revision > after)
            && self.filter.matches(session)
    }
}

// === impl LiveQuery ===

impl LiveQuery {
    /// Whether a session is meant.
    pub(crate) fn matches(&self, session: &SessionRow) -> bool {
        !session.is_ended()
            && has_key(session, self.key_glob.as_ref())
            && self.query.matches(session)
    }
}

// === impl EndedQuery ===

impl EndedQuery {
    /// Whether a session is meant at this time.
    pub(crate) fn matches(&self, session: &SessionRow, now: EngineTime) -> bool {
        let Some(ended_at) = session.ended_at() else {
            return false;
        };
        let long_ago = |span| now.since(ended_at) >= span;
        self.ended_for.is_none_or(long_ago) && self.query.matches(session)
    }
}

// === impl MessageQuery ===

impl MessageQuery {
    /// Whether the list shows a message of a queue.
    pub(crate) fn matches(&self, message: &MessageRow, disposition: Disposition) -> bool {
        among(&self.kinds, &message.kind)
            && among(&self.states, &show::message::state(message, disposition))
    }
}

// === impl LetterQuery ===

impl LetterQuery {
    /// Whether a message of a queue is a dead letter that is meant.
    pub(crate) fn matches(&self, message: &MessageRow, disposition: Disposition) -> bool {
        show::message::dead(message.standing, disposition).is_some_and(|(reason, time)| {
            among(&self.kinds, &message.kind)
                && among(&self.reasons, &reason)
                && self.since.is_none_or(|since| time >= since)
                && self.until.is_none_or(|until| time < until)
        })
    }
}

// === impl EventQuery ===

impl EventQuery {
    /// Whether the watch shows an event.
    pub(crate) fn matches(&self, event: &EventRow) -> bool {
        among(&self.types, &show::event::event_type(event.kind))
            && match &event.about {
                About::Session(view) => self.matches_session(&view.session),
                About::Subscription((namespace, _)) => {
                    let own = self.namespace.as_ref();
                    own.is_none_or(|own| own == namespace) && self.is_of_any_session()
                }
                About::Server => self.is_of_any_session(),
            }
    }

    /// Whether the namespace is the only condition.
    pub(crate) fn is_of_scope(&self) -> bool {
        self.types.is_empty() && self.is_of_any_session()
    }

    /// Whether nothing is asked of the session that an event is about.
    fn is_of_any_session(&self) -> bool {
        let Self {
            namespace: _,
            types: _,
            sessions,
            key_glob,
            labels,
            project,
        } = self;
        sessions.is_empty() && key_glob.is_none() && labels.is_empty() && project.is_none()
    }

    /// Whether the watch shows a session in its initial state, where there are no types.
    pub(crate) fn matches_session(&self, session: &SessionRow) -> bool {
        let labels = &session.profile.labels;
        self.namespace
            .as_ref()
            .is_none_or(|namespace| *namespace == session.namespace)
            && (self.sessions.is_empty() || self.sessions.contains(&session.id))
            && has_key(session, self.key_glob.as_ref())
            && self
                .labels
                .iter()
                .all(|(name, value)| labels.get(name) == Some(value))
            && self
                .project
                .as_ref()
                .is_none_or(|project| *project == session.profile.project)
    }
}

/// Whether a session has a key that matches; every session has, without a pattern.
fn has_key(session: &SessionRow, glob: Option<&Glob>) -> bool {
    let key = session.key.as_ref();
    glob.is_none_or(|glob| key.is_some_and(|key| glob.matches(key.as_str())))
}

fn among<T: PartialEq>(list: &[T], one: &T) -> bool {
    list.is_empty() || list.contains(one)
}
