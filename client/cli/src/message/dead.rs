//! `sessionctl message dead`: dead letters of one session or of the whole namespace.
//!
//! Invariant: without a session all of the namespace is meant. What this deliberately does not do:
//! know why a letter died.

use std::time::SystemTime;

use clap::Args;
use futures_util::TryStreamExt as _;
use sessiond_client::{Client, pb};

use super::PAGE_SIZE;
use crate::failure::Failure;
use crate::output::Output;
use crate::values;

/// Which dead letters.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct LetterFilterArgs {
    /// The key of the session [default: all sessions of the namespace].
    #[arg(value_name = "KEY", conflicts_with_all = ["key_option", "id"])]
    key: Option<String>,
    /// The key of the session, as an option.
    #[arg(long = "key", value_name = "KEY", conflicts_with = "id")]
    key_option: Option<String>,
    /// The id of the session: one incarnation of its key.
    #[arg(long, value_name = "SESSION_ID")]
    id: Option<String>,
    /// Letters of this kind; repeat it to ask for several.
    #[arg(short, long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    /// Letters given up for this reason: max-attempts, permanent or session-ended. Repeat it to ask
    /// for several.
    #[arg(long = "reason", value_name = "REASON", value_parser = values::wire_enum::<pb::DeadLetterReason>)]
    reasons: Vec<pb::DeadLetterReason>,
    /// Letters given up at this time or later: a time as 2026-01-31T12:00:00Z, or so long ago, as 2h.
    #[arg(long, value_name = "TIME", value_parser = values::moment)]
    since: Option<SystemTime>,
    /// Letters given up before this time.
    #[arg(long, value_name = "TIME", value_parser = values::moment)]
    until: Option<SystemTime>,
}

/// Which dead letters to list.
#[derive(Debug, Args)]
pub(crate) struct DeadArgs {
    #[command(flatten)]
    letters: LetterFilterArgs,
    /// Fetch the payloads too; JSON shows them.
    #[arg(long)]
    payload: bool,
}

// === impl LetterFilterArgs ===

impl LetterFilterArgs {
    pub(crate) fn filter(&self) -> pb::DeadLetterFilter {
        let key = self.key.as_ref().or(self.key_option.as_ref());
        let session = match (&self.id, key) {
            (Some(id), _) => Some(sessiond_client::session_id(id)),
            (None, Some(key)) => Some(sessiond_client::session_key(key)),
            (None, None) => None,
        };
        pb::DeadLetterFilter {
            r#ref: session,
            kinds: self.kinds.clone(),
            reasons: self.reasons.iter().map(|&reason| reason.into()).collect(),
            since_time: self.since.map(Into::into),
            until_time: self.until.map(Into::into),
        }
    }
}

// === impl DeadArgs ===

impl DeadArgs {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let request = pb::ListDeadLettersRequest {
            filter: Some(self.letters.filter()),
            page_size: PAGE_SIZE,
            page_token: String::new(),
            include_payload: self.payload,
        };
        let mut letters = std::pin::pin!(client.list_all_dead_letters(request));
        if output.is_one_by_one() {
            while let Some(letter) = letters.try_next().await? {
                output.thing(&letter)?;
            }
            return Ok(());
        }
        let answer = pb::ListDeadLettersResponse {
            dead_letters: letters.try_collect().await?,
            next_page_token: String::new(),
        };
        output.answer(&answer, &answer.dead_letters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Command, parse};
    use crate::message::MessageCommand;

    fn filter(arguments: &[&str]) -> Result<pb::DeadLetterFilter, clap::Error> {
        let line = ["sessionctl", "message", "dead"].iter().chain(arguments);
        let Command::Message(MessageCommand::Dead(args)) = parse(line)?.0.command else {
            panic!("another command");
        };
        Ok(args.letters.filter())
    }

    #[test]
    fn without_a_session_all_of_the_namespace_is_meant() {
        assert_eq!(filter(&[]).ok(), Some(pb::DeadLetterFilter::default()));
        for (name, session) in [
            (&["k"][..], sessiond_client::session_key("k")),
            (&["--key", "k"], sessiond_client::session_key("k")),
            (&["--id", "s1"], sessiond_client::session_id("s1")),
        ] {
            let named = filter(name).expect("valid arguments");
            assert_eq!(named.r#ref, Some(session), "{name:?}");
        }
        assert!(filter(&["k", "--id", "s1"]).is_err());
        assert!(filter(&["--key", "k", "--id", "s1"]).is_err());
    }

    #[test]
    fn letters_are_chosen_by_kind_reason_and_time() {
        let chosen = filter(&[
            "--kind",
            "note",
            "--kind",
            "other",
            "--reason",
            "session-ended",
            "--since",
            "2026-01-31T12:00:00Z",
            "--until",
            "1h",
        ])
        .expect("valid arguments");
        assert_eq!(chosen.kinds, ["note", "other"]);
        let ended = i32::from(pb::DeadLetterReason::SessionEnded);
        assert_eq!(chosen.reasons, [ended]);
        let since = prost_types::Timestamp {
            seconds: 1_769_860_800,
            nanos: 0,
        };
        assert_eq!(chosen.since_time, Some(since));
        assert!(chosen.until_time.is_some());
        assert!(filter(&["--reason", "boredom"]).is_err());
        assert!(filter(&["--since", "yesterday-ish"]).is_err());
    }
}
