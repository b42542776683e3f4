//! Deliveries.

use bytes::Bytes;
use sessiond_core::reply::Delivery;
use sessiond_proto::v1 as pb;

use super::message::message;
use super::time::timestamp;

/// One hand-out with its payload, whether or not the delivery has it at hand.
pub(crate) fn delivery(delivery: &Delivery, payload: Bytes) -> pb::Delivery {
    pb::Delivery {
        message: Some(message(&delivery.message, &delivery.session, payload)),
        delivery_id: delivery.delivery_id.0,
        epoch: delivery.epoch.0,
        deadline: Some(timestamp(delivery.deadline)),
    }
}

/// Hand-outs whose payloads were all read before: whoever shows one without would lose a message's
/// work and have it acknowledged, so that is a defect and stops the process.
pub(crate) fn loaded(deliveries: Vec<Delivery>) -> Vec<pb::Delivery> {
    deliveries
        .into_iter()
        .map(|mut one| {
            let payload = one
                .payload
                .take()
                .expect("payloads are read before deliveries are shown");
            delivery(&one, payload)
        })
        .collect()
}
