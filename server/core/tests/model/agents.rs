//! Agents of other machines: they come, are heard of, go silent, come back as others, and speak out of turn.
//!
//! What they say of resources is said in `outside`; here is who they are. What this deliberately does not do: run anything.

use sessiond_core::command::Command;
use sessiond_core::command::node::{ForgetNode, NodeCommand, NodeFrame};
use sessiond_core::ids::{Epoch, InstanceId, MachineId, NodeName, StreamId};
use sessiond_core::node::{NodeKey, Witness};
use sessiond_core::resource::ResourceToken;

use super::world::World;

const NODES: u32 = 2;

impl World {
    /// Something happens to the agent of some node.
    pub(crate) fn link(&mut self) {
        let node = self.some_node();
        let known = self.model.nodes.get(&node.1).cloned();
        let stream = known.as_ref().and_then(|node| node.link).map(|link| link.0);
        // A frame of a link that is over counts for nothing.
        let stream = stream.filter(|_| self.rng.u32(..6) > 0);
        let stream = stream.unwrap_or(StreamId(self.rng.u64(1..9)));
        let frame = match self.rng.u32(..10) {
            0..6 => return self.node_hello(node),
            6..8 => NodeFrame::Heard,
            8 => NodeFrame::Closed,
            _ => {
                let epoch = known.map_or(1, |node| node.epoch);
                let epoch = Epoch(epoch.saturating_sub(self.rng.u64(..2)));
                let forget = Command::ForgetNode(ForgetNode { node, epoch });
                return drop(self.submit(&forget));
            }
        };
        self.node_says(node, stream, frame);
    }

    fn node_hello(&mut self, node: NodeKey) {
        let stream = StreamId(self.clients.next_stream);
        self.clients.next_stream += 1;
        let run = format!("a{}", self.rng.u32(..3));
        let machine = match self.rng.u32(..6) {
            0 => None,
            1 => Some("m1"),
            _ => Some("m0"),
        };
        self.node_says(
            node,
            stream,
            NodeFrame::Hello {
                instance: InstanceId::parse(run).unwrap(),
                machine: machine.map(|id| MachineId::parse(id).unwrap()),
            },
        );
    }

    fn node_says(&mut self, node: NodeKey, stream: StreamId, frame: NodeFrame) {
        let command = NodeCommand {
            node,
            stream,
            frame,
        };
        let _ = self.submit(&Command::Node(command));
    }

    fn some_node(&mut self) -> NodeKey {
        let name = format!("node{}", self.rng.u32(..NODES));
        (self.namespace.clone(), NodeName::parse(name).unwrap())
    }

    /// The machine of something new: mostly the server's own.
    pub(crate) fn some_machine(&mut self) -> Option<NodeName> {
        (self.rng.u32(..3) == 0).then(|| self.some_node().1)
    }

    /// Whoever may speak of what is on a machine; now and then somebody who may not.
    pub(crate) fn some_witness(&mut self, node: Option<&NodeName>) -> Witness {
        if node.is_some() && self.rng.u32(..6) == 0 {
            return match self.rng.bool() {
                true => Witness::Server,
                false => Witness::Agent(Epoch(self.rng.u64(1..20))),
            };
        }
        self.witness(node)
    }

    /// Whoever may speak of what is on a machine.
    pub(crate) fn witness(&self, node: Option<&NodeName>) -> Witness {
        let known = node.and_then(|name| self.model.nodes.get(name));
        known.map_or(Witness::Server, |node| Witness::Agent(Epoch(node.epoch)))
    }

    /// The machine of a resource on record.
    pub(crate) fn machine_of(&self, token: ResourceToken) -> Option<NodeName> {
        let known = self.model.resource(token.session.0, token.number.0);
        known.and_then(|resource| resource.node.clone())
    }
}
