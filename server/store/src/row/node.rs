//! A node: another machine, and the agent that has it.

use sessiond_core::ids::Epoch;
use sessiond_core::node::NodeRow;
use sessiond_core::time::WallTime;

use crate::row::DecodeError;
use crate::row::text::{text, text_if};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Node {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(uint64, tag = "3")]
    epoch: u64,
    #[prost(string, tag = "4")]
    instance: String,
    #[prost(string, optional, tag = "5")]
    machine: Option<String>,
    #[prost(uint64, tag = "6")]
    acquire_time: u64,
    #[prost(uint32, tag = "7")]
    unreleased: u32,
}

impl From<&NodeRow> for Node {
    fn from(row: &NodeRow) -> Self {
        Self {
            namespace: row.namespace.as_str().to_owned(),
            name: row.name.as_str().to_owned(),
            epoch: row.epoch.0,
            instance: row.instance.as_str().to_owned(),
            machine: row.machine.as_ref().map(|id| id.as_str().to_owned()),
            acquire_time: row.acquire_time.0,
            unreleased: row.unreleased,
        }
    }
}

impl TryFrom<Node> for NodeRow {
    type Error = DecodeError;

    fn try_from(row: Node) -> Result<Self, DecodeError> {
        Ok(Self {
            namespace: text(row.namespace)?,
            name: text(row.name)?,
            epoch: Epoch(row.epoch),
            instance: text(row.instance)?,
            machine: text_if(row.machine)?,
            acquire_time: WallTime(row.acquire_time),
            unreleased: row.unreleased,
        })
    }
}
