//! `sessionctl session sweep`: ends the live sessions that have passed a limit, their own or one given here.
//!
//! Invariant: with `--dry-run` nothing changes. What this deliberately does not do: end anything for another reason;
//! `session end` does.

use std::time::Duration;

use clap::Args;
use sessiond_client::{Client, pb};

use crate::args::FilterArgs;
use crate::failure::Failure;
use crate::many::Many;
use crate::output::Output;
use crate::values;

/// Which sessions to look at, and by which limits.
#[derive(Debug, Args)]
pub(crate) struct SweepArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Ends sessions without activity for longer than this, where their own limit is not shorter.
    #[arg(long, value_name = "DURATION", value_parser = values::span)]
    idle: Option<Duration>,
    /// Ends sessions older than this, those in use at twice this age.
    #[arg(long, value_name = "DURATION", value_parser = values::span)]
    age: Option<Duration>,
    /// Ends nothing, and prints what would end, and why.
    #[arg(long)]
    dry_run: bool,
}

// === impl SweepArgs ===

impl SweepArgs {
    /// Sweeps page by page, and fails when a session was refused, after all of them are printed.
    pub(crate) async fn run(&self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let mut request = pb::SweepRequest {
            filter: Some(self.filter.filter()),
            idle_timeout: self.idle.map(values::wire_span),
            max_lifetime: self.age.map(values::wire_span),
            validate_only: self.dry_run,
            page_size: 0,
            page_token: String::new(),
        };
        let mut many = Many::new(output);
        let mut whole = pb::SweepResponse::default();
        loop {
            let page = client.sweep(request.clone()).await?;
            many.page(page.results, |result| result.error.as_ref())?;
            whole.examined += page.examined;
            whole.revision = page.revision;
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        let answer = |results| pb::SweepResponse { results, ..whole };
        many.finish(answer, |whole| &whole.results)
    }
}
