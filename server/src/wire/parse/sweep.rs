//! Sweep.

use prost::Message;
use sessiond_core::command::{Effect, Reap, Thresholds};
use sessiond_core::event::Actor;
use sessiond_core::ids::{Namespace, SessionId};
use sessiond_core::limits::{BULK_SESSIONS_MAX, TIMEOUT_MAX};
use sessiond_proto::v1 as pb;

use super::end_sessions::refuse_ended;
use super::page::{self, Page, Sizes};
use super::{session_filter, time};
use crate::wire::faults::{Faults, Invalid};
use crate::wire::query::SessionQuery;
use crate::wire::token::{Binding, ListKind};

/// What Sweep asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SweepCall {
    /// Where.
    pub(crate) namespace: Namespace,
    /// Which live sessions.
    pub(crate) query: SessionQuery,
    /// Which of them now.
    pub(crate) page: Page,
    /// By which limits besides their own.
    pub(crate) within: Thresholds,
    /// Whether they are to end.
    pub(crate) effect: Effect,
    /// Who asks.
    pub(crate) actor: Actor,
}

/// Which sessions to look at, and by which limits. Tokens are of the log `log_id`.
pub(crate) fn sweep(
    namespace: &Namespace,
    request: pb::SweepRequest,
    actor: Actor,
    log_id: &str,
) -> Result<SweepCall, Invalid> {
    let mut faults = Faults::default();
    let filter = request.filter.unwrap_or_default();
    let parts = [
        namespace.as_str().as_bytes(),
        &filter.encode_to_vec(),
        &request.idle_timeout.unwrap_or_default().encode_to_vec(),
        &request.max_lifetime.unwrap_or_default().encode_to_vec(),
    ];
    let binding = Binding::new(ListKind::Sweeps, log_id, &parts);
    let query = faults.within("filter", |faults| {
        refuse_ended(faults, &filter);
        session_filter::of_list(faults, namespace, filter)
    });
    let within = Thresholds {
        idle: time::span(
            &mut faults,
            "idle_timeout",
            request.idle_timeout,
            TIMEOUT_MAX,
        ),
        lifetime: time::span(
            &mut faults,
            "max_lifetime",
            request.max_lifetime,
            TIMEOUT_MAX,
        ),
    };
    let sizes = Sizes::up_to(BULK_SESSIONS_MAX);
    let (size, token) = (request.page_size, &request.page_token);
    let page = page::page_within(&mut faults, sizes, size, token, binding);
    let effect = Effect::unless(request.validate_only);
    faults.finish(Some(SweepCall {
        namespace: namespace.clone(),
        query,
        page,
        within,
        effect,
        actor,
    }))
}

// === impl SweepCall ===

impl SweepCall {
    /// The look at one of the sessions.
    pub(crate) fn reap(&self, session: SessionId) -> Reap {
        Reap {
            namespace: self.namespace.clone(),
            session,
            within: self.within,
            actor: self.actor.clone(),
        }
    }
}
