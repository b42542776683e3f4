//! What each refusal about a resource tells its caller.

use sessiond_core::ids::SessionId;
use sessiond_core::resource::{ReleaseOutcome, ResourceToken};
use sessiond_proto::reason::Reason;

use super::Refusal;
use super::rejection::full;
use crate::env::Unregistered;
use crate::wire::show;

impl Refusal {
    /// What was named is not put on record.
    pub(crate) fn unregistered(unregistered: &Unregistered) -> Self {
        match unregistered {
            Unregistered::NotEntitled { why } => Self::new(Reason::PermissionDenied, why.as_str()),
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
