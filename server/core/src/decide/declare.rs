//! Declare and register: what a session has outside goes on record before it is there.
//!
//! A resource may be declared by a session in use only: one that waits has nothing yet, and one that ends would be over
//! before the resource is there. Whoever declared it may say later what it turned out to be, once; if the session ended
//! meanwhile, the release under way takes note of it, and what was released already takes nothing any more.

use super::{find, let_go, node, request};
use crate::command::resource::{Declare, Register};
use crate::draft::{Draft, Stop};
use crate::ids::{Namespace, NodeName, ResourceNo, SessionNo};
use crate::limits::RESOURCES_PER_SESSION_MAX;
use crate::node::{NodeRejection, Witness};
use crate::rejection::Rejection;
use crate::reply::Reply;
use crate::resource::{Resource, ResourceToken, ResourcesRow, Scope, Standing, Target};
use crate::session::SessionRow;

/// Declares a resource of a session.
pub(super) fn declare(draft: &mut Draft<'_>, declare: &Declare) -> Result<Reply, Stop> {
    if let Some(row) = request::earlier(draft, &declare.namespace, declare.request.as_ref())? {
        return answer(draft, row.subject, row.resource.unwrap_or_default(), true);
    }
    let session = find::in_use(draft, &declare.namespace, &declare.session)?;
    if let Some(name) = &declare.node {
        node::known(draft, &(declare.namespace.clone(), name.clone()))?;
    }
    if declare.target != Target::Marked {
        refuse_other_witness(
            draft,
            &declare.namespace,
            declare.node.as_ref(),
            declare.witness,
        )?;
    }
    refuse_other_lease(&session, declare.scope)?;
    let mut row = draft
        .resources(session.no)?
        .unwrap_or_else(|| ResourcesRow::new(session.no, session.namespace.clone()));
    if !row.make_room() {
        return Err(Rejection::TooManyResources {
            session: session.id.clone(),
            limit: RESOURCES_PER_SESSION_MAX as u64,
        }
        .into());
    }
    row.declared = row.declared.next();
    let number = row.declared;
    row.list.push(Resource {
        number,
        salt: declare.salt,
        name: declare.name.clone(),
        scope: declare.scope,
        node: declare.node.clone(),
        target: declare.target.clone(),
        standing: Standing::Held,
        create_time: draft.now.wall,
    });
    let_go::put(draft, row)?;
    request::record_resource(
        draft,
        &declare.namespace,
        declare.request.as_ref(),
        session.no,
        number,
    )?;
    answer(draft, session.no, number, false)
}

/// What is on a node is known from its agent, which may not be the one any more that said so.
fn refuse_other_witness(
    draft: &Draft<'_>,
    namespace: &Namespace,
    node: Option<&NodeName>,
    witness: Witness,
) -> Result<(), Stop> {
    if node::may_speak(draft, namespace, node, witness)? {
        return Ok(());
    }
    let node = node.expect("the server speaks of its own machine").clone();
    Err(Rejection::Node(NodeRejection::Away { node }).into())
}

/// What belongs to a lease is declared under the one that its session has.
fn refuse_other_lease(session: &SessionRow, scope: Scope) -> Result<(), Stop> {
    match scope {
        Scope::Lease(epoch) if session.lease != Some(epoch) => Err(Rejection::LeaseFenced {
            session: session.id.clone(),
            current: session.lease,
        }
        .into()),
        Scope::Lease(_) | Scope::Session => Ok(()),
    }
}

/// Notes what a resource is.
pub(super) fn register(draft: &mut Draft<'_>, register: &Register) -> Result<Reply, Stop> {
    let token = register.resource;
    let mut row = let_go::row_of(draft, &register.namespace, token)?;
    let node = row.get(token).and_then(|resource| resource.node.clone());
    refuse_other_witness(draft, &row.namespace, node.as_ref(), register.witness)?;
    let resource = row
        .get_mut(token.number)
        .expect("the row has what its token names");
    if let Standing::Released { outcome, .. } = resource.standing {
        return Err(Rejection::ResourceReleased { token, outcome }.into());
    }
    match &resource.target {
        Target::Marked => {
            resource.target = register.target.clone();
            // A release under way looks for the marker only, and must look again.
            draft.releases |= resource.is_releasing();
            let_go::put(draft, row)?;
        }
        known if *known == register.target => {}
        Target::Process(_) | Target::Tmux(_) => {
            return Err(Rejection::ResourceRegistered { token }.into());
        }
    }
    answer(draft, token.session, token.number, false)
}

/// A resource and its session, as they are now.
pub(super) fn answer(
    draft: &Draft<'_>,
    no: SessionNo,
    number: ResourceNo,
    duplicate: bool,
) -> Result<Reply, Stop> {
    let session = draft.session_view(no)?;
    let row = draft.resources(no)?;
    let found = row.and_then(|row| row.list.into_iter().find(|one| one.number == number));
    let Some(resource) = found else {
        // Declared, released, and forgotten for others.
        let token = ResourceToken {
            session: no,
            number,
            salt: 0,
        };
        return Err(Rejection::ResourceNotFound { token }.into());
    };
    Ok(Reply::Resource {
        session: Box::new(session),
        resource: Box::new(resource),
        duplicate,
    })
}
