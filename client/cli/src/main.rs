//! `sessionctl`: the command line of sessiond, on the SDK only.
//!
//! Invariant: data goes to stdout and everything else to stderr, and the exit code says what kind
//! of failure it was; a hook succeeds whatever happens. What this deliberately does not do: know
//! the transport, or keep state other than the spool and the log of the hooks.

mod args;
mod deliver;
mod event_args;
mod failure;
mod hook;
mod interrupt;
mod many;
mod message;
mod node;
mod output;
mod pool;
mod replay;
mod resource;
mod say;
mod server;
mod session;
mod spool;
mod spool_command;
mod state_dir;
mod stats;
mod subscription;
mod target;
mod values;
mod watch;
mod work;
mod worker;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::args::{Cli, Command};
use crate::failure::{Exit, Failure};
use crate::hook::HookCommand;
use crate::spool_command::SpoolCommand;
use crate::target::Target;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    let (cli, target) = match args::parse(&arguments) {
        Ok(parsed) => parsed,
        Err(error) => return refuse(&error, &arguments),
    };
    if let Command::Hook(HookCommand::ClaudeCode(args)) = cli.command {
        hook::run(args, target);
        return ExitCode::SUCCESS;
    }
    match run(cli, &target) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say::raw(&failure.report(&target));
            ExitCode::from(failure.exit().code())
        }
    }
}

/// Answers arguments that name no command to run: help, the version, or a mistake.
fn refuse(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    if error.use_stderr() && hook::is_meant(arguments) {
        hook::refuse_arguments(error);
        return ExitCode::SUCCESS;
    }
    // Nobody is left to be told when this fails.
    let _ = error.print();
    let exit = if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Ok
    };
    ExitCode::from(exit.code())
}

fn run(cli: Cli, target: &Target) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(Box::pin(command(cli, target)));
    // A blocked read of stdin must not keep a process that is done.
    runtime.shutdown_background();
    result
}

/// Runs a command until it is done, or until Ctrl-C, whichever is first.
async fn command(cli: Cli, target: &Target) -> Result<(), Failure> {
    let mut output = cli.output();
    // A worker stops gracefully, and sees to signals itself.
    if let Command::Work(args) = cli.command {
        return args.run(&target.client()?, output).await;
    }
    let run = async {
        match cli.command {
            Command::Session(command) => command.run(&target.handling()?, &mut output).await,
            Command::Message(command) => command.run(&target.handling()?, &mut output).await,
            Command::Worker(command) => command.run(&target.handling()?, &mut output).await,
            Command::Watch(args) => args.run(&target.client()?, &mut output).await,
            Command::Replay(args) => args.run(&target.client()?, &mut output).await,
            Command::Resource(command) => command.run(&target.handling()?, &mut output).await,
            Command::Node(command) => command.run(&target.client()?, &mut output).await,
            Command::Pool(command) => command.run(&target.client()?, &mut output).await,
            Command::Subscription(command) => command.run(&target.client()?, &mut output).await,
            Command::Server(command) => command.run(&target.handling()?, &mut output).await,
            Command::Stats => stats::run(&target.client()?, &mut output).await,
            Command::Spool(SpoolCommand::Ls) => spool_command::list(&mut output),
            Command::Spool(SpoolCommand::Flush) => {
                spool_command::flush(&target.client()?, target, &mut output).await
            }
            Command::Hook(HookCommand::Install(args)) => hook::install(&args, target, &mut output),
            Command::Hook(HookCommand::ClaudeCode(_)) => {
                unreachable!("hooks of the agent run without a runtime of ours")
            }
            Command::Work(_) => unreachable!("workers were started above"),
        }
    };
    // A command that is done wins over a Ctrl-C that comes at the same time.
    tokio::select! {
        biased;
        result = run => result,
        () = interrupt::interrupt() => Err(Failure::Interrupted),
    }
}
