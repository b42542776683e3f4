//! From SIGKILL to serving, with many messages pending.
//!
//! Invariant: after each restart every message that was acknowledged is there, or the measurement fails.
//! The page cache stays warm. What it deliberately does not do: cut the power.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::{Outcome, Plan, enqueue};
use crate::caller::{Caller, Payloads, Producer};
use crate::path::System;
use crate::samples::{Load, latencies};

/// Measures it on a server of its own.
pub(super) async fn measure(plan: &Plan, load: &Load, stored: usize) -> Result<Outcome> {
    let mut target = super::start(plan, System::Sessiond).await?;
    enqueue::store(&target, load, stored).await?;
    let file_bytes = target.server.file_bytes()?;
    let mut producer = Producer::new(0, &target.sessions, &Payloads::of(load.payload_bytes));
    let mut taken = latencies();
    let mut slowest: f64 = 0.0;
    for again in 1..=plan.scale.restarts {
        target.server.kill();
        let begun = Instant::now();
        target.server.restart().await?;
        let caller = Caller::connect(target.server.address()).await?;
        let mut messages = caller.messages();
        // Serving means that a message can be made durable, and so does the next kill find news.
        messages.enqueue_messages(producer.request()).await?;
        let elapsed = begun.elapsed();
        taken.saturating_record(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX));
        slowest = slowest.max(elapsed.as_secs_f64());
        let found = caller.stats().await?.messages.unwrap_or_default().pending;
        let acknowledged = (stored + again) as u64;
        ensure!(
            found == acknowledged,
            "{acknowledged} messages were acknowledged and {found} are pending after a kill"
        );
    }
    let median = taken.value_at_quantile(0.5) as f64 / 1e6;
    Ok(Outcome::facts(vec![
        ("messages", stored as f64),
        ("serving_again_median_s", median),
        ("serving_again_slowest_s", slowest),
        ("file_per_message_bytes", file_bytes as f64 / stored as f64),
        ("resident_bytes", target.server.resident_bytes()? as f64),
    ]))
}
