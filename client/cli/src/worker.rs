//! `sessionctl worker`: what an operator does about workers.
//!
//! Invariant: one call of the server for each command. What this deliberately does not do: work; that is `sessionctl work`.

use clap::{Args, Subcommand};
use sessiond_client::{Client, pb};

use crate::args::SessionArg;
use crate::failure::Failure;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum WorkerCommand {
    /// Takes a session from the worker that holds it; what it had in flight goes to another.
    Revoke(RevokeArgs),
}

/// Which session to take from its worker.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    session: SessionArg,
    /// Take it only if this is the epoch of its lease, as `session get` shows it.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    epoch: Option<u64>,
    /// Makes a repeat of this command harmless for 24 h.
    #[arg(long)]
    request_id: Option<String>,
}

// === impl WorkerCommand ===

impl WorkerCommand {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::Revoke(args) => {
                let request = pb::RevokeLeaseRequest {
                    r#ref: Some(args.session.session_ref()),
                    epoch: args.epoch,
                    request_id: args.request_id.unwrap_or_default(),
                };
                let answer = client.revoke_lease(request).await?;
                output.answer(&answer, answer.session.as_slice())
            }
        }
    }
}
