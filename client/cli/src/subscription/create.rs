//! `sessionctl subscription create`: every field of the request as an option.
//!
//! Invariant: what is not given is left unset. What this deliberately does not do: check bounds.

use std::time::Duration;

use clap::Args;
use sessiond_client::{Client, pb};

use super::NameArg;
use crate::event_args::{EventFilterArgs, StartArgs};
use crate::failure::Failure;
use crate::output::{Output, json};
use crate::values;

/// What to make.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    name: NameArg,
    #[command(flatten)]
    filter: EventFilterArgs,
    #[command(flatten)]
    start: StartArgs,
    /// Ended sessions are not deleted before it has acknowledged them, for 24 h at most.
    #[arg(long)]
    required: bool,
    /// How old the oldest event may be that it did not acknowledge, before the log is kept no longer
    /// for it [default: 24h].
    #[arg(long, value_name = "DURATION", value_parser = values::span)]
    max_lag: Option<Duration>,
    /// How many bytes of the log there may be that it did not acknowledge [default: 1 GiB].
    #[arg(long, value_name = "BYTES")]
    max_lag_bytes: Option<u64>,
    /// Makes a repeat of this command harmless for 24 h.
    #[arg(long)]
    request_id: Option<String>,
}

// === impl CreateArgs ===

impl CreateArgs {
    pub(super) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let answer = client.create_subscription(self.request()).await?;
        let made = answer.subscription.clone().unwrap_or_default();
        let id = made.name.clone();
        let fields = || super::fields(&made, jiff::Timestamp::now());
        output.fields(&answer, &id, || json::line(&made), fields)
    }

    pub(super) fn request(self) -> pb::CreateSubscriptionRequest {
        let filter = self.filter.filter();
        pb::CreateSubscriptionRequest {
            name: self.name.name,
            filter: (filter != pb::EventFilter::default()).then_some(filter),
            start: self.start.start(),
            max_lag: self.max_lag.map(values::wire_span),
            max_lag_bytes: self.max_lag_bytes,
            required: self.required,
            request_id: self.request_id.unwrap_or_default(),
        }
    }
}
