//! ClaimMessages.

use std::num::NonZeroU32;

use sessiond_core::command::Claim;
use sessiond_core::ids::{InstanceId, Namespace, SessionRef, WorkerName};
use sessiond_core::limits::{CLAIM_MESSAGES_MAX, CLAIM_WAIT_MAX, LEASE_MAX, LEASE_MIN, Policy};
use sessiond_core::presence::SessionFilter;
use sessiond_core::time::Span;
use sessiond_proto::v1 as pb;

use super::{number, reference, session_filter, text, time};
use crate::wire::faults::{Faults, Invalid};

/// What ClaimMessages asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClaimCall {
    /// Whose messages.
    pub(crate) target: ClaimTarget,
    /// How long to wait for work; none does not wait.
    pub(crate) wait: Option<Span>,
    namespace: Namespace,
    worker: WorkerName,
    instance: InstanceId,
    lease: Span,
    max_messages: NonZeroU32,
}

/// Whose messages a claim wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClaimTarget {
    /// Those of one session.
    Session(SessionRef),
    /// Those of any one session that matches, has work and no other worker.
    Any(SessionFilter),
}

impl ClaimCall {
    /// Which instance asks.
    pub(crate) fn instance(&self) -> &InstanceId {
        &self.instance
    }

    /// The claim on one session.
    pub(crate) fn on(&self, session: SessionRef) -> Claim {
        Claim {
            namespace: self.namespace.clone(),
            session,
            worker: self.worker.clone(),
            instance: self.instance.clone(),
            lease: self.lease,
            max_messages: self.max_messages,
        }
    }
}

/// Who wants messages of what.
pub(crate) fn claim(
    namespace: &Namespace,
    request: pb::ClaimMessagesRequest,
    policy: &Policy,
) -> Result<ClaimCall, Invalid> {
    Faults::collect(|faults| fields(faults, namespace, request, policy))
}

fn fields(
    faults: &mut Faults,
    namespace: &Namespace,
    request: pb::ClaimMessagesRequest,
    policy: &Policy,
) -> Option<ClaimCall> {
    use pb::claim_messages_request::Target;
    let target = match request.target {
        Some(Target::Ref(named)) => {
            reference::required(faults, "ref", Some(named)).map(ClaimTarget::Session)
        }
        Some(Target::Selector(selector)) => {
            Some(ClaimTarget::Any(faults.within("selector", |faults| {
                session_filter::of_work(faults, selector)
            })))
        }
        None => Some(ClaimTarget::Any(SessionFilter::default())),
    };
    let worker = text::required(faults, "worker", request.worker, WorkerName::parse);
    let instance = instance(faults, request.instance_id, worker.as_ref());
    let lease = time::span_between(
        faults,
        "lease_duration",
        request.lease_duration,
        LEASE_MIN,
        LEASE_MAX,
    );
    let max_messages = number::positive(
        faults,
        "max_messages",
        request.max_messages,
        CLAIM_MESSAGES_MAX,
    );
    let wait = time::span(faults, "wait", request.wait, CLAIM_WAIT_MAX);
    Some(ClaimCall {
        target: target?,
        wait,
        namespace: namespace.clone(),
        worker: worker?,
        instance: instance?,
        lease: lease.unwrap_or(policy.claim_lease),
        max_messages: max_messages.unwrap_or(NonZeroU32::MIN),
    })
}

/// The instance: the worker's name when it is unset.
pub(crate) fn instance(
    faults: &mut Faults,
    given: String,
    worker: Option<&WorkerName>,
) -> Option<InstanceId> {
    if given.is_empty() {
        let name = worker?.as_str();
        return Some(InstanceId::parse(name).expect("a worker's name obeys the rule of all ids"));
    }
    text::required(faults, "instance_id", given, InstanceId::parse)
}
