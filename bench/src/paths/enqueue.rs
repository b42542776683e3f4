//! Unary durable enqueue: callers that each wait for their answer.
//!
//! The same requests go to sessiond and to the no-op server. What it deliberately does not do: pipeline.

use std::sync::Arc;

use anyhow::{Context, Result};

use super::pipeline::Pipeline;
use super::worker::Worker;
use super::{Outcome, Plan, Target};
use crate::caller::{Caller, Payloads, Producer, accepted};
use crate::path::{Regime, System};
use crate::samples::{Load, Samples, closed_loop};

/// Measures it on a server of its own.
pub(super) async fn measure(
    plan: &Plan,
    load: &Load,
    system: System,
    regime: Regime,
) -> Result<Outcome> {
    let target = super::start(plan, system).await?;
    // Kept to the end: dropped, it would leave its sessions.
    let _worker = match (system, regime) {
        (System::Sessiond | System::SessiondWatched, Regime::WorkersKeepingUp) => {
            let worker = Worker::attach(target.server.address(), &target.sessions).await?;
            Some(worker)
        }
        (System::Noop | System::Peer(_), Regime::WorkersKeepingUp)
        | (_, Regime::BacklogBuilding) => None,
    };
    let samples = callers(&target.caller, &target.sessions, load).await?;
    if system == System::Noop {
        return Ok(samples.into());
    }
    let left = target.caller.stats().await?.messages.unwrap_or_default();
    Ok(Outcome {
        samples: Some(samples),
        facts: vec![("pending_at_end", (left.pending + left.in_flight) as f64)],
    })
}

/// Measures it beside this many messages that wait.
pub(super) async fn measure_beside(plan: &Plan, load: &Load, stored: usize) -> Result<Outcome> {
    let target = super::start(plan, System::Sessiond).await?;
    store(&target, load, stored).await?;
    let samples = callers(&target.caller, &target.sessions, load).await?;
    Ok(Outcome {
        samples: Some(samples),
        facts: vec![("stored_messages", stored as f64)],
    })
}

/// Stores messages that nobody works off, as fast as it goes.
pub(super) async fn store(target: &Target, load: &Load, messages: usize) -> Result<()> {
    let payloads = Payloads::of(load.payload_bytes);
    let mut producer = Producer::new(0, &target.sessions, &payloads);
    let pipeline = Pipeline::open(&target.caller).await?;
    pipeline.store(&mut producer, messages).await
}

/// Callers on one connection, over all sessions.
pub(super) async fn callers(
    caller: &Caller,
    sessions: &Arc<[String]>,
    load: &Load,
) -> Result<Samples> {
    let payloads = Payloads::of(load.payload_bytes);
    closed_loop(load, |index| {
        operation(caller, Producer::new(index, sessions, &payloads))
    })
    .await
}

/// One caller's operation: enqueue one message, durable with the answer.
pub(super) fn operation(
    caller: &Caller,
    mut producer: Producer,
) -> impl FnMut() -> std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send>> + Send + 'static {
    let client = caller.messages();
    move || {
        let mut client = client.clone();
        let request = producer.request();
        Box::pin(async move {
            let answer = client.enqueue_messages(request).await;
            let answer = answer.context("failed to enqueue")?.into_inner();
            accepted(&answer.results, 1)
        })
    }
}
