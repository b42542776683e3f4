//! `sessionctl node`: machines other than the server's.
//!
//! Invariant: one call. What this deliberately does not do: start an agent; `sessiond agent` is one.

use clap::Subcommand;
use sessiond_client::Client;

use crate::failure::Failure;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Lists the nodes: whether their agents are linked, and how much is left on them.
    Ls,
}

// === impl NodeCommand ===

impl NodeCommand {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::Ls => {
                let answer = client.nodes().await?;
                output.answer(&answer, &answer.nodes)
            }
        }
    }
}
