//! The audit: a line for everything that was asked for and of which somebody may want to know who did it, and for what was
//! refused of that.
//!
//! What was done is told from the log of events, where it is in the commit of the change itself with who asked for it: so it
//! is told once, and after the commit, and a line that a crash took is still there as an event (`sessionctl watch --oldest`).
//! What is told: a session that is opened, begins to end, ends or is purged; a lease that is taken from a worker;
//! messages that are requeued or discarded; the drain of the server. What was refused changed nothing; it is told from the
//! answer, by the reason and without its words, which may quote what was asked. Ids are told, payloads and prompts never. What
//! this deliberately does not do: tell of enqueues, settlements, touches, heartbeats and reads.

use http::Request;
use sessiond_core::event::{ActorKind, EventKind, EventRow};
use sessiond_core::session::Lifecycle;
use sessiond_proto::NAMESPACE_METADATA_KEY;
use tonic_types::ErrorDetails;

use crate::principal::Principal;
use crate::wire::show;

/// The calls whose refusal is told.
pub(crate) const AUDITED: [&str; 10] = [
    "/sessiond.v1.SessionService/OpenSession",
    "/sessiond.v1.SessionService/EndSession",
    "/sessiond.v1.SessionService/EndSessions",
    "/sessiond.v1.SessionService/ResetSession",
    "/sessiond.v1.SessionService/PurgeSessions",
    "/sessiond.v1.MessageService/RequeueDeadLetters",
    "/sessiond.v1.MessageService/DiscardMessages",
    "/sessiond.v1.AdminService/RevokeLease",
    "/sessiond.v1.AdminService/DrainServer",
    "/sessiond.v1.AdminService/CancelDrain",
];

/// Writes the line of an event that has one; answers whether it has.
pub(crate) fn tell(event: &EventRow) -> bool {
    if !is_audited(event) {
        return false;
    }
    let session = event.session().map(|view| &view.session);
    let reason = session.and_then(|session| match &session.lifecycle {
        Lifecycle::Ended(end) => Some(end.reason),
        Lifecycle::Draining(intent) => Some(intent.reason),
        Lifecycle::Queued(_) | Lifecycle::Active => None,
    });
    tracing::info!(
        target: "audit",
        revision = event.revision.0,
        namespace = event.namespace().map(tracing::field::display),
        session_id = session.map(|session| tracing::field::display(&session.id)),
        key = session.and_then(|session| session.key.as_ref()).map(tracing::field::display),
        actor = show::end::actor_name(&event.actor),
        actor_name = (!event.actor.name.is_empty()).then_some(event.actor.name.as_str()),
        cause_revision = event.actor.cause.map(|cause| cause.event.0),
        reason = reason.map(show::end::reason_name),
        facts = (!event.attributes.is_empty()).then(|| tracing::field::debug(&event.attributes)),
        "audit: {}",
        show::event::type_name(event.kind),
    );
    true
}

fn is_audited(event: &EventRow) -> bool {
    let asked = match event.actor.kind {
        ActorKind::Api | ActorKind::Worker => true,
        ActorKind::Reaper | ActorKind::Recovery | ActorKind::Drain | ActorKind::Agent => false,
    };
    match event.kind {
        EventKind::SessionOpened
        | EventKind::SessionDraining
        | EventKind::SessionEnd
        | EventKind::SessionPurged
        | EventKind::MessagesRequeued
        | EventKind::MessagesDiscarded => asked,
        EventKind::WorkerDetached => {
            let reason = event.attributes.get("reason").map(String::as_str);
            asked && reason == Some("revoked")
        }
        // Whoever had it drained, by a call or by a signal.
        EventKind::ServerDraining | EventKind::ServerDrainCancelled => true,
        EventKind::SessionUpdated
        | EventKind::SessionQueued
        | EventKind::SessionAdmitted
        | EventKind::SessionReleased
        | EventKind::WorkerAttached
        | EventKind::WorkerLost
        | EventKind::WorkerStuck
        | EventKind::RestartLimited
        | EventKind::LimitWarning
        | EventKind::MessageDeadLettered
        | EventKind::CircuitOpened
        | EventKind::CircuitClosed
        | EventKind::ResourceReleased
        | EventKind::ResourceLingering
        | EventKind::SubscriptionStale => false,
    }
}

/// What the line of a refusal tells of the request.
#[derive(Debug)]
pub(crate) struct Asked {
    /// What it says it is about.
    namespace: Option<String>,
    principal: Option<Principal>,
}

impl Asked {
    /// That of this request.
    pub(crate) fn by<B>(request: &Request<B>) -> Self {
        let namespace = request.headers().get(NAMESPACE_METADATA_KEY);
        let namespace = namespace.and_then(|namespace| namespace.to_str().ok());
        Self {
            namespace: namespace.map(str::to_owned),
            principal: request.extensions().get().cloned(),
        }
    }
}

/// Tells that a call was refused.
pub(crate) fn refused(rpc: &str, asked: Option<&Asked>, details: &ErrorDetails) {
    let Some(info) = details.error_info() else {
        return;
    };
    let about = details.resource_info();
    tracing::info!(
        target: "audit",
        rpc,
        namespace = asked.and_then(|asked| asked.namespace.as_deref()),
        actor_name = asked.and_then(|asked| asked.principal.as_ref()).map(Principal::as_str),
        refused = info.reason,
        about = about.map(|about| about.resource_name.as_str()),
        "audit: refused",
    );
}
