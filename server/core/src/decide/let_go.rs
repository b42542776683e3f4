//! Let go: resources that are to go, and what follows when they are gone.
//!
//! What is to go is only marked here; whoever may signal looks for what is marked, and reports each attempt. Until a
//! resource was seen to be gone, or an operator forced it, it counts: an ended session keeps its slot of the pool for it,
//! and the successor of its key waits. Time frees nothing. A report about a resource that is gone changes nothing, so each
//! is gone once, however often it was tried; nor does one of an attempt that knew less of it than is known now.

use std::sync::Arc;

use super::slot::{self, Stage};
use super::{behind, declare, node};
use crate::command::resource::{Attempted, Knowledge, Release, ReleaseManner};
use crate::draft::events::Particulars;
use crate::draft::{Draft, Stop};
use crate::event::{Actor, EventKind};
use crate::ids::{Epoch, Namespace, SessionNo};
use crate::node::Witness;
use crate::rejection::Rejection;
use crate::reply::Reply;
use crate::resource::{
    Attempt, Lingering, LingeringCause, ReleaseOutcome, Resource, ResourceToken, ResourcesRow,
    Scope, Standing,
};

/// Writes the resources of a session, and into its own row how many of them are not released. The slot of an ended
/// session follows from that.
pub(super) fn put(draft: &mut Draft<'_>, row: ResourcesRow) -> Result<(), Stop> {
    let mut session = draft.session(row.session)?;
    let before = Stage::of(&session);
    node::recount(draft, &row)?;
    let unreleased = Some(row.unreleased());
    if session.resources != unreleased {
        Arc::make_mut(&mut session).resources = unreleased;
        draft.put_session(Arc::clone(&session));
    }
    draft.put_resources(row)?;
    let after = Stage::of(&session);
    if before == after {
        return Ok(());
    }
    slot::count(draft, &slot::pool_of(&session), Some(before), after)
}

/// The row that a token points into.
pub(super) fn row_of(
    draft: &Draft<'_>,
    namespace: &Namespace,
    token: ResourceToken,
) -> Result<ResourcesRow, Stop> {
    let row = draft.resources(token.session)?;
    row.filter(|row| row.namespace == *namespace && row.get(token).is_some())
        .ok_or_else(|| Rejection::ResourceNotFound { token }.into())
}

/// Has everything go that a session has, at its end.
pub(super) fn of_session(draft: &mut Draft<'_>, no: SessionNo) -> Result<(), Stop> {
    if faulty!(ResourcesKept) {
        return Ok(());
    }
    mark(draft, no, |_| true)
}

/// Has go what belonged to a lease that holds the session no more.
pub(super) fn of_lease(draft: &mut Draft<'_>, no: SessionNo, epoch: Epoch) -> Result<(), Stop> {
    mark(draft, no, |resource| resource.scope == Scope::Lease(epoch))
}

fn mark(
    draft: &mut Draft<'_>,
    no: SessionNo,
    goes: impl Fn(&Resource) -> bool,
) -> Result<(), Stop> {
    if draft.session(no)?.unreleased().count == 0 {
        return Ok(());
    }
    let Some(mut row) = draft.resources(no)? else {
        return Ok(());
    };
    let held = |resource: &&mut Resource| resource.standing == Standing::Held;
    let mut some = false;
    for resource in row.list.iter_mut().filter(held) {
        if goes(resource) {
            resource.standing = Standing::Releasing(None);
            some = true;
        }
    }
    if some {
        draft.releases = true;
        put(draft, row)?;
    }
    Ok(())
}

/// Has one resource go because somebody says so.
pub(super) fn release(draft: &mut Draft<'_>, release: &Release) -> Result<Reply, Stop> {
    let token = release.resource;
    let mut row = row_of(draft, &release.namespace, token)?;
    let resource = row
        .get_mut(token.number)
        .expect("the row has what its token names");
    match (&resource.standing, release.manner) {
        (Standing::Released { .. }, _) => {}
        (Standing::Held | Standing::Releasing(_), ReleaseManner::Forced) => {
            gone(draft, row, token, ReleaseOutcome::Forced, &release.actor)?;
        }
        (Standing::Held, ReleaseManner::Verified) => {
            resource.standing = Standing::Releasing(None);
            draft.releases = true;
            put(draft, row)?;
        }
        // It is on its way; whoever releases it is woken, and keeps the pause of an attempt that failed.
        (Standing::Releasing(_), ReleaseManner::Verified) => draft.releases = true,
    }
    declare::answer(draft, token.session, token.number, false)
}

/// Takes note of what came of an attempt to release a resource. One that is in use may have been found gone.
pub(super) fn attempted(draft: &mut Draft<'_>, attempted: &Attempted) -> Result<Reply, Stop> {
    let Some(mut row) = draft.resources(attempted.session)? else {
        return Ok(Reply::Done);
    };
    let session = row.session;
    let namespace = row.namespace.clone();
    let Some(resource) = row.get_mut(attempted.number) else {
        return Ok(Reply::Done);
    };
    let token = resource.token(session);
    if !is_heard(draft, &namespace, resource, attempted)? {
        return Ok(Reply::Done);
    }
    if attempted.knew != Knowledge::of(&resource.target) && !faulty!(StaleAttempt) {
        // It was registered since: what was not found by its mark may be there. Whoever tried it tries again.
        return Ok(Reply::Done);
    }
    match (&mut resource.standing, &attempted.attempt) {
        (Standing::Released { .. }, _) if !faulty!(ReleasedTwice) => {}
        (Standing::Held, Attempt::Left { .. }) => {}
        (_, Attempt::Gone(outcome)) => gone(draft, row, token, *outcome, &Actor::agent())?,
        (Standing::Releasing(Some(before)), Attempt::Left { cause, detail }) => {
            if before.cause != *cause {
                before.cause = *cause;
                before.detail.clone_from(detail);
                put(draft, row)?;
            }
        }
        (standing @ Standing::Releasing(None), Attempt::Left { cause, detail }) => {
            *standing = Standing::Releasing(Some(Lingering {
                cause: *cause,
                detail: detail.clone(),
                since: draft.now.wall,
            }));
            let mut said = about(resource, token);
            let why = crate::resource::cause_name(*cause);
            said.attributes.insert("cause".to_owned(), why.to_owned());
            said.attributes.insert("detail".to_owned(), detail.clone());
            put(draft, row)?;
            draft.event(EventKind::ResourceLingering, Actor::agent(), session, said)?;
        }
        (Standing::Released { .. }, Attempt::Left { .. }) => {}
    }
    Ok(Reply::Done)
}

/// Whether a report counts: the server's own of its machine, or that of the agent of the node. Of a node the server knows
/// only that it cannot be reached.
fn is_heard(
    draft: &Draft<'_>,
    namespace: &Namespace,
    resource: &Resource,
    attempted: &Attempted,
) -> Result<bool, Stop> {
    let is_away = matches!(
        attempted.attempt,
        Attempt::Left {
            cause: LingeringCause::NodeAway,
            ..
        }
    );
    if is_away && attempted.witness == Witness::Server {
        return Ok(resource.node.is_some());
    }
    node::may_speak(draft, namespace, resource.node.as_ref(), attempted.witness)
}

/// A resource is gone, and with the last of them what was waited for.
fn gone(
    draft: &mut Draft<'_>,
    mut row: ResourcesRow,
    token: ResourceToken,
    outcome: ReleaseOutcome,
    actor: &Actor,
) -> Result<(), Stop> {
    let time = draft.now.wall;
    let resource = row
        .get_mut(token.number)
        .expect("the row has what its token names");
    resource.standing = Standing::Released { outcome, time };
    let mut said = about(resource, token);
    let how = crate::resource::outcome_name(outcome);
    said.attributes.insert("outcome".to_owned(), how.to_owned());
    let is_last = row.unreleased().count == 0;
    put(draft, row)?;
    let no = token.session;
    draft.event(EventKind::ResourceReleased, actor.clone(), no, said)?;
    if !is_last {
        return Ok(());
    }
    if draft.session(no)?.is_ended() {
        tell(draft, no)?;
    }
    behind::nothing_left(draft, no)
}

fn about(resource: &Resource, token: ResourceToken) -> Particulars {
    let mut said = Particulars::attribute("resource_id", token.to_string());
    if let Some(name) = &resource.name {
        said.attributes.insert("name".to_owned(), name.to_string());
    }
    said
}

/// Tells that everything an ended session had is gone.
pub(super) fn tell(draft: &mut Draft<'_>, no: SessionNo) -> Result<(), Stop> {
    let said = Particulars::default();
    draft.event(EventKind::SessionReleased, Actor::agent(), no, said)
}
