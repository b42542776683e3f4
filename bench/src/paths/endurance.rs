//! Files and memory while one stream enqueues and workers keep up, for as long as the run allows.
//!
//! Growth is told by the highest values of the last quarter against those of the second one: the first
//! quarter is warm-up. What it deliberately does not do: shorten the time by running faster.

use std::time::Duration;

use anyhow::{Context, Result};

use super::pipeline::Pipeline;
use super::worker::Worker;
use super::{Outcome, Plan, Target};
use crate::caller::{Payloads, Producer};
use crate::path::System;
use crate::samples::Load;

/// Looks in all, evenly spread.
const LOOKS: u32 = 80;

/// What a look found, in bytes.
#[derive(Debug, Clone, Copy)]
struct Look {
    file: u64,
    resident: u64,
}

/// Measures it on a server of its own.
pub(super) async fn measure(plan: &Plan, load: &Load) -> Result<Outcome> {
    let target = super::start(plan, System::Sessiond).await?;
    let load = Load {
        duration: plan.scale.endurance,
        ..load.clone()
    };
    let mut worker = Worker::attach(target.server.address(), &target.sessions).await?;
    let mut producer = Producer::new(0, &target.sessions, &Payloads::of(load.payload_bytes));
    let pipeline = Pipeline::open(&target.caller).await?;
    let mut looks = Vec::new();
    let run = pipeline.run(&load, &mut producer, Some(&mut worker));
    // The run ends by itself; the looking never does.
    let samples = tokio::select! {
        samples = run => samples?,
        failed = look_on(&target, load.duration / LOOKS, &mut looks) => return failed,
    };
    let [_, second, _, last] = quarters(&looks).context("the run was too short to be looked at")?;
    let left = target.caller.stats().await?.messages.unwrap_or_default();
    Ok(Outcome {
        samples: Some(samples),
        facts: vec![
            ("seconds", load.duration.as_secs_f64()),
            ("file_second_quarter_bytes", second.file as f64),
            ("file_last_quarter_bytes", last.file as f64),
            ("file_growth", last.file as f64 / second.file as f64),
            ("resident_second_quarter_bytes", second.resident as f64),
            ("resident_last_quarter_bytes", last.resident as f64),
            (
                "resident_growth",
                last.resident as f64 / second.resident as f64,
            ),
            ("pending_at_end", (left.pending + left.in_flight) as f64),
        ],
    })
}

/// Looks now and then; ends only when the server cannot be looked at.
async fn look_on(target: &Target, every: Duration, looks: &mut Vec<Look>) -> Result<Outcome> {
    let mut ticks = tokio::time::interval(every.max(Duration::from_millis(1)));
    loop {
        ticks.tick().await;
        looks.push(Look {
            file: target.server.file_bytes()?,
            resident: target.server.resident_bytes()?,
        });
    }
}

/// The highest values of each quarter of the time.
fn quarters(looks: &[Look]) -> Option<[Look; 4]> {
    let each = looks.len() / 4;
    if each == 0 {
        return None;
    }
    let highest = |quarter: usize| {
        let some = &looks[quarter * each..(quarter + 1) * each];
        let of = |value: fn(&Look) -> u64| some.iter().map(value).max().unwrap_or_default();
        Look {
            file: of(|look| look.file),
            resident: of(|look| look.resident),
        }
    };
    Some([0, 1, 2, 3].map(highest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarters_have_the_highest_values_of_their_time() {
        let looks: Vec<Look> = (0..9)
            .map(|at| Look {
                file: at,
                resident: 100 - at,
            })
            .collect();
        let quarters = quarters(&looks).unwrap();
        assert_eq!(quarters.map(|look| look.file), [1, 3, 5, 7]);
        assert_eq!(quarters.map(|look| look.resident), [100, 98, 96, 94]);
        assert!(super::quarters(&looks[..3]).is_none());
    }
}
