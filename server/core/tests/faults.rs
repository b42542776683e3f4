//! Proof that the model test finds real mistakes: each deliberate fault in the rules is found in time.
//!
//! The faults exist only in a build with `--cfg sessiond_faults`; a plain build checks that each of them has its one
//! place in the rules, so that none is lost while nobody looks.

#[cfg(sessiond_faults)]
#[expect(
    clippy::unwrap_used,
    reason = "all of it is test code, which stops at what cannot be"
)]
#[path = "model/harness.rs"]
mod harness;

#[cfg(sessiond_faults)]
mod found {
    use std::time::{Duration, Instant};

    use sessiond_core::fault::{Fault, activate};

    use super::harness::seeds::{self, Plan};

    /// How long each fault may stay unfound.
    const TIME_MAX: Duration = Duration::from_secs(60);

    #[test]
    fn every_fault_is_found() {
        for fault in Fault::ALL {
            let start = Instant::now();
            let plan = Plan {
                first: 0,
                count: u64::MAX,
                time_max: Some(TIME_MAX),
            };
            let failure = match seeds::run(plan, || activate(Some(*fault))) {
                Err(failure) => failure,
                Ok(total) => panic!("{fault:?} is not found by {} seeds", total.seeds),
            };
            activate(None);
            let said: Vec<&str> = failure.report.lines().take(4).collect();
            println!(
                "{fault:?}: seed {}, {:?}: {said:?}",
                failure.seed,
                start.elapsed()
            );
        }
    }

    #[test]
    fn without_a_fault_nothing_is_found() {
        let plan = Plan {
            first: 0,
            count: 1_000,
            time_max: None,
        };
        let total = seeds::run(plan, || activate(None)).expect("the rules hold");
        assert_eq!(total.seeds, 1_000);
        let missed = total.marks.missed();
        assert!(
            missed.len() < 10,
            "too little is met to find anything: {missed:?}"
        );
    }
}

#[cfg(not(sessiond_faults))]
mod placed {
    use std::path::Path;

    /// All text of the rules.
    fn rules(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).expect("the rules are there") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                rules(&path, text);
            } else if path.file_name().is_some_and(|name| name != "fault.rs") {
                text.push_str(&std::fs::read_to_string(&path).expect("a file of text"));
            }
        }
    }

    /// `RUSTFLAGS="--cfg sessiond_faults" cargo test -p sessiond-core --test faults` proves that they are found.
    #[test]
    fn every_fault_has_its_place_in_the_rules() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut text = String::new();
        rules(&sources, &mut text);
        let list = std::fs::read_to_string(sources.join("fault.rs")).expect("the list of faults");
        let begin = list.find("faults! {").expect("the list begins");
        let (_, names) = list[begin..]
            .split_once('{')
            .expect("the list is in braces");
        let (names, _) = names.split_once('}').expect("the list ends");
        let names: Vec<&str> = names
            .lines()
            .filter_map(|line| line.trim().strip_suffix(','))
            .filter(|name| !name.starts_with("///"))
            .collect();
        assert!(names.len() >= 10, "{names:?}");
        for name in &names {
            let places = text.matches(&format!("faulty!({name})")).count();
            assert_eq!(places, 1, "places of {name}");
        }
        assert_eq!(
            text.matches("faulty!(").count(),
            names.len(),
            "faults that are not listed"
        );
    }
}
