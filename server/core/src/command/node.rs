//! Commands of the agents of other machines.
//!
//! What this deliberately does not do: carry what an agent was asked to do, or its answers. Those are no decisions; what
//! comes of them is reported as any attempt is.

use crate::ids::{Epoch, InstanceId, MachineId, StreamId};
use crate::node::NodeKey;

/// A frame of an agent's link, or its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeCommand {
    /// The node that it is the agent of.
    pub node: NodeKey,
    /// The link.
    pub stream: StreamId,
    /// What happened on it.
    pub frame: NodeFrame,
}

/// What happens on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeFrame {
    /// An agent is here, new or again.
    Hello {
        /// This run of it.
        instance: InstanceId,
        /// The machine it runs on, as far as it can tell.
        machine: Option<MachineId>,
    },
    /// It was heard of.
    Heard,
    /// The link is gone.
    Closed,
}

/// Forget a node on which nothing is left and that nobody looks after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForgetNode {
    /// Which.
    pub node: NodeKey,
    /// Only while this is its agent's fencing token.
    pub epoch: Epoch,
}
