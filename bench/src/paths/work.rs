//! Claim and settle over `Work`: a backlog is handed out to one worker that acknowledges each message in
//! a frame of its own.
//!
//! An operation is one message from its receipt to the durable answer to its acknowledgement; the server
//! hands out the next ones in the commit of the acknowledgements. What it deliberately does not do:
//! enqueue meanwhile.

use std::collections::VecDeque;
use std::time::Instant;

use anyhow::{Context, Result};
use sessiond_proto::v1 as pb;

use super::work_stream::{Heard, WorkStream};
use super::{Outcome, Plan, enqueue};
use crate::caller::Caller;
use crate::path::System;
use crate::samples::{LAST_ANSWERS_WITHIN, Load, Recorder, Samples};

/// Messages stored beforehand for each second; a server that settles more is done before the time is over.
const STORED_PER_SECOND: f64 = 60_000.0;
/// And at least this many.
const STORED_MIN: usize = 4_096;

/// Measures it on a server of its own, with `load.callers` messages of credit.
pub(super) async fn measure(plan: &Plan, load: &Load) -> Result<Outcome> {
    let target = super::start(plan, System::Sessiond).await?;
    let seconds = (load.warm_up + load.duration).as_secs_f64();
    let stored = STORED_MIN.max((STORED_PER_SECOND * seconds) as usize);
    enqueue::store(&target, load, stored).await?;
    let caller = Caller::connect(target.server.address()).await?;
    let credit = u32::try_from(load.callers).context("more credit than there is")?;
    let stream = WorkStream::attach(&caller, &target.sessions, credit).await?;
    let within = load.warm_up + load.duration + LAST_ANSWERS_WITHIN;
    let samples = tokio::time::timeout(within, settle_each(stream, load, stored))
        .await
        .context("settlements got no answer")??;
    Ok(samples.into())
}

/// Until the time is over or everything that was stored is settled.
async fn settle_each(mut stream: WorkStream, load: &Load, stored: usize) -> Result<Samples> {
    let mut recorder = Recorder::start(load);
    let mut unanswered = VecDeque::with_capacity(load.callers);
    let mut settled = 0;
    loop {
        match stream.heard().await? {
            Heard::Deliveries(deliveries) => {
                let now = Instant::now();
                if recorder.goes_on(now) {
                    let each = deliveries.chunks(1);
                    each.for_each(|one: &[pb::Delivery]| stream.settle(one));
                    unanswered.extend(deliveries.iter().map(|_| now));
                }
            }
            Heard::Settled(count) => {
                let now = Instant::now();
                settled += count;
                for begun in unanswered.drain(..count.min(unanswered.len())) {
                    recorder.record(begun, now);
                }
                let over = !recorder.goes_on(now) && unanswered.is_empty();
                if over || settled == stored {
                    return recorder.finish();
                }
            }
        }
    }
}
