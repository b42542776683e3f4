//! Node: the agent of another machine comes, is heard of, and goes.
//!
//! A node is one agent's for as long as it is heard of; another run of an agent takes it over when the link is gone, or was
//! silent for a lease's time. Whoever takes it over has a new fencing token, in the commit, and from then on nothing that
//! the earlier one says counts: see `let_go` and `declare`. The same run that comes back goes on under its token.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::node::{ForgetNode, NodeCommand, NodeFrame};
use crate::draft::{Draft, Stop};
use crate::ids::{Epoch, InstanceId, MachineId, Namespace, NodeName};
use crate::limits::{NODE_LEASE, NODES_MAX};
use crate::node::{NodeKey, NodeRejection, NodeRow, Witness};
use crate::presence::AgentLink;
use crate::rejection::Rejection;
use crate::reply::Reply;
use crate::resource::ResourcesRow;

/// Takes a frame of a link.
pub(super) fn node(draft: &mut Draft<'_>, command: &NodeCommand) -> Result<Reply, Stop> {
    match &command.frame {
        NodeFrame::Hello { instance, machine } => hello(draft, command, instance, machine.as_ref()),
        NodeFrame::Heard => {
            if let Some(link) = link_of(draft, command) {
                let heard_at = draft.now.engine;
                draft.set_link(command.node.clone(), Some(AgentLink { heard_at, ..link }));
            }
            Ok(Reply::Done)
        }
        NodeFrame::Closed => {
            if link_of(draft, command).is_some() {
                draft.set_link(command.node.clone(), None);
            }
            Ok(Reply::Done)
        }
    }
}

/// The link of the node, if it is the one that the command came by.
fn link_of(draft: &Draft<'_>, command: &NodeCommand) -> Option<AgentLink> {
    let link = draft.link(&command.node);
    link.filter(|link| link.stream == command.stream)
}

fn hello(
    draft: &mut Draft<'_>,
    command: &NodeCommand,
    instance: &InstanceId,
    machine: Option<&MachineId>,
) -> Result<Reply, Stop> {
    let (namespace, name) = &command.node;
    let known = draft.node(namespace, name)?;
    let link = draft.link(&command.node);
    if let Some(row) = &known {
        let is_newer = |link: &AgentLink| link.stream > command.stream;
        if row.instance == *instance && link.as_ref().is_some_and(is_newer) {
            return Err(Rejection::StreamReplaced.into());
        }
        refuse_second(draft, row, instance, link)?;
        if !row.may_move_to(machine) {
            return Err(Rejection::Node(NodeRejection::Elsewhere {
                node: name.clone(),
                resources: row.unreleased,
            })
            .into());
        }
    }
    let epoch = match &known {
        Some(row) if row.instance == *instance && row.machine.as_ref() == machine => row.epoch,
        Some(_) | None => take(draft, command, instance, machine, known.as_ref())?,
    };
    let heard_at = draft.now.engine;
    let stream = command.stream;
    draft.set_link(command.node.clone(), Some(AgentLink { stream, heard_at }));
    // What waits for the agent is begun.
    draft.releases = true;
    Ok(Reply::NodeTaken { epoch })
}

/// A run of an agent that is heard of keeps the node from any other.
fn refuse_second(
    draft: &Draft<'_>,
    row: &NodeRow,
    instance: &InstanceId,
    link: Option<AgentLink>,
) -> Result<(), Stop> {
    let free_at = link.map(|link| link.heard_at + NODE_LEASE);
    match free_at {
        Some(at) if row.instance != *instance && at > draft.now.engine => {
            Err(Rejection::Node(NodeRejection::Held {
                node: row.name.clone(),
                holder: row.instance.clone(),
                retry_after: at.since(draft.now.engine),
            })
            .into())
        }
        Some(_) | None => Ok(()),
    }
}

/// Puts on record who has the node from here on.
fn take(
    draft: &mut Draft<'_>,
    command: &NodeCommand,
    instance: &InstanceId,
    machine: Option<&MachineId>,
    known: Option<&NodeRow>,
) -> Result<Epoch, Stop> {
    let mut counters = draft.counters()?;
    if known.is_none() {
        if counters.nodes >= NODES_MAX {
            return Err(Rejection::Node(NodeRejection::TooMany { limit: NODES_MAX }).into());
        }
        counters.nodes += 1;
    }
    counters.epoch = counters.epoch.next();
    draft.put_counters(counters);
    let (namespace, name) = command.node.clone();
    draft.put_node(NodeRow {
        namespace,
        name,
        epoch: counters.epoch,
        instance: instance.clone(),
        machine: machine.cloned(),
        acquire_time: draft.now.wall,
        unreleased: known.map_or(0, |row| row.unreleased),
    });
    Ok(counters.epoch)
}

/// Forgets a node on which nothing is left and that nobody looks after.
pub(super) fn forget(draft: &mut Draft<'_>, forget: &ForgetNode) -> Result<Reply, Stop> {
    let (namespace, name) = &forget.node;
    let Some(row) = draft.node(namespace, name)? else {
        return Ok(Reply::Done);
    };
    let is_idle = row.unreleased == 0 && draft.link(&forget.node).is_none();
    if row.epoch == forget.epoch && is_idle {
        draft.remove_node(namespace, name);
        let mut counters = draft.counters()?;
        counters.nodes -= 1;
        draft.put_counters(counters);
    }
    Ok(Reply::Done)
}

/// Whether a witness may speak of what is on a node, or on the server's own machine.
pub(super) fn may_speak(
    draft: &Draft<'_>,
    namespace: &Namespace,
    node: Option<&NodeName>,
    witness: Witness,
) -> Result<bool, Stop> {
    Ok(match (node, witness) {
        (None, Witness::Server) => true,
        (Some(_), Witness::Agent(_)) if faulty!(FencedAgentHeard) => true,
        (Some(name), Witness::Agent(epoch)) => {
            let row = draft.node(namespace, name)?;
            row.is_some_and(|row| row.epoch == epoch)
        }
        (None, Witness::Agent(_)) | (Some(_), Witness::Server) => false,
    })
}

/// Moves the counts of the nodes on which a session's resources lie from what they were to what they are.
pub(super) fn recount(draft: &mut Draft<'_>, after: &ResourcesRow) -> Result<(), Stop> {
    // What is on a node stays on record until it is released, so a row without nodes had nothing to count before either.
    if after.list.iter().all(|resource| resource.node.is_none()) {
        return Ok(());
    }
    let before = draft.resources(after.session)?;
    let was = before
        .as_ref()
        .map(ResourcesRow::unreleased_by_node)
        .unwrap_or_default();
    let is = after.unreleased_by_node();
    let names: BTreeSet<&NodeName> = was.keys().chain(is.keys()).copied().collect();
    for name in names {
        let count = |counts: &BTreeMap<&NodeName, u32>| counts.get(name).copied().unwrap_or(0);
        let (was, is) = (count(&was), count(&is));
        if was == is {
            continue;
        }
        let mut row = draft
            .node(&after.namespace, name)?
            .expect("a node on which something is left is on record");
        row.unreleased = row.unreleased + is - was;
        draft.put_node(row);
    }
    Ok(())
}

/// A node that a resource may be declared on.
pub(super) fn known(draft: &Draft<'_>, key: &NodeKey) -> Result<(), Stop> {
    let (namespace, name) = key;
    match draft.node(namespace, name)? {
        Some(_) => Ok(()),
        None => Err(Rejection::Node(NodeRejection::NotFound { node: name.clone() }).into()),
    }
}
