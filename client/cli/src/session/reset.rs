//! `sessionctl session reset`: every field of the request as an option.
//!
//! Invariant: what is not given is left unset, and so goes over from the session that ends. What this
//! deliberately does not do: check bounds.

use clap::Args;
use sessiond_client::{Client, pb};

use super::terms::{LimitArgs, OriginArgs, QueueArgs};
use crate::args::SessionArg;
use crate::failure::Failure;
use crate::output::Output;
use crate::values::{self, LimitValue, Pair};

/// Which session to reset, and how.
#[derive(Debug, Args)]
pub(crate) struct ResetArgs {
    #[command(flatten)]
    session: SessionArg,
    /// Why: reset, compacted, scheduled or replaced [default: reset].
    #[arg(long, value_parser = values::wire_enum::<pb::EndReason>)]
    reason: Option<pb::EndReason>,
    /// More about it, for a person.
    #[arg(long)]
    detail: Option<String>,
    /// The id of the successor [default: the server makes one].
    #[arg(long, value_name = "SESSION_ID")]
    new_id: Option<String>,
    /// What becomes of the messages: move them to the successor, keep them as dead letters of the
    /// session that ends, or discard them [default: move].
    #[arg(long, value_parser = values::wire_enum::<pb::Carry>)]
    carry: Option<pb::Carry>,
    /// Reset it only if its etag is this one.
    #[arg(long)]
    etag: Option<String>,
    /// The project the successor works in.
    #[arg(long)]
    project: Option<String>,
    #[command(flatten)]
    origin: OriginArgs,
    /// A label; repeat it for several. With one, no label goes over.
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<Pair>,
    /// The first prompt of the successor [default: none].
    #[arg(long)]
    prompt: Option<String>,
    /// The number of the prompt.
    #[arg(long)]
    prompt_number: Option<u32>,
    /// The transcript of the successor [default: none].
    #[arg(long)]
    transcript_path: Option<String>,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    queue: QueueArgs,
    /// The session on whose behalf the successor is opened.
    #[arg(long, value_name = "SESSION_ID")]
    parent: Option<String>,
    /// Makes a repeat of this command harmless for 24 h.
    #[arg(long)]
    request_id: Option<String>,
}

impl ResetArgs {
    /// Prints the successor; as JSON both sessions.
    pub(crate) async fn run(&self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let answer = client.reset(self.request()).await?;
        output.answer(&answer, answer.successor.as_slice())
    }

    fn request(&self) -> pb::ResetSessionRequest {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let limit = |value: Option<LimitValue>| value.map(pb::Limit::from);
        pb::ResetSessionRequest {
            r#ref: Some(self.session.session_ref()),
            reason: self.reason.unwrap_or_default().into(),
            detail: text(&self.detail),
            new_session_id: text(&self.new_id),
            carry: self.carry.unwrap_or_default().into(),
            etag: text(&self.etag),
            project: text(&self.project),
            source: text(&self.origin.source),
            agent_id: text(&self.origin.agent_id),
            labels: values::map(&self.labels),
            prompt: text(&self.prompt),
            prompt_number: self.prompt_number,
            transcript_path: text(&self.transcript_path),
            idle_timeout: limit(self.limits.idle_timeout),
            max_lifetime: limit(self.limits.max_lifetime),
            owner_timeout: limit(self.limits.owner_timeout),
            ordering: self.queue.ordering.unwrap_or_default().into(),
            max_in_flight: self.queue.max_in_flight,
            parent_session_id: text(&self.parent),
            request_id: text(&self.request_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Command, parse};
    use crate::session::SessionCommand;

    fn request(arguments: &[&str]) -> Result<pb::ResetSessionRequest, clap::Error> {
        let line = ["sessionctl", "session", "reset"].iter().chain(arguments);
        let Command::Session(SessionCommand::Reset(args)) = parse(line)?.0.command else {
            panic!("another command");
        };
        Ok(args.request())
    }

    #[test]
    fn what_is_given_is_sent_and_nothing_else() {
        let bare = pb::ResetSessionRequest {
            r#ref: Some(sessiond_client::session_key("k")),
            ..Default::default()
        };
        assert_eq!(request(&["k"]).expect("a key is enough"), bare);
        let full = request(&[
            "--id",
            "s1",
            "--reason",
            "compacted",
            "--new-id",
            "s2",
            "--carry",
            "keep",
            "--etag",
            "1a",
            "--label",
            "a=1",
            "--idle-timeout",
            "never",
            "--ordering",
            "relaxed",
            "--request-id",
            "r",
        ]);
        let expected = pb::ResetSessionRequest {
            r#ref: Some(sessiond_client::session_id("s1")),
            reason: pb::EndReason::Compacted.into(),
            new_session_id: "s2".to_owned(),
            carry: pb::Carry::Keep.into(),
            etag: "1a".to_owned(),
            labels: [("a".to_owned(), "1".to_owned())].into_iter().collect(),
            idle_timeout: Some(LimitValue::Never.into()),
            ordering: pb::Ordering::Relaxed.into(),
            request_id: "r".to_owned(),
            ..Default::default()
        };
        assert_eq!(full.expect("valid arguments"), expected);
    }

    #[test]
    fn a_session_is_named_once_and_values_are_known() {
        for bad in [&[][..], &["k", "--id", "s"], &["k", "--carry", "some"]] {
            let error = request(bad).expect_err("bad arguments");
            assert_eq!(error.exit_code(), 2, "{bad:?}");
        }
    }
}
