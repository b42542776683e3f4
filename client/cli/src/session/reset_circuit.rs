//! `sessionctl session reset-circuit`: lets a session go on at once where failures hold it up.
//!
//! Invariant: exactly what is named is reset. What this deliberately does not do: ask whether anything failed; where
//! nothing did, nothing changes.

use clap::Args;
use sessiond_client::pb::reset_circuit_request::Target;
use sessiond_client::{Client, pb};

use crate::args::SessionArg;
use crate::failure::Failure;
use crate::output::Output;

/// What to reset.
#[derive(Debug, Args)]
pub(crate) struct ResetCircuitArgs {
    #[command(flatten)]
    session: SessionArg,
    /// The kind of message that is skipped, for example `summarize`.
    #[arg(short, long, required_unless_present = "restart_guard")]
    kind: Option<String>,
    /// The restart guard: its workers failed too often, and it is given to none for a while.
    #[arg(long, conflicts_with = "kind")]
    restart_guard: bool,
    /// Makes a repeat of this command harmless for 24 h.
    #[arg(long)]
    request_id: Option<String>,
}

impl ResetCircuitArgs {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let answer = client.reset_circuit(self.request()).await?;
        output.answer(&answer, answer.session.as_slice())
    }

    fn request(self) -> pb::ResetCircuitRequest {
        let guard = self.restart_guard.then_some(Target::RestartGuard(true));
        pb::ResetCircuitRequest {
            r#ref: Some(self.session.session_ref()),
            target: self.kind.map(Target::Kind).or(guard),
            request_id: self.request_id.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Command, parse};
    use crate::session::SessionCommand;

    fn target(arguments: &[&str]) -> Result<Option<Target>, clap::Error> {
        let line = ["sessionctl", "session", "reset-circuit"].iter();
        let line = line.chain(&["--key", "a"]).chain(arguments);
        let Command::Session(SessionCommand::ResetCircuit(args)) = parse(line)?.0.command else {
            panic!("another command");
        };
        Ok(args.request().target)
    }

    #[test]
    fn exactly_one_breaker_is_named() {
        let guard = target(&["--restart-guard"]).expect("valid arguments");
        assert_eq!(guard, Some(Target::RestartGuard(true)));
        let kind = target(&["--kind", "summarize"]).expect("valid arguments");
        assert_eq!(kind, Some(Target::Kind("summarize".to_owned())));
        for bad in [&[][..], &["--restart-guard", "--kind", "summarize"]] {
            assert!(target(bad).is_err(), "{bad:?}");
        }
    }
}
