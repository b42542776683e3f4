//! Tests await conditions; the few that must let time pass are listed here with their reason.
//!
//! Invariant: no test waits for time unlisted, and no listed file stopped doing so. What it
//! deliberately does not do: look at code that is no test.

use super::functions::block_length;
use super::source::{Finding, Source, Tree, has_word, line_at};

/// A file of tests that may sleep.
#[derive(Debug)]
struct Allowed {
    path: &'static str,
    /// Why no condition can be awaited instead.
    reason: &'static str,
}

/// None yet. An entry is the last resort: a paused clock or an awaited event is nearly always there.
const ALLOWED: [Allowed; 0] = [];

/// Ways to wait for time, as words: imports and calls alike.
const SLEEPS: [&str; 4] = ["sleep", "sleep_until", "sleep_ms", "park_timeout"];

const FIX: &str = "a test that sleeps is slow or flaky: await the condition, or pause the clock";

/// Sleeps in tests that are not listed.
pub(super) fn sleeps(source: &Source) -> Vec<Finding> {
    if ALLOWED.iter().any(|allowed| allowed.path == source.path) {
        return Vec::new();
    }
    sleeping_lines(source)
        .into_iter()
        .map(|line| source.finding(line, FIX))
        .collect()
}

/// Entries of the list without a sleep or a reason.
pub(super) fn stale(tree: &Tree) -> Vec<Finding> {
    let is_stale = |allowed: &&Allowed| {
        let sleeps = tree
            .find(allowed.path)
            .is_some_and(|file| !sleeping_lines(file).is_empty());
        !sleeps || allowed.reason.is_empty()
    };
    let entries = ALLOWED.iter().filter(is_stale);
    entries
        .map(|allowed| Finding {
            path: allowed.path.to_owned(),
            line: 1,
            what: "listed as sleeping without sleeping or without a reason: drop the entry"
                .to_owned(),
        })
        .collect()
}

fn sleeping_lines(source: &Source) -> Vec<usize> {
    let is_searched = source.has_extension("rs") || source.has_extension("py");
    if !is_searched || source.is_generated() {
        return Vec::new();
    }
    let tests = if is_test_file(&source.path) {
        vec![(1, usize::MAX)]
    } else {
        test_modules(&source.code)
    };
    let lines = source
        .code
        .lines()
        .enumerate()
        .map(|(at, text)| (at + 1, text));
    lines
        .filter(|(line, _)| {
            tests
                .iter()
                .any(|(first, last)| (first..=last).contains(&line))
        })
        .filter(|(_, text)| SLEEPS.iter().any(|word| has_word(text, word)))
        .map(|(line, _)| line)
        .collect()
}

fn is_test_file(path: &str) -> bool {
    let is_module = path.ends_with("/tests.rs");
    is_module || path.split('/').any(|part| part == "tests")
}

/// First and last lines of the `#[cfg(test)]` items in masked code.
fn test_modules(code: &str) -> Vec<(usize, usize)> {
    let attribute = "#[cfg(test)]";
    code.match_indices(attribute)
        .map(|(at, _)| {
            let after = at + attribute.len();
            let end = block_length(&code[after..]).map_or(after, |length| after + length);
            (line_at(code, at), line_at(code, end))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, text: &str, lines: &[usize]) {
        assert_eq!(sleeping_lines(&Source::new(path, text)), lines);
    }

    #[test]
    fn sleeps_are_found_in_test_files_however_imported() {
        let text = "use tokio::time::{sleep, timeout};\nthread::sleep(x);\n// sleep\n\"sleep\";\n";
        check("tests/tests/x.rs", text, &[1, 2]);
        check("server/store/tests/x.rs", text, &[1, 2]);
        check("server/src/reaper/tests.rs", text, &[1, 2]);
        check("server/src/reaper.rs", text, &[]);
        check(
            "tests/x.py",
            "time.sleep(1)\nasyncio.sleep(1)\nasleep = 1\n",
            &[1, 2],
        );
    }

    #[test]
    fn sleeps_are_found_in_test_modules_only() {
        let text = "fn a() { sleep(1) }\n#[cfg(test)]\nmod tests {\n  sleep(2);\n}\nsleep(3);\n";
        check("server/src/x.rs", text, &[4]);
        check(
            "server/src/x.rs",
            "#[cfg(test)]\nmod tests;\nfn a() { sleep(1) }\n",
            &[],
        );
    }
}
