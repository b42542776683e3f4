//! From the enqueue to a worker that waits: one message at a time, with nothing else to do.
//!
//! The latency is from the send to the receipt by the worker, which is on a connection of its own.
//! What it deliberately does not do: count the acknowledgement, though it is awaited before the next.

use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::work_stream::{Heard, WorkStream};
use super::{Outcome, Plan, enqueue};
use crate::caller::{Caller, Payloads, Producer};
use crate::path::System;
use crate::samples::{LAST_ANSWERS_WITHIN, Load, Recorder, Samples};

/// Messages the worker may have: one is enough, more show that it is not the limit.
const CREDIT: u32 = 16;

/// Measures it on a server of its own.
pub(super) async fn measure(plan: &Plan, load: &Load) -> Result<Outcome> {
    let target = super::start(plan, System::Sessiond).await?;
    let worker = Caller::connect(target.server.address()).await?;
    let mut stream = WorkStream::attach(&worker, &target.sessions, CREDIT).await?;
    let payloads = Payloads::of(load.payload_bytes);
    let producer = Producer::new(0, &target.sessions, &payloads);
    let enqueue = enqueue::operation(&target.caller, producer);
    let within = load.warm_up + load.duration + LAST_ANSWERS_WITHIN;
    let samples = tokio::time::timeout(within, one_by_one(&mut stream, load, enqueue))
        .await
        .context("a message was not delivered")??;
    Ok(samples.into())
}

async fn one_by_one<Op, Fut>(
    stream: &mut WorkStream,
    load: &Load,
    mut enqueue: Op,
) -> Result<Samples>
where
    Op: FnMut() -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let mut recorder = Recorder::start(load);
    let mut begun = Instant::now();
    while recorder.goes_on(begun) {
        let (enqueued, received) = tokio::join!(enqueue(), received(stream));
        enqueued?;
        recorder.record(begun, received?);
        match stream.heard().await? {
            Heard::Settled(1) => {}
            other @ (Heard::Settled(_) | Heard::Deliveries(_)) => {
                bail!("one message was sent, and the worker was told {other:?}")
            }
        }
        begun = Instant::now();
    }
    recorder.finish()
}

/// When the one message came; it is acknowledged.
async fn received(stream: &mut WorkStream) -> Result<Instant> {
    let Heard::Deliveries(deliveries) = stream.heard().await? else {
        bail!("a settlement was answered that nobody made");
    };
    let at = Instant::now();
    stream.settle(&deliveries);
    Ok(at)
}
