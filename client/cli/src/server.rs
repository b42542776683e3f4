//! `sessionctl server`: what an operator does with the server as a whole.
//!
//! Invariant: one call of the server for each command. What this deliberately does not do: start a server.

mod compact;
mod drain;

use clap::Subcommand;
use sessiond_client::Client;

use crate::failure::Failure;
use crate::output::Output;
use compact::CompactArgs;
use drain::DrainArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum ServerCommand {
    /// Ends the server in order: sessions end, what they have outside is released, the process goes.
    Drain(DrainArgs),
    /// Calls off the drain that is announced: the server stays.
    CancelDrain,
    /// Shows what came of the last drain, by this command or by a signal.
    DrainReport,
    /// Deletes the oldest events, of all namespaces, that no active subscription needs.
    CompactEvents(CompactArgs),
}

// === impl ServerCommand ===

impl ServerCommand {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::Drain(args) => args.run(client, output).await,
            Self::CancelDrain => {
                let report = client.cancel_drain().await?;
                drain::cancelled(report, output)
            }
            Self::DrainReport => {
                let report = client.drain_report().await?;
                drain::last_report(report, output)
            }
            Self::CompactEvents(args) => args.run(client, output).await,
        }
    }
}
