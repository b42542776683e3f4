//! The rules of nodes in the reference model: who is the agent of one, and whose word counts.
//!
//! Written from what is promised: a node has one agent at a time, for as long as it is heard of; a new one has a larger
//! token; and nothing counts that any other says. How many resources of a node are left is found by looking at all of them.

use sessiond_core::command::node::{ForgetNode, NodeCommand, NodeFrame};
use sessiond_core::ids::{InstanceId, MachineId, Namespace, NodeName, StreamId};
use sessiond_core::limits::NODE_LEASE;
use sessiond_core::node::{NodeRejection, NodeRow, Witness};
use sessiond_core::presence::{AgentLink, Presence};
use sessiond_core::rows::RowKey;
use sessiond_core::time::Span;

use super::marks::outside::Outside;
use super::sessions::Verdict;
use super::state::Model;
use super::store::Store;
use super::told::{Answer, Expected, Refusal};
use super::world::NAMESPACE;

/// A node that is on record.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) epoch: u64,
    pub(crate) instance: InstanceId,
    pub(crate) machine: Option<MachineId>,
    /// The link of its agent, and when it was heard of by it.
    pub(crate) link: Option<(StreamId, u64)>,
}

impl Model {
    pub(crate) fn node_frame(&mut self, command: &NodeCommand, out: &mut Expected) -> Verdict {
        let name = &command.node.1;
        let now = self.now;
        match &command.frame {
            NodeFrame::Hello { instance, machine } => {
                return self.node_hello(command, instance, machine.as_ref(), out);
            }
            NodeFrame::Heard => {
                if let Some((_, heard)) = self.own_link(name, command.stream) {
                    *heard = now;
                }
            }
            NodeFrame::Closed => {
                if self.own_link(name, command.stream).is_some() {
                    self.node_mut(name).link = None;
                }
            }
        }
        Ok(Answer::Done)
    }

    fn node_hello(
        &mut self,
        command: &NodeCommand,
        instance: &InstanceId,
        machine: Option<&MachineId>,
        out: &mut Expected,
    ) -> Verdict {
        let (name, now) = (&command.node.1, self.now);
        let known = self.nodes.get(name).cloned();
        let left = self.left_on(name);
        let link = known.as_ref().and_then(|node| node.link);
        let mut epoch = None;
        if let Some(node) = &known {
            let own = node.instance == *instance;
            let until = link.map_or(0, |(_, heard)| heard + NODE_LEASE.0);
            if !own && until > now {
                self.marks.hit(Outside::NodeHeld);
                return Err(Refusal::Node(NodeRejection::Held {
                    node: name.clone(),
                    holder: node.instance.clone(),
                    retry_after: Span(until - now),
                }));
            }
            let moved = node.machine.as_ref() != machine;
            if moved && left > 0 {
                self.marks.hit(Outside::NodeElsewhere);
                return Err(Refusal::Node(NodeRejection::Elsewhere {
                    node: name.clone(),
                    resources: left,
                }));
            }
            self.marks.hit_if(moved, Outside::NodeMoved);
            self.marks
                .hit_if(!own && link.is_some(), Outside::NodeSilent);
            self.marks.hit_if(own, Outside::NodeBack);
            if own && node.machine.as_ref() == machine {
                epoch = Some(node.epoch);
            }
        }
        let epoch = epoch.unwrap_or_else(|| {
            self.last_epoch += 1;
            self.last_epoch
        });
        self.nodes.insert(
            name.clone(),
            Node {
                epoch,
                instance: instance.clone(),
                machine: machine.cloned(),
                link: Some((command.stream, now)),
            },
        );
        out.releases = true;
        Ok(Answer::NodeTaken(epoch))
    }

    pub(crate) fn forget_node(&mut self, asked: &ForgetNode) {
        let name = &asked.node.1;
        let left = self.left_on(name);
        let Some(node) = self.nodes.get(name) else {
            return;
        };
        let spared = left > 0 || node.link.is_some();
        self.marks.hit_if(spared, Outside::NodeNeeded);
        if node.epoch == asked.epoch.0 && !spared {
            self.nodes.remove(name);
            self.marks.hit(Outside::NodeForgotten);
        }
    }

    /// Whether this witness may say something of what is on a machine.
    pub(crate) fn may_speak(&mut self, node: Option<&NodeName>, witness: Witness) -> bool {
        match (node, witness) {
            (None, Witness::Server) => true,
            (Some(name), Witness::Agent(epoch)) => {
                let own = self.nodes.get(name).is_some_and(|n| n.epoch == epoch.0);
                self.marks.hit_if(!own, Outside::AgentFenced);
                own
            }
            (Some(_), Witness::Server) | (None, Witness::Agent(_)) => false,
        }
    }

    /// What is on a node is known from its agent.
    pub(crate) fn refuse_other_witness(
        &mut self,
        node: Option<&NodeName>,
        witness: Witness,
    ) -> Result<(), Refusal> {
        match (self.may_speak(node, witness), node) {
            (false, Some(node)) => {
                let node = node.clone();
                Err(Refusal::Node(NodeRejection::Away { node }))
            }
            (true, _) | (false, None) => Ok(()),
        }
    }

    /// How many resources on a node are not released.
    fn left_on(&self, name: &NodeName) -> u32 {
        let sessions = self.sessions.iter().filter(|session| !session.purged);
        let all = sessions.flat_map(|session| &session.resources);
        let left = all.filter(|one| one.node.as_ref() == Some(name) && !one.is_released());
        u32::try_from(left.count()).expect("there are few")
    }

    fn node_mut(&mut self, name: &NodeName) -> &mut Node {
        self.nodes.get_mut(name).expect("it was found before")
    }

    fn own_link(&mut self, name: &NodeName, stream: StreamId) -> Option<&mut (StreamId, u64)> {
        let link = self.nodes.get_mut(name)?.link.as_mut()?;
        (link.0 == stream).then_some(link)
    }
}

/// Panics when what is on record of a node differs.
pub(crate) fn check_row(model: &Model, name: &NodeName, row: &NodeRow) {
    let node = model.nodes.get(name);
    let node = node.unwrap_or_else(|| panic!("node {name} came from nowhere"));
    assert_eq!((row.namespace.as_str(), &row.name), (NAMESPACE, name));
    assert_eq!(row.epoch.0, node.epoch, "the token of {name}");
    assert_eq!(row.instance, node.instance, "the agent of {name}");
    assert_eq!(row.machine, node.machine, "the machine of {name}");
    assert_eq!(row.unreleased, model.left_on(name), "what is on {name}");
}

/// Panics when a node is not on record.
pub(crate) fn check_all(model: &Model, store: &Store) {
    let namespace = Namespace::parse(NAMESPACE).unwrap();
    for name in model.nodes.keys() {
        let key = RowKey::Node(namespace.clone(), name.clone());
        assert!(store.rows.contains_key(&key), "node {name} is missing");
    }
}

/// Panics when the engine's memory of links differs.
pub(crate) fn check_links(model: &Model, presence: &Presence, namespace: &Namespace) {
    for (name, node) in &model.nodes {
        let link = presence.link(&(namespace.clone(), name.clone()));
        let is = link.map(|AgentLink { stream, heard_at }| (stream, heard_at.0));
        assert_eq!(is, node.link, "the link of {name}");
    }
}
