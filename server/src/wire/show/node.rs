//! Nodes: machines other than the server's.

use sessiond_core::node::NodeRow;
use sessiond_proto::v1 as pb;

use super::time::timestamp;

/// A node, and whether its agent is here.
pub(crate) fn node(row: &NodeRow, linked: bool) -> pb::Node {
    pb::Node {
        node: row.name.to_string(),
        linked,
        epoch: row.epoch.0,
        instance_id: row.instance.to_string(),
        acquire_time: Some(timestamp(row.acquire_time)),
        unreleased_resources: row.unreleased,
    }
}
