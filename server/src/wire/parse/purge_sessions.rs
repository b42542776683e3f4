//! PurgeSessions.

use prost::Message;
use sessiond_core::command::{Effect, Purge};
use sessiond_core::event::Actor;
use sessiond_core::ids::{Namespace, SessionId};
use sessiond_core::limits::{BULK_SESSIONS_MAX, PURGE_SESSIONS_IDS_MAX, TIMEOUT_MAX};
use sessiond_core::session::PendingPolicy;
use sessiond_proto::v1 as pb;

use super::end_sessions::{refuse_page, session_ids};
use super::end_terms::pending_policy;
use super::page::{self, Page, Sizes};
use super::{session_filter, time};
use crate::wire::faults::{Faults, Invalid};
use crate::wire::query::EndedQuery;
use crate::wire::token::{Binding, ListKind};

/// What PurgeSessions asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PurgeSessionsCall {
    /// Where.
    pub(crate) namespace: Namespace,
    /// Which sessions.
    pub(crate) selection: Selection,
    /// Whether they are to be deleted.
    pub(crate) effect: Effect,
    /// What of those whose messages wait for the next session of their key.
    pub(crate) pending: PendingPolicy,
    /// Who asks.
    pub(crate) actor: Actor,
}

/// Which sessions a purge means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// These.
    Ids(Vec<SessionId>),
    /// The ended ones that match, a page of them.
    Matching {
        /// What they must be.
        query: Box<EndedQuery>,
        /// Which of them now.
        page: Page,
    },
}

/// Which sessions to delete. Tokens are of the log `log_id`.
pub(crate) fn purge_sessions(
    namespace: &Namespace,
    request: pb::PurgeSessionsRequest,
    actor: Actor,
    log_id: &str,
) -> Result<PurgeSessionsCall, Invalid> {
    let mut faults = Faults::default();
    let call = fields(&mut faults, namespace, request, actor, log_id);
    faults.finish(call)
}

fn fields(
    faults: &mut Faults,
    namespace: &Namespace,
    request: pb::PurgeSessionsRequest,
    actor: Actor,
    log_id: &str,
) -> Option<PurgeSessionsCall> {
    let effect = Effect::unless(request.validate_only);
    let pending = pending_policy(faults, request.pending_policy);
    let selection = selection(faults, namespace, request, log_id);
    Some(PurgeSessionsCall {
        namespace: namespace.clone(),
        selection,
        effect,
        pending: pending?,
        actor,
    })
}

fn selection(
    faults: &mut Faults,
    namespace: &Namespace,
    request: pb::PurgeSessionsRequest,
    log_id: &str,
) -> Selection {
    one_way(faults, &request);
    let by_ids = !request.session_ids.is_empty();
    let ids = session_ids(faults, request.session_ids, PURGE_SESSIONS_IDS_MAX);
    if by_ids && request.ended_for.is_some() {
        faults.invalid("ended_for", "must be unset with `session_ids`");
    }
    let spelled = request.ended_for.unwrap_or_default().encode_to_vec();
    let ended_for = time::span(faults, "ended_for", request.ended_for, TIMEOUT_MAX);
    let filter = request.filter.unwrap_or_default();
    let parts = [
        namespace.as_str().as_bytes(),
        &filter.encode_to_vec(),
        &spelled,
    ];
    let binding = Binding::new(ListKind::Purges, log_id, &parts);
    let query = faults.within("filter", |faults| {
        refuse_live(faults, &filter);
        session_filter::of_list(faults, namespace, filter)
    });
    if by_ids {
        refuse_page(faults, request.page_size, &request.page_token);
        return Selection::Ids(ids);
    }
    let sizes = Sizes::up_to(BULK_SESSIONS_MAX);
    let (size, token) = (request.page_size, &request.page_token);
    Selection::Matching {
        query: Box::new(EndedQuery { query, ended_for }),
        page: page::page_within(faults, sizes, size, token, binding),
    }
}

/// Exactly one way to choose sessions, so that no call deletes more than its caller meant.
fn one_way(faults: &mut Faults, request: &pb::PurgeSessionsRequest) {
    match (request.filter.is_some(), !request.session_ids.is_empty()) {
        (true, true) => faults.invalid("session_ids", "must be unset with `filter`"),
        (false, false) => faults.invalid("filter", "must be set, or else `session_ids`"),
        (true, false) | (false, true) => {}
    }
}

/// Only ended sessions are chosen by what they are.
fn refuse_live(faults: &mut Faults, filter: &pb::SessionFilter) {
    let live = [
        pb::SessionState::Queued,
        pb::SessionState::Active,
        pb::SessionState::Draining,
    ];
    let live = live.map(i32::from);
    for (index, state) in filter.states.iter().enumerate() {
        if live.contains(state) {
            faults.within_item("states", index, |faults| {
                faults.invalid("", "must be ENDED: only ended sessions are purged");
            });
        }
    }
}

// === impl PurgeSessionsCall ===

impl PurgeSessionsCall {
    /// The purge of one of the sessions.
    pub(crate) fn purge(&self, session: SessionId) -> Purge {
        Purge {
            namespace: self.namespace.clone(),
            session,
            pending: self.pending,
            exported: None,
            actor: self.actor.clone(),
        }
    }
}
