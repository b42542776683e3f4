//! Counts what cargo's test runs really executed, from the lines they print.
//!
//! Invariant: a suite that was ignored, ended without a result or had nothing to run is a
//! complaint, never a pass. What it deliberately does not do: replace cargo's exit status, which
//! the caller checks too.

use std::fmt;

/// Whether the caller chose tests by name. A suite without a chosen test is then no surprise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selection {
    /// Every test: each integration suite must run at least one.
    All,
    /// Some tests by name: at least one must have run somewhere.
    Named,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `tests/*.rs`: exists only for its tests.
    Integration,
    /// The tests inside a library or binary, which may have none.
    Unit,
    /// The examples in doc comments, which may be none.
    Doc,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

#[derive(Debug)]
struct Suite {
    name: String,
    kind: Kind,
    counts: Option<Counts>,
}

/// What was executed, suite by suite.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    suites: Vec<Suite>,
    total: Counts,
}

impl Tally {
    /// Reads one line of cargo's or libtest's output; most lines say nothing.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some((kind, name)) = suite_of(line) {
            self.suites.push(Suite {
                name,
                kind,
                counts: None,
            });
        } else if let Some(counts) = counts_of(line) {
            self.total.passed += counts.passed;
            self.total.failed += counts.failed;
            self.total.ignored += counts.ignored;
            if let Some(suite) = self.suites.last_mut() {
                let sum = suite.counts.get_or_insert_default();
                sum.passed += counts.passed;
                sum.failed += counts.failed;
                sum.ignored += counts.ignored;
            }
        }
    }

    /// Why this run is no pass, besides failed tests: one sentence each.
    pub(crate) fn complaints(&self, selection: Selection) -> Vec<String> {
        let mut complaints = Vec::new();
        if self.total.passed == 0 {
            complaints.push("no test passed".to_owned());
        }
        for suite in &self.suites {
            let name = &suite.name;
            let Some(counts) = suite.counts else {
                complaints.push(format!("{name} ended without a result"));
                continue;
            };
            if counts.ignored > 0 {
                complaints.push(format!("{name} ignored {} tests", counts.ignored));
            }
            let empty = counts == Counts::default();
            if empty && suite.kind == Kind::Integration && selection == Selection::All {
                complaints.push(format!("{name} ran no test"));
            }
        }
        complaints
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            passed,
            failed,
            ignored,
        } = self.total;
        write!(f, "{passed} passed, {failed} failed, {ignored} ignored")
    }
}

/// `Running tests/tidy.rs (target/…)`, `Running unittests src/lib.rs (…)`, `Doc-tests core`.
fn suite_of(line: &str) -> Option<(Kind, String)> {
    let line = line.trim();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some((Kind::Doc, format!("doc-tests of {name}")));
    }
    let (source, binary) = line
        .strip_prefix("Running ")?
        .strip_suffix(')')?
        .split_once(" (")?;
    // Two crates may both have a `tests/api.rs`: the binary's name tells which it was.
    let binary = binary.rsplit('/').next().unwrap_or(binary);
    match source.strip_prefix("unittests ") {
        Some(source) => Some((Kind::Unit, format!("{source} ({binary})"))),
        None if source.ends_with(".rs") => {
            Some((Kind::Integration, format!("{source} ({binary})")))
        }
        None => None,
    }
}

/// `test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in …`.
fn counts_of(line: &str) -> Option<Counts> {
    let (_, rest) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |noun: &str| {
        rest.split("; ")
            .find_map(|item| item.strip_suffix(noun)?.trim().parse::<u64>().ok())
    };
    Some(Counts {
        passed: count(" passed")?,
        failed: count(" failed")?,
        ignored: count(" ignored")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: &str = "     Running unittests src/lib.rs (target/debug/deps/core-0a)";
    const TIDY: &str = "     Running tests/tidy.rs (target/debug/deps/tidy-0b)";
    const DOC: &str = "   Doc-tests sessiond_core";

    fn result(passed: u64, failed: u64, ignored: u64) -> String {
        let verdict = if failed == 0 { "ok" } else { "FAILED" };
        format!(
            "test result: {verdict}. {passed} passed; {failed} failed; {ignored} ignored; \
             0 measured; 2 filtered out; finished in 0.01s"
        )
    }

    #[track_caller]
    fn check(lines: &[&str], selection: Selection, total: &str, complaints: &[&str]) {
        let mut tally = Tally::default();
        for line in lines {
            tally.read(line);
        }
        assert_eq!(tally.to_string(), total);
        assert_eq!(tally.complaints(selection), complaints);
    }

    #[test]
    fn sums_suites_and_lets_unit_and_doc_suites_be_empty() {
        let lines = [
            UNIT,
            &result(0, 0, 0),
            TIDY,
            &result(7, 1, 0),
            DOC,
            &result(0, 0, 0),
        ];
        check(&lines, Selection::All, "7 passed, 1 failed, 0 ignored", &[]);
    }

    #[test]
    fn an_empty_integration_suite_is_a_failure_unless_names_were_given() {
        let lines = [UNIT, &result(3, 0, 0), TIDY, &result(0, 0, 0)];
        let total = "3 passed, 0 failed, 0 ignored";
        check(
            &lines,
            Selection::All,
            total,
            &["tests/tidy.rs (tidy-0b) ran no test"],
        );
        check(&lines, Selection::Named, total, &[]);
    }

    #[test]
    fn ignored_is_a_failure_everywhere() {
        let lines = [DOC, &result(1, 0, 2)];
        let complaint = ["doc-tests of sessiond_core ignored 2 tests"];
        check(
            &lines,
            Selection::Named,
            "1 passed, 0 failed, 2 ignored",
            &complaint,
        );
    }

    #[test]
    fn a_suite_that_died_has_no_result() {
        let lines = [
            TIDY,
            "running 4 tests",
            "signal: 6, SIGABRT",
            UNIT,
            &result(1, 0, 0),
        ];
        let complaint = ["tests/tidy.rs (tidy-0b) ended without a result"];
        check(
            &lines,
            Selection::All,
            "1 passed, 0 failed, 0 ignored",
            &complaint,
        );
    }

    #[test]
    fn no_test_at_all_is_a_failure() {
        let total = "0 passed, 0 failed, 0 ignored";
        check(&[], Selection::Named, total, &["no test passed"]);
        check(
            &["Running late (again)"],
            Selection::All,
            total,
            &["no test passed"],
        );
    }
}
