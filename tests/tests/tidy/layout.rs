//! Files: how long, how opened, how named, and which of them the root must have.
//!
//! Invariant: generated code is exempt from form, never from existence. What it deliberately does
//! not do: look inside functions.

use super::source::{Finding, Source, Tree, has_word};

const FILE_LINES_MAX: usize = 400;

/// Names that say what kind of code it is instead of what it does.
const EMPTY_NAMES: [&str; 7] = [
    "utils", "util", "helpers", "helper", "common", "misc", "types2",
];

/// Files that are too long.
pub(super) fn length(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().count();
    if !source.is_own_rust() || lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    let what =
        format!("{lines} lines, at most {FILE_LINES_MAX} are allowed: split it by behaviour");
    vec![source.finding(lines, what)]
}

/// Files that do not say what they are for.
pub(super) fn header(source: &Source) -> Vec<Finding> {
    if !source.is_own_rust() || source.text.starts_with("//! ") {
        return Vec::new();
    }
    vec![source.finding(
        1,
        "no header: open the file with `//!` and say what it is for",
    )]
}

/// Modules that could hold anything.
pub(super) fn module_names(source: &Source) -> Vec<Finding> {
    if !source.is_own_rust() {
        return Vec::new();
    }
    let fix = |name: &str| format!("a module called `{name}` says nothing: name it for its job");
    let path = source.path.trim_end_matches(".rs");
    let named = EMPTY_NAMES
        .iter()
        .filter(|name| path.split('/').any(|part| part == **name));
    let mut findings: Vec<Finding> = named.map(|name| source.finding(1, fix(name))).collect();
    for (at, line) in source.code.lines().enumerate() {
        let declares = |name: &&&str| has_word(line, &format!("mod {name}"));
        findings.extend(
            EMPTY_NAMES
                .iter()
                .find(declares)
                .map(|name| source.finding(at + 1, fix(name))),
        );
    }
    findings
}

/// What the root lacks, and what it should not have.
pub(super) fn root(tree: &Tree) -> Vec<Finding> {
    let at_root = |path: &str, what: &str| Finding {
        path: path.to_owned(),
        line: 1,
        what: what.to_owned(),
    };
    let mut findings = Vec::new();
    let licence = tree.find("LICENSE").map_or("", |file| &file.text);
    if !(licence.contains("Apache License") && licence.contains("END OF TERMS AND CONDITIONS")) {
        findings.push(at_root(
            "LICENSE",
            "missing or cut: add the full text of Apache-2.0",
        ));
    }
    if tree.find("Cargo.lock").is_none() {
        findings.push(at_root(
            "Cargo.lock",
            "missing or ignored: commit it, binaries are locked",
        ));
    }
    for file in &tree.files {
        let name = file.path.rsplit('/').next().unwrap_or(&file.path);
        if matches!(name, "rust-toolchain" | "rust-toolchain.toml") {
            findings.push(file.finding(1, "remove it: `rust-version` says what is needed"));
        }
        if name == "Cargo.toml" {
            let what = "remove `default-members`: a plain command covers the whole workspace";
            findings.extend(file.words("default-members", what));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn long_files_are_found_unless_generated() {
        let text = |lines: usize| "//! X.\n".repeat(lines);
        assert!(length(&Source::new("x.rs", &text(FILE_LINES_MAX))).is_empty());
        assert_eq!(lines(&length(&Source::new("x.rs", &text(401)))), [401]);
        assert!(length(&Source::new("a/generated/x.rs", &text(401))).is_empty());
        assert!(length(&Source::new("x.md", &text(401))).is_empty());
    }

    #[test]
    fn headers_stand_on_the_first_line() {
        assert!(header(&Source::new("x.rs", "//! What.\n")).is_empty());
        for bad in [
            "",
            "\n//! What.\n",
            "// What.\n",
            "/// What.\n",
            "use x;\n//! What.\n",
            "//!\n",
        ] {
            assert_eq!(lines(&header(&Source::new("x.rs", bad))), [1], "{bad:?}");
        }
    }

    #[test]
    fn empty_names_are_found_in_paths_and_declarations() {
        assert!(module_names(&Source::new("a/commons.rs", "mod helpers_of_x;")).is_empty());
        assert_eq!(module_names(&Source::new("a/utils.rs", "")).len(), 1);
        assert_eq!(module_names(&Source::new("a/common/mod.rs", "")).len(), 1);
        assert_eq!(
            lines(&module_names(&Source::new("a.rs", "\npub mod misc {\n}"))),
            [2]
        );
        assert!(module_names(&Source::new("a.rs", "// mod misc")).is_empty());
    }

    #[test]
    fn the_root_is_complete() {
        let file = |path: &str, text: &str| Source::new(path, text);
        let licence = "Apache License\nEND OF TERMS AND CONDITIONS\n";
        let mut tree = Tree {
            files: vec![file("LICENSE", licence), file("Cargo.lock", "")],
        };
        assert!(root(&tree).is_empty());
        tree.files
            .push(file("a/Cargo.toml", "[workspace]\ndefault-members = []\n"));
        tree.files.push(file("rust-toolchain.toml", ""));
        assert_eq!(lines(&root(&tree)), [2, 1]);
        assert_eq!(
            root(&Tree {
                files: vec![file("LICENSE", "Apache License")]
            })
            .len(),
            2
        );
    }
}
