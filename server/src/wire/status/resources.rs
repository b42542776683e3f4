//! What each refusal about a resource tells its caller.

use sessiond_core::ids::{InstanceId, NodeName, SessionId};
use sessiond_core::node::NodeRejection;
use sessiond_core::resource::{ReleaseOutcome, ResourceToken};
use sessiond_core::time::Span;
use sessiond_proto::reason::Reason;

use super::rejection::full;
use super::{RETRY_NODE, Refusal};
use crate::env::Unregistered;
use crate::wire::show;

impl Refusal {
    /// What was named is not put on record; `others` may do it.
    pub(crate) fn unregistered(unregistered: &Unregistered, others: &str) -> Self {
        match unregistered {
            Unregistered::NotEntitled { why } => {
                let message = format!("{why}; without a mark it may be registered by {others}");
                Self::new(Reason::PermissionDenied, message)
            }
            Unregistered::Unfit { field, why } => Self::field_invalid(field, why),
        }
    }
}

/// A text that no resource was ever named by is not repeated: it was not kept.
pub(super) fn not_found(token: ResourceToken) -> Refusal {
    let refusal = |message: String| Refusal::new(Reason::ResourceNotFound, message);
    if token == ResourceToken::default() {
        return refusal("no such resource".to_owned()).about("");
    }
    refusal(format!("no resource `{token}`"))
        .with("resource_id", &token)
        .about(&token)
}

pub(super) fn released(token: ResourceToken, outcome: ReleaseOutcome) -> Refusal {
    let name = show::resource::outcome_name(outcome);
    let message = format!("resource `{token}` was released: {name}");
    Refusal::new(Reason::ResourceReleased, message)
        .with("resource_id", &token)
        .with("outcome", name)
        .about(&token)
}

pub(super) fn registered(token: ResourceToken) -> Refusal {
    let message = format!("resource `{token}` was registered as something else");
    Refusal::new(Reason::ResourceRegistered, message)
        .with("resource_id", &token)
        .about(&token)
}

pub(super) fn too_many(session: &SessionId, limit: u64) -> Refusal {
    let message = format!(
        "session `{session}` has {limit} resources that are not released, as many as it may"
    );
    let scope = "resources of a session";
    full(Reason::QuotaExceeded, message, scope, (limit, limit)).with("session_id", session)
}

pub(super) fn unreleased(session: &SessionId, resources: u32) -> Refusal {
    let message = format!("{resources} resources of session `{session}` are not released");
    Refusal::new(Reason::ResourcesUnreleased, message)
        .with("session_id", session)
        .with("count", &resources)
}

/// A node, or its agent, cannot be had.
pub(super) fn node(rejection: &NodeRejection) -> Refusal {
    match rejection {
        NodeRejection::NotFound { node } => node_not_found(node),
        NodeRejection::Away { node } => node_away(node),
        NodeRejection::Held {
            node,
            holder,
            retry_after,
        } => node_held(node, holder, *retry_after),
        NodeRejection::Elsewhere { node, resources } => node_elsewhere(node, *resources),
        NodeRejection::TooMany { limit } => too_many_nodes(*limit),
    }
}

fn node_not_found(node: &NodeName) -> Refusal {
    let message = format!("no agent of a node `{node}` was ever here");
    Refusal::new(Reason::NodeNotFound, message)
        .with("node", node)
        .about(node)
}

fn node_away(node: &NodeName) -> Refusal {
    let message = format!("the agent of node `{node}` is not here");
    Refusal::new(Reason::NodeAway, message)
        .with("scope", "node")
        .with("node", node)
        .about(node)
        .retry(RETRY_NODE)
}

fn node_held(node: &NodeName, holder: &InstanceId, retry_after: Span) -> Refusal {
    let message = format!("node `{node}` has another agent, `{holder}`, which was heard of lately");
    Refusal::new(Reason::LeaseHeld, message)
        .with("node", node)
        .with("holder", holder)
        .retry(retry_after)
}

fn node_elsewhere(node: &NodeName, resources: u32) -> Refusal {
    let message = format!(
        "node `{node}` is another machine, on which {resources} resources are not released"
    );
    Refusal::new(Reason::NodeElsewhere, message)
        .with("node", node)
        .with("count", &resources)
        .about(node)
}

fn too_many_nodes(limit: u64) -> Refusal {
    let message = format!("{limit} nodes are in use, as many as may be");
    full(Reason::QuotaExceeded, message, "nodes", (limit, limit))
}
