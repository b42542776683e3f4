//! `cargo xtask`: the project's gates and its generated files, one subcommand each.
//!
//! Invariant: a gate that could not run, ran nothing or left something out exits non-zero; there
//! is no skipping. What it deliberately does not do: decide anything about sessiond itself, or know
//! of anything outside this checkout.

mod apt;
mod bench;
mod buf;
mod check;
mod codegen;
mod nightly;
mod parts;
mod process;
mod python;
mod record;
mod suites;
mod tally;
mod test;
mod typescript;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The gates and generators of this repository.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Format, lints and the quick tests: what runs before each commit.
    Check(suites::Names),
    /// Format and lints only.
    Lint,
    /// The full test set, with everything it needs installed first.
    Test(suites::Names),
    /// One long-running part, at nightly scale and in the release profile.
    Nightly {
        /// Which part.
        part: nightly::Part,
    },
    /// Regenerate what is generated and committed: the protobuf code and the page of features.
    Codegen,
    /// Lint the protobuf contract and compare it with the last release.
    Buf,
    /// Measure sessiond beside its peers, and print the table.
    Bench(bench::Arguments),
    /// Write the demo's recording from this repository's own history.
    Record,
}

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Check(names) => check::run(&names),
        Task::Lint => check::lint(),
        Task::Test(names) => test::run(&names),
        Task::Nightly { part } => nightly::run(part),
        Task::Codegen => codegen::run(),
        Task::Buf => buf::run(),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Record => record::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            process::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
