//! Streamed durable enqueue, in two regimes: workers keeping up, or a backlog building.
//!
//! What it deliberately does not do: put several messages into a frame; each has its own answer.

use anyhow::Result;

use super::pipeline::Pipeline;
use super::worker::Worker;
use super::{Outcome, Plan};
use crate::caller::{Payloads, Producer};
use crate::path::{Regime, System};
use crate::samples::Load;

/// Measures it on a server of its own.
pub(super) async fn measure(
    plan: &Plan,
    load: &Load,
    system: System,
    regime: Regime,
) -> Result<Outcome> {
    let target = super::start(plan, system).await?;
    let mut producer = Producer::new(0, &target.sessions, &Payloads::of(load.payload_bytes));
    let pipeline = Pipeline::open(&target.caller).await?;
    if system == System::Noop {
        return Ok(pipeline.run(load, &mut producer, None).await?.into());
    }
    let mut worker = match regime {
        Regime::BacklogBuilding => None,
        Regime::WorkersKeepingUp => {
            Some(Worker::attach(target.server.address(), &target.sessions).await?)
        }
    };
    let samples = pipeline.run(load, &mut producer, worker.as_mut()).await?;
    let left = target.caller.stats().await?.messages.unwrap_or_default();
    Ok(Outcome {
        samples: Some(samples),
        facts: vec![("pending_at_end", (left.pending + left.in_flight) as f64)],
    })
}
