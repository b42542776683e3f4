//! What became of each resource of a release.
//!
//! A reply belongs to its command: one of another sort is a defect of the engine and stops the
//! process.

use sessiond_core::rejection::Rejection;
use sessiond_core::reply::Reply;
use sessiond_core::resource::Resource;
use sessiond_core::session::SessionRow;
use sessiond_proto::v1 as pb;

use super::resource;
use crate::wire::status::Refusal;

/// The result of a release that was decided, or refused.
pub(crate) fn decided(named: &str, outcome: Result<Reply, Rejection>) -> pb::ReleaseResult {
    let reply = match outcome {
        Ok(reply) => reply,
        Err(rejection) => return failed(named, &rejection),
    };
    let Reply::Resource {
        session, resource, ..
    } = reply
    else {
        unreachable!("a release is answered with its resource")
    };
    result(&session.session, &resource, pb::ReleaseOutcome::Releasing)
}

/// The result that a release would have.
pub(crate) fn foreseen(session: &SessionRow, resource: &Resource) -> pb::ReleaseResult {
    result(session, resource, pb::ReleaseOutcome::WouldRelease)
}

/// The result for a resource that is refused.
pub(crate) fn failed(named: &str, rejection: &Rejection) -> pb::ReleaseResult {
    pb::ReleaseResult {
        resource_id: named.to_owned(),
        resource: None,
        outcome: pb::ReleaseOutcome::Failed.into(),
        error: Some(Refusal::rejected(rejection).into()),
    }
}

fn result(
    session: &SessionRow,
    resource: &Resource,
    unreleased: pb::ReleaseOutcome,
) -> pb::ReleaseResult {
    let outcome = if resource.is_unreleased() {
        unreleased
    } else {
        pb::ReleaseOutcome::Released
    };
    pb::ReleaseResult {
        resource_id: resource.token(session.no).to_string(),
        resource: Some(resource::resource(session, resource)),
        outcome: outcome.into(),
        error: None,
    }
}
