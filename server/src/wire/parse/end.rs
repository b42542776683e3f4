//! EndSession.

use sessiond_core::command::End;
use sessiond_core::event::Actor;
use sessiond_core::ids::{Namespace, SessionId};
use sessiond_core::limits::END_WAIT_MAX;
use sessiond_core::session::EndClass;
use sessiond_core::time::Span;
use sessiond_proto::v1 as pb;

use super::end_terms::{self, end_terms};
use super::request_tag::request_tag;
use super::{enumeration, reference, text, time};
use crate::wire::faults::{Faults, Invalid};

const RPC: &str = "EndSession";

/// What EndSession asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndCall {
    /// What to decide.
    pub(crate) end: End,
    /// What to wait for before answering, and how long; none answers when the decision is durable.
    pub(crate) wait: Option<EndWait>,
}

/// What a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndWait {
    /// How long at most.
    pub(crate) at_most: Span,
    /// Whether what the session has outside must be gone too.
    pub(crate) goal: EndGoal,
}

/// How far an end must have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndGoal {
    /// The session has ended.
    Ended,
    /// It has, and all of its resources are released.
    Released,
}

/// Which session to end, and how.
pub(crate) fn end(
    namespace: &Namespace,
    request: pb::EndSessionRequest,
    actor: Actor,
) -> Result<EndCall, Invalid> {
    Faults::collect(|faults| fields(faults, namespace, request, actor))
}

fn fields(
    faults: &mut Faults,
    namespace: &Namespace,
    mut request: pb::EndSessionRequest,
    actor: Actor,
) -> Option<EndCall> {
    let request_id = std::mem::take(&mut request.request_id);
    let tag = request_tag(faults, RPC, request_id, &request);
    let session = reference::required(faults, "ref", request.r#ref);
    let asked = end_terms::Asked {
        reason: request.reason,
        detail: request.detail,
        mode: request.mode,
        end_grace: request.end_grace,
        pending_policy: request.pending_policy,
    };
    let terms = end_terms(faults, asked);
    let successor = text::optional(
        faults,
        "successor_id",
        request.successor_id,
        SessionId::parse,
    );
    let class = terms.as_ref().map(|terms| terms.reason.class());
    if successor.is_some() && class.is_some_and(|class| class != EndClass::Rotated) {
        let description = "must be empty unless the reason is of class ROTATED";
        faults.invalid("successor_id", description);
    }
    let waited = request.wait.is_some();
    let wait = time::span(faults, "wait", request.wait, END_WAIT_MAX);
    let goal = wait_for(faults, request.wait_for, waited);
    let terms = terms?;
    Some(EndCall {
        end: End {
            namespace: namespace.clone(),
            session: session?,
            reason: terms.reason,
            detail: terms.detail,
            mode: terms.mode,
            grace: terms.grace,
            pending: terms.pending,
            successor,
            request: tag,
            actor,
        },
        wait: match wait {
            Some(at_most) => Some(EndWait {
                at_most,
                goal: goal?,
            }),
            None => None,
        },
    })
}

/// What is waited for, ENDED when unset.
fn wait_for(faults: &mut Faults, number: i32, waited: bool) -> Option<EndGoal> {
    match enumeration::known(faults, "wait_for", number, "WaitFor")? {
        pb::WaitFor::Unspecified => Some(EndGoal::Ended),
        pb::WaitFor::Ended | pb::WaitFor::Released if !waited => {
            faults.invalid("wait_for", "must be unset without `wait`");
            None
        }
        pb::WaitFor::Ended => Some(EndGoal::Ended),
        pb::WaitFor::Released => Some(EndGoal::Released),
    }
}
