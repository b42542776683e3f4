//! The rules against a reference model written from the design: random commands, timers, restarts and workers of all
//! manners, decided over a store that answers slowly, checked after every decision.
//!
//! `SESSIOND_SCALE` says how many seeds are run, `SESSIOND_SEED` runs one. Rare states must be met, or the run proves
//! less than it claims and fails.

#[expect(
    clippy::unwrap_used,
    reason = "all of it is test code, which stops at what cannot be"
)]
#[path = "model/harness.rs"]
mod harness;

use harness::seeds::{self, Plan};

/// Commands that a seed stands for, on average.
const COMMANDS_PER_SEED: u64 = 200;

/// How many seeds a scale stands for.
fn seeds_of_scale() -> u64 {
    match std::env::var("SESSIOND_SCALE").as_deref() {
        Err(std::env::VarError::NotPresent) | Ok("quick") => 2_000,
        Ok("ci") => 10_000,
        Ok("nightly") => 300_000,
        other => panic!("SESSIOND_SCALE is {other:?}: use quick, ci or nightly"),
    }
}

fn plan() -> Plan {
    let one = std::env::var("SESSIOND_SEED").ok();
    let first = one
        .as_ref()
        .map(|text| text.parse().expect("SESSIOND_SEED is a number"));
    Plan {
        first: first.unwrap_or(0),
        count: if first.is_some() { 1 } else { seeds_of_scale() },
        time_max: None,
    }
}

#[test]
fn decisions_follow_the_model() {
    let plan = plan();
    let total = match seeds::run(plan, || {}) {
        Ok(total) => total,
        Err(failure) => panic!("seed {} breaks a rule: {}", failure.seed, failure.report),
    };
    println!("{} seeds, {} commands", total.seeds, total.commands);
    println!("{}", total.marks);
    assert_eq!(total.seeds, plan.count);
    if plan.count > 1 {
        let least = total.seeds * COMMANDS_PER_SEED;
        assert!(total.commands >= least, "{} commands", total.commands);
        let missed = total.marks.missed();
        assert!(missed.is_empty(), "never met: {missed:?}");
    }
}
