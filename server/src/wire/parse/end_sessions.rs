//! EndSessions.

use prost::Message;
use sessiond_core::command::{Effect, End};
use sessiond_core::event::Actor;
use sessiond_core::ids::{Namespace, SessionId, SessionRef};
use sessiond_core::limits::{BULK_SESSIONS_MAX, END_SESSIONS_IDS_MAX, ID_BYTES_MAX};
use sessiond_proto::v1 as pb;

use super::end_terms::{self, EndTerms, end_terms};
use super::page::{self, Page, Sizes};
use super::session_filter::{self, given};
use super::{number, text};
use crate::wire::faults::{Faults, Invalid};
use crate::wire::query::{Glob, LiveQuery};
use crate::wire::token::{Binding, ListKind};

/// What EndSessions asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndSessionsCall {
    /// Where.
    pub(crate) namespace: Namespace,
    /// Which sessions.
    pub(crate) selection: Selection,
    /// Whether they are to end.
    pub(crate) effect: Effect,
    /// How.
    pub(crate) terms: EndTerms,
    /// Who asks.
    pub(crate) actor: Actor,
}

/// Which sessions a bulk end means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// These.
    Ids(Vec<SessionId>),
    /// The live ones that match, a page of them.
    Matching {
        /// What they must be.
        query: Box<LiveQuery>,
        /// Which of them now.
        page: Page,
    },
}

/// Which sessions to end, and how. Tokens are of the log `log_id`.
pub(crate) fn end_sessions(
    namespace: &Namespace,
    request: pb::EndSessionsRequest,
    actor: Actor,
    log_id: &str,
) -> Result<EndSessionsCall, Invalid> {
    Faults::collect(|faults| fields(faults, namespace, request, actor, log_id))
}

fn fields(
    faults: &mut Faults,
    namespace: &Namespace,
    mut request: pb::EndSessionsRequest,
    actor: Actor,
    log_id: &str,
) -> Option<EndSessionsCall> {
    let asked = end_terms::Asked {
        reason: request.reason,
        detail: std::mem::take(&mut request.detail),
        mode: request.mode,
        end_grace: request.end_grace,
        pending_policy: request.pending_policy,
    };
    let effect = Effect::unless(request.validate_only);
    let selection = selection(faults, namespace, request, log_id);
    let terms = end_terms(faults, asked);
    Some(EndSessionsCall {
        namespace: namespace.clone(),
        selection: selection?,
        effect,
        terms: terms?,
        actor,
    })
}

fn selection(
    faults: &mut Faults,
    namespace: &Namespace,
    request: pb::EndSessionsRequest,
    log_id: &str,
) -> Option<Selection> {
    one_way(faults, &request);
    let by_ids = !request.session_ids.is_empty();
    let ids = session_ids(faults, request.session_ids, END_SESSIONS_IDS_MAX);
    let key_glob = text::bounded(faults, "key_glob", request.key_glob, ID_BYTES_MAX);
    let filter = request.filter.unwrap_or_default();
    let parts = [
        namespace.as_str().as_bytes(),
        &filter.encode_to_vec(),
        key_glob.as_bytes(),
    ];
    let binding = Binding::new(ListKind::Ends, log_id, &parts);
    let query = faults.within("filter", |faults| {
        refuse_ended(faults, &filter);
        session_filter::of_list(faults, namespace, filter)
    });
    if by_ids {
        refuse_page(faults, request.page_size, &request.page_token);
        return Some(Selection::Ids(ids));
    }
    let sizes = Sizes::up_to(BULK_SESSIONS_MAX);
    let (size, token) = (request.page_size, &request.page_token);
    let page = page::page_within(faults, sizes, size, token, binding);
    let key_glob = given(key_glob).map(Glob::new);
    Some(Selection::Matching {
        query: Box::new(LiveQuery { query, key_glob }),
        page,
    })
}

/// Exactly one way to choose sessions, so that no call ends more than its caller meant.
fn one_way(faults: &mut Faults, request: &pb::EndSessionsRequest) {
    let ways = [
        ("filter", request.filter.is_some()),
        ("session_ids", !request.session_ids.is_empty()),
        ("key_glob", !request.key_glob.is_empty()),
    ];
    let mut chosen = ways.iter().filter(|(_, set)| *set).map(|(way, _)| way);
    let Some(first) = chosen.next() else {
        let description = "must be set, or else `session_ids` or `key_glob`";
        faults.invalid("filter", description);
        return;
    };
    for other in chosen {
        faults.invalid(other, format!("must be unset with `{first}`"));
    }
}

/// Ids of sessions, at most `max`.
pub(crate) fn session_ids(faults: &mut Faults, ids: Vec<String>, max: usize) -> Vec<SessionId> {
    number::items(faults, "session_ids", ids.len(), max);
    let ids = ids.into_iter().take(max).enumerate();
    ids.filter_map(|(index, id)| {
        faults.within_item("session_ids", index, |faults| {
            text::required(faults, "", id, SessionId::parse)
        })
    })
    .collect()
}

/// Only live sessions are chosen by what they are.
pub(super) fn refuse_ended(faults: &mut Faults, filter: &pb::SessionFilter) {
    let states = filter.states.iter().enumerate();
    for (index, _) in states.filter(|(_, state)| **state == i32::from(pb::SessionState::Ended)) {
        faults.within_item("states", index, |faults| {
            faults.invalid("", "must not be ENDED: only live sessions are ended");
        });
    }
    if filter.ended_after_revision.is_some() {
        let description = "must be unset: only live sessions are ended";
        faults.invalid("ended_after_revision", description);
    }
}

/// Sessions that are chosen by id come on one page.
pub(crate) fn refuse_page(faults: &mut Faults, page_size: u32, page_token: &str) {
    if page_size != 0 {
        faults.invalid("page_size", "must be unset with `session_ids`");
    }
    if !page_token.is_empty() {
        faults.invalid("page_token", "must be empty with `session_ids`");
    }
}

// === impl EndSessionsCall ===

impl EndSessionsCall {
    /// The end of one of the sessions.
    pub(crate) fn end(&self, session: SessionId) -> End {
        let terms = self.terms.clone();
        End {
            namespace: self.namespace.clone(),
            session: SessionRef::Id(session),
            reason: terms.reason,
            detail: terms.detail,
            mode: terms.mode,
            grace: terms.grace,
            pending: terms.pending,
            successor: None,
            request: None,
            actor: self.actor.clone(),
        }
    }
}
