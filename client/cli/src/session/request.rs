//! `sessionctl session begin-request` and `end-request`: uses of a session by scripts.
//!
//! Invariant: one call of the server for each command. What this deliberately does not do: renew by itself; a script
//! names a lease as long as it may take, or renews with `--renew`.

use std::time::Duration;

use clap::Args;
use sessiond_client::{Client, pb};

use crate::args::SessionArg;
use crate::failure::Failure;
use crate::output::{Output, age, json};
use crate::values;

/// Which session is being used, and for how long.
#[derive(Debug, Args)]
pub(crate) struct BeginRequestArgs {
    #[command(flatten)]
    session: SessionArg,
    /// How long the request lasts if nobody ends it: 1s to 1h [default: 30s, or what it had].
    #[arg(long, value_name = "DURATION", value_parser = values::span)]
    lease: Option<Duration>,
    /// Renew this request instead of beginning one.
    #[arg(long, value_name = "TOKEN")]
    renew: Option<String>,
}

/// Which request is over.
#[derive(Debug, Args)]
pub(crate) struct EndRequestArgs {
    #[command(flatten)]
    session: SessionArg,
    /// The request, as `begin-request` named it.
    #[arg(long, value_name = "TOKEN", required = true)]
    token: String,
}

// === impl BeginRequestArgs ===

impl BeginRequestArgs {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let answer = client
            .begin_request(pb::BeginRequestRequest {
                r#ref: Some(self.session.session_ref()),
                request_lease: self.lease.map(values::wire_span),
                request_token: self.renew.unwrap_or_default(),
            })
            .await?;
        let now = jiff::Timestamp::now();
        output.fields(
            &answer,
            &answer.request_token,
            || json::line(&answer),
            || {
                let expires = age::until(answer.expire_time, now);
                vec![
                    ["request".to_owned(), answer.request_token.clone()],
                    ["expires in".to_owned(), expires],
                ]
            },
        )
    }
}

// === impl EndRequestArgs ===

impl EndRequestArgs {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let answer = client
            .end_request(pb::EndRequestRequest {
                r#ref: Some(self.session.session_ref()),
                request_token: self.token,
            })
            .await?;
        output.answer(&answer, answer.session.as_slice())
    }
}
