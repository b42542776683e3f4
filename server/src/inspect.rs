//! `sessiond config`: checks the configuration, and shows what it comes to and why.
//!
//! Invariant: nothing is started, made or written; what is found is told in full. Problems go to standard error,
//! what was asked for to standard output.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use sessiond::config::problem::Problem;
use sessiond::config::show::{self, Origins};
use sessiond::config::{self, Environment, Loaded, ServeArgs};

use crate::exit;

/// The arguments of `sessiond config`.
#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check a configuration file, or without one everything that `serve` would start with here: flags, variables
    /// and its file. Prints every problem and exits with 1 if there is one.
    Check(Box<CheckArgs>),
    /// Show the effective settings as a configuration file, or as JSON.
    Show(Box<ShowArgs>),
}

#[derive(Args, Debug)]
struct CheckArgs {
    /// The file, checked by itself: what is in the environment does not count.
    #[arg(value_name = "FILE", conflicts_with_all = ["config", "data_dir", "listen", "namespaces", "log_level", "log_format"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Args, Debug)]
struct ShowArgs {
    /// Tell where each value is from: a flag, a variable, FILE:LINE, or default.
    #[arg(long)]
    origin: bool,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A configuration file.
    #[default]
    Toml,
    /// One JSON object.
    Json,
}

/// Runs it; answers with the exit code.
pub(crate) fn run(args: &ConfigArgs) -> u8 {
    match &args.command {
        ConfigCommand::Check(args) => check(args),
        ConfigCommand::Show(args) => show(args),
    }
}

fn check(args: &CheckArgs) -> u8 {
    let checked = match &args.file {
        Some(file) => config::check(file),
        None => config::load(&args.serve, &Environment::of_process()),
    };
    match checked {
        Ok(Loaded { file, warnings, .. }) => {
            tell(&warnings);
            let file = file.map_or_else(
                || "no configuration file".to_owned(),
                |file| file.display().to_string(),
            );
            say(&format!("{file}: no problems\n"))
        }
        Err(problems) => {
            tell(&problems);
            eprintln!("error: {}", count(&problems));
            exit::UNCLEAN
        }
    }
}

fn show(args: &ShowArgs) -> u8 {
    let loaded = match config::load(&args.serve, &Environment::of_process()) {
        Ok(loaded) => loaded,
        Err(problems) => {
            tell(&problems);
            eprintln!("error: {}; there is nothing to show", count(&problems));
            return exit::USAGE;
        }
    };
    tell(&loaded.warnings);
    let origins = if args.origin {
        Origins::Shown
    } else {
        Origins::Hidden
    };
    match args.output {
        Format::Toml => say(&show::toml(&loaded, origins)),
        Format::Json => say(&format!("{:#}\n", show::json(&loaded, origins))),
    }
}

/// Tells problems, a line each.
pub(crate) fn tell(problems: &[Problem]) {
    for problem in problems {
        eprintln!("{problem}");
    }
}

/// How many problems there are, in words.
pub(crate) fn count(problems: &[Problem]) -> String {
    match problems.len() {
        1 => "1 problem in the configuration".to_owned(),
        more => format!("{more} problems in the configuration"),
    }
}

/// Prints what was asked for; answers with the exit code.
fn say(text: &str) -> u8 {
    let mut output = std::io::stdout().lock();
    let said = output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush());
    match said {
        Ok(()) => exit::CLEAN,
        // A reader that has seen enough is no failure.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit::CLEAN,
        Err(error) => {
            eprintln!("error: failed to write to standard output: {error}");
            exit::UNCLEAN
        }
    }
}
