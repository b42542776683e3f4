//! Latencies of unary enqueue over time: whatever the store does now and then shows as a worse window.
//!
//! A backlog builds, so that everything enqueued has to be kept. What it deliberately does not do: know
//! when a checkpoint runs.

use anyhow::{Context, Result};

use super::{Outcome, Plan, enqueue};
use crate::caller::{Payloads, Producer};
use crate::path::System;
use crate::samples::{Load, Samples, closed_loop_windows};

/// A window at the edge of the run with fewer operations than this part of the usual says nothing.
const FEW: u64 = 10;

/// Measures it on a server of its own.
pub(super) async fn measure(plan: &Plan, load: &Load) -> Result<Outcome> {
    let target = super::start(plan, System::Sessiond).await?;
    let payloads = Payloads::of(load.payload_bytes);
    let load = Load {
        duration: plan.scale.follow,
        ..load.clone()
    };
    let windows = closed_loop_windows(&load, plan.scale.window, |index| {
        let producer = Producer::new(index, &target.sessions, &payloads);
        enqueue::operation(&target.caller, producer)
    });
    let mut windows = windows.await?;
    let most = windows.iter().map(|window| window.operations).max();
    let enough = most.unwrap_or_default() / FEW;
    windows.retain(|window| window.operations > enough);
    let all = together(&windows).context("no window has enough operations")?;
    let mut p99s: Vec<f64> = windows
        .iter()
        .map(|window| window.p99().as_secs_f64() * 1e3)
        .collect();
    p99s.sort_by(f64::total_cmp);
    let median = p99s[p99s.len() / 2];
    let worst = p99s[p99s.len() - 1];
    Ok(Outcome {
        samples: Some(all),
        facts: vec![
            ("windows", p99s.len() as f64),
            ("p99_median_window_ms", median),
            ("p99_worst_window_ms", worst),
            ("p99_worst_to_median", worst / median),
            (
                "slowest_ms",
                windows.iter().map(slowest).fold(0.0, f64::max),
            ),
        ],
    })
}

fn slowest(window: &Samples) -> f64 {
    window.latencies.max() as f64 / 1e3
}

fn together(windows: &[Samples]) -> Option<Samples> {
    let (first, rest) = windows.split_first()?;
    let mut all = first.clone();
    for window in rest {
        all.operations += window.operations;
        all.elapsed += window.elapsed;
        all.latencies += &window.latencies;
    }
    Some(all)
}
