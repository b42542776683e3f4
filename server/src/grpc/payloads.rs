//! Payloads of deliveries, read from committed rows where the engine did not have them at hand.

use sessiond_core::reply::Delivery;
use tonic::Status;

use super::context::{Context, faulted};

/// The deliveries with their payloads. One whose payload is gone is left out: it was settled since by somebody who holds
/// its delivery id, or discarded. So nothing may be left.
pub(super) fn load(context: &Context, deliveries: Vec<Delivery>) -> Result<Vec<Delivery>, Status> {
    if deliveries.iter().all(|delivery| delivery.payload.is_some()) {
        return Ok(deliveries);
    }
    let rows = context.rows()?;
    let mut loaded = Vec::with_capacity(deliveries.len());
    for mut delivery in deliveries {
        if delivery.payload.is_none() {
            delivery.payload = rows
                .payload(delivery.message.queue, delivery.message.seq)
                .map_err(|fault| faulted(&fault))?;
        }
        if delivery.payload.is_some() {
            loaded.push(delivery);
        }
    }
    Ok(loaded)
}
