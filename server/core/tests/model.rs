//! The rules against a reference model written from the design: random commands, timers, restarts and workers of all
//! manners, decided over a store that answers slowly, checked after every decision.
//!
//! `SESSIOND_SCALE` says how many seeds are run, `SESSIOND_PART` runs a part of them, such as `2/3`, for a scale that is
//! too long for one run, and `SESSIOND_SEED` runs one. Rare states must be met, or the run proves less than it claims and
//! fails.

#[expect(
    clippy::unwrap_used,
    reason = "all of it is test code, which stops at what cannot be"
)]
#[path = "model/harness.rs"]
mod harness;

use std::ops::Range;

use harness::seeds::{self, Plan};

/// Commands that a seed stands for, on average.
const COMMANDS_PER_SEED: u64 = 200;

/// How many seeds a scale stands for.
fn seeds_of_scale() -> u64 {
    match std::env::var("SESSIOND_SCALE").as_deref() {
        Err(std::env::VarError::NotPresent) | Ok("quick") => 4_000,
        Ok("ci") => 20_000,
        Ok("nightly") => 1_000_000,
        other => panic!("SESSIOND_SCALE is {other:?}: use quick, ci or nightly"),
    }
}

/// The seeds of one part of a scale. Parts have none in common, and all together have all.
fn seeds_of_part(seeds: u64, part: u64, parts: u64) -> Range<u64> {
    assert!(
        (1..=parts).contains(&part),
        "SESSIOND_PART is from 1/{parts} to {parts}/{parts}"
    );
    seeds * (part - 1) / parts..seeds * part / parts
}

fn plan() -> Plan {
    let number = |text: &str| -> u64 { text.parse().expect("a number") };
    let seeds = if let Ok(one) = std::env::var("SESSIOND_SEED") {
        let one = number(&one);
        one..one + 1
    } else if let Ok(part) = std::env::var("SESSIOND_PART") {
        let (part, parts) = part.split_once('/').expect("SESSIOND_PART is such as 2/3");
        seeds_of_part(seeds_of_scale(), number(part), number(parts))
    } else {
        0..seeds_of_scale()
    };
    Plan {
        first: seeds.start,
        count: seeds.end - seeds.start,
        time_max: None,
    }
}

#[test]
fn parts_have_no_seed_in_common_and_all_together() {
    for seeds in [1_000_000, 20_001, 7] {
        for parts in 1..=7 {
            let mut next = 0;
            for part in 1..=parts {
                let range = seeds_of_part(seeds, part, parts);
                assert_eq!(range.start, next, "{part}/{parts} of {seeds}");
                next = range.end;
            }
            assert_eq!(next, seeds, "{parts} parts");
        }
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
