//! What became of settlements.

use sessiond_core::reply::{SettleCode, SettleResult};
use sessiond_proto::v1 as pb;

use super::time::timestamp;

/// One result per settlement, in order.
pub(crate) fn results(results: &[SettleResult]) -> Vec<pb::SettleResult> {
    results.iter().map(result).collect()
}

fn result(result: &SettleResult) -> pb::SettleResult {
    let fenced = result.current.epoch.map_or(0, |epoch| epoch.0);
    let stale = result.current.delivery_id.map_or(0, |latest| latest.0);
    let (code, current_epoch, current_delivery_id) = match result.code {
        SettleCode::Ok => (pb::SettleCode::Ok, 0, 0),
        SettleCode::AlreadySettled => (pb::SettleCode::AlreadySettled, 0, 0),
        SettleCode::Fenced => (pb::SettleCode::Fenced, fenced, 0),
        SettleCode::StaleDelivery => (pb::SettleCode::StaleDelivery, 0, stale),
        SettleCode::UnknownMessage => (pb::SettleCode::UnknownMessage, 0, 0),
    };
    pb::SettleResult {
        code: code.into(),
        queue_id: result.queue.0,
        seq: result.seq.0,
        delivery_id: result.delivery_id.0,
        current_epoch,
        current_delivery_id,
        deadline: result.deadline.map(timestamp),
    }
}
