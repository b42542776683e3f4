//! Nodes: other machines on which sessions have something outside, each with the agent that looks after it.
//!
//! Invariant: a node has one agent at a time. Whoever has it has a fencing token, which only grows, and what any other
//! agent says of the node's resources counts for nothing; a machine takes a name over only when nothing is left of the one
//! that had it. What this deliberately does not do: say whether an agent is reachable; that is presence.

use crate::ids::{Epoch, InstanceId, MachineId, Namespace, NodeName};
use crate::time::{Span, WallTime};

/// A node, within its namespace.
pub type NodeKey = (Namespace, NodeName);

/// What is on record of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    /// Where.
    pub namespace: Namespace,
    /// What it is called.
    pub name: NodeName,
    /// The fencing token of its agent.
    pub epoch: Epoch,
    /// Its agent: one run of the process.
    pub instance: InstanceId,
    /// The machine, as far as the agent can tell.
    pub machine: Option<MachineId>,
    /// When this agent took the node.
    pub acquire_time: WallTime,
    /// How many resources on it are not released.
    pub unreleased: u32,
}

/// Who says something of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// This server, which sees its own machine.
    Server,
    /// The agent of the resource's node, by its fencing token.
    Agent(Epoch),
}

/// Why a node, or its agent, cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeRejection {
    /// No such node is on record: no agent of it was ever here.
    NotFound {
        /// What was asked for.
        node: NodeName,
    },
    /// The node has no agent at the moment that could do what was asked.
    Away {
        /// Which.
        node: NodeName,
    },
    /// Another agent has the node, and is heard of.
    Held {
        /// Which.
        node: NodeName,
        /// The run of the agent that has it.
        holder: InstanceId,
        /// How long that has it, unless it is heard of again.
        retry_after: Span,
    },
    /// Another machine has the node, and something is left on that.
    Elsewhere {
        /// Which.
        node: NodeName,
        /// How many resources there are not released.
        resources: u32,
    },
    /// As many nodes are on record as may be.
    TooMany {
        /// The limit.
        limit: u64,
    },
}

impl NodeRow {
    /// Whether a machine may have the name: it is the one that has it, or nothing is left on that. Of two that cannot say what
    /// they are nobody can tell.
    #[must_use]
    pub(crate) fn may_move_to(&self, machine: Option<&MachineId>) -> bool {
        self.machine.as_ref() == machine || self.unreleased == 0 || faulty!(NodeMoved)
    }
}
