//! Words that stand for unfinished work, and lints switched off for good.
//!
//! Invariant: code is searched without its comments and strings, markers are searched everywhere.
//! What it deliberately does not do: name the markers whole, or this file would find itself.

use super::source::{Finding, Source, has_word};

/// Left by whoever meant to come back.
const MARKERS: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
];

/// Code that stands for other code.
const PLACEHOLDERS: [&str; 3] = [
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("d", "bg!"),
];

const IGNORED: &str = concat!("#[ig", "nore");

/// Work that was put off, and tests that do not run.
pub(super) fn unfinished(source: &Source) -> Vec<Finding> {
    let is_searched = ["rs", "py", "ts"]
        .iter()
        .any(|extension| source.has_extension(extension));
    if !is_searched || source.is_generated() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (at, (text, code)) in source.text.lines().zip(source.code.lines()).enumerate() {
        for marker in MARKERS.iter().filter(|marker| has_word(text, marker)) {
            findings.push(source.finding(at + 1, format!("`{marker}`: do it, or say why not")));
        }
        for word in PLACEHOLDERS.iter().filter(|word| has_word(code, word)) {
            findings.push(source.finding(at + 1, format!("`{word}`: write what it stands for")));
        }
        if code.contains(IGNORED) {
            findings.push(source.finding(at + 1, "a test that never runs: fix or remove it"));
        }
    }
    findings
}

/// Lints that would stay off unnoticed when their cause is gone.
pub(super) fn allowed_lints(source: &Source) -> Vec<Finding> {
    if !source.is_own_rust() {
        return Vec::new();
    }
    let lines = source.code.lines().enumerate();
    let hits = lines.filter(|(_, line)| line.contains("#[allow(") || line.contains("#![allow("));
    hits.map(|(at, _)| source.finding(at + 1, "use `#[expect(lint, reason = \"…\")]` or fix it"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, text: &str, lines: &[usize]) {
        let findings = unfinished(&Source::new(path, text));
        assert_eq!(
            findings
                .iter()
                .map(|finding| finding.line)
                .collect::<Vec<_>>(),
            lines
        );
    }

    #[test]
    fn markers_are_found_even_in_comments_and_strings() {
        let [later, broken, odd] = MARKERS;
        check(
            "x.rs",
            &format!("// {later}: x\nlet x = \"{broken}\";\n{odd}"),
            &[1, 2, 3],
        );
        check("x.py", &format!("# {later}"), &[1]);
        check("x.rs", &format!("{later}List mktemp.{odd}{odd}"), &[]);
        check("x.md", later, &[]);
        check("generated/x.rs", later, &[]);
    }

    #[test]
    fn placeholders_are_found_in_code_only() {
        let [later, never, print] = PLACEHOLDERS;
        check(
            "x.rs",
            &format!("{later}()\n{never}()\nstd::{print}(x)"),
            &[1, 2, 3],
        );
        check(
            "x.rs",
            &format!("// {later}()\nlet x = \"{never}()\";"),
            &[],
        );
        check("x.rs", &format!("#[test]\n{IGNORED} = \"slow\"]\n"), &[2]);
        check("x.rs", &format!("{IGNORED}]"), &[1]);
    }

    #[test]
    fn allowed_lints_are_found_in_code_only() {
        let lines = |text: &str| allowed_lints(&Source::new("x.rs", text)).len();
        assert_eq!(lines("#[allow(dead_code)]\n#![allow(unused)]\n"), 2);
        assert_eq!(
            lines("// #[allow(x)]\n#[expect(x, reason = \"#[allow(x)]\")]"),
            0
        );
    }
}
