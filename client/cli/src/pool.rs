//! `sessionctl pool`: what pools allow and how full they are.
//!
//! Invariant: one call. What this deliberately does not do: change a pool, which the server's
//! configuration does.

use clap::Subcommand;
use sessiond_client::Client;

use crate::failure::Failure;
use crate::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum PoolCommand {
    /// Lists the pools: their limits, how full they are, and who waits.
    Ls,
}

// === impl PoolCommand ===

impl PoolCommand {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::Ls => {
                let answer = client.pools().await?;
                output.answer(&answer, &answer.pools)
            }
        }
    }
}
