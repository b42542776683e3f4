//! Tidy: the rules of this repository that neither the compiler nor clippy can hold.
//!
//! Invariant: each rule is one test, and a finding names the file, the line and the fix. What it
//! deliberately does not do: judge formatting or lints; `cargo xtask lint` does.

#[path = "tidy/crates.rs"]
mod crates;
#[path = "tidy/features.rs"]
mod features;
#[path = "tidy/functions.rs"]
mod functions;
#[path = "tidy/layout.rs"]
mod layout;
#[path = "tidy/mask.rs"]
mod mask;
#[path = "tidy/purity.rs"]
mod purity;
#[path = "tidy/sleeps.rs"]
mod sleeps;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/text.rs"]
mod text;
#[path = "tidy/words.rs"]
mod words;

use source::{Finding, Source, Tree};

/// Runs one rule over every file, and fails with all its findings.
#[track_caller]
fn check_files(rule: impl Fn(&Source) -> Vec<Finding>) {
    let findings: Vec<Finding> = Tree::read().files.iter().flat_map(rule).collect();
    check(&findings);
}

#[track_caller]
fn check(findings: &[Finding]) {
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(findings.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn files_are_short() {
    check_files(layout::length);
}

#[test]
fn files_open_with_a_header() {
    check_files(layout::header);
}

#[test]
fn modules_are_named_for_what_they_do() {
    check_files(layout::module_names);
}

#[test]
fn the_root_has_what_it_must_and_nothing_it_must_not() {
    check(&layout::root(&Tree::read()));
}

#[test]
fn functions_fit_on_a_screen() {
    check_files(functions::length);
}

#[test]
fn nothing_is_left_to_be_done() {
    check_files(words::unfinished);
}

#[test]
fn lints_are_expected_not_allowed() {
    check_files(words::allowed_lints);
}

#[test]
fn tests_wait_for_conditions_not_for_time() {
    check_files(sleeps::sleeps);
    check(&sleeps::stale(&Tree::read()));
}

#[test]
fn every_promise_has_a_test_that_claims_it() {
    check(&features::findings(&Tree::read()));
}

/// `cargo xtask codegen` has it written.
#[test]
fn the_page_of_features_is_what_the_tests_say() {
    let tree = Tree::read();
    let page = features::page(&tree);
    match std::env::var("SESSIOND_CODEGEN").as_deref() {
        Ok("write") => {
            std::fs::write(source::root().join(features::PAGE), page).expect("docs can be written")
        }
        Ok(other) => panic!("SESSIOND_CODEGEN must be `write` or unset, not {other:?}"),
        Err(_) => {
            let committed = tree.find(features::PAGE).map(|file| file.text.as_str());
            assert!(
                committed == Some(&page),
                "{} differs from what the tests say: run `cargo xtask codegen`",
                features::PAGE
            );
        }
    }
}

#[test]
fn no_registry_is_named() {
    check_files(text::registry_hosts);
}

#[test]
fn no_path_of_a_machine_is_named() {
    check_files(text::machine_paths);
}

#[test]
fn crates_depend_only_along_the_known_edges() {
    check(&crates::edges(&crates::metadata()));
}

#[test]
fn crates_are_plain() {
    check(&crates::plainness(&crates::metadata()));
    check_files(crates::manifest);
}

#[test]
fn the_core_is_pure() {
    check_files(purity::core);
}

#[test]
fn only_the_binary_of_the_server_uses_the_client() {
    check_files(purity::client_in_server);
}
