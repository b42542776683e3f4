//! `sessionctl message discard`: messages of one session are deleted unprocessed.
//!
//! Invariant: messages are chosen in exactly one way, by number or by what they are, and all of them only
//! when that is said; what is printed was done. What this deliberately does not do: stop a worker that has a
//! message in flight.

use clap::{ArgGroup, Args};
use sessiond_client::{Client, pb};

use crate::args::SessionArg;
use crate::failure::Failure;
use crate::output::{Output, json};
use crate::values;

/// Which messages to delete.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("messages").args(["seqs", "kinds", "states", "all"]).multiple(true).required(true),
    group = ArgGroup::new("by what they are").args(["kinds", "states"]).multiple(true)
)]
pub(crate) struct DiscardArgs {
    #[command(flatten)]
    session: SessionArg,
    /// The message with this number; repeat it for several.
    #[arg(
        long = "seq",
        value_name = "SEQ",
        value_parser = clap::value_parser!(u64).range(1..),
        conflicts_with_all = ["by what they are", "all"]
    )]
    seqs: Vec<u64>,
    /// Messages of this kind; repeat it to ask for several.
    #[arg(short, long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    /// Messages in this state: pending or dead-lettered.
    #[arg(long = "state", value_parser = values::wire_enum::<pb::MessageState>)]
    states: Vec<pb::MessageState>,
    /// All that are pending and all dead letters of the session.
    #[arg(long, conflicts_with = "by what they are")]
    all: bool,
    /// Changes nothing, and prints what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Makes a repeat of this command harmless for 24 h.
    #[arg(long)]
    request_id: Option<String>,
}

// === impl DiscardArgs ===

impl DiscardArgs {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let session = self.session.session_ref();
        let mut discard = if self.seqs.is_empty() {
            client.discard_matching(session, self.filter())
        } else {
            client.discard_messages(session, self.seqs.iter().copied())
        };
        if self.dry_run {
            discard = discard.validate_only();
        }
        if let Some(request_id) = &self.request_id {
            discard = discard.request_id(request_id);
        }
        let answer = discard.send_all().await?;
        output.fields(
            &answer,
            &answer.discarded.to_string(),
            || json::line(&answer),
            || fields(&answer),
        )
    }

    fn filter(&self) -> pb::MessageFilter {
        pb::MessageFilter {
            kinds: self.kinds.clone(),
            states: self.states.iter().map(|&state| state.into()).collect(),
        }
    }
}

/// What became of the messages. What did not happen is left out.
fn fields(answer: &pb::DiscardMessagesResponse) -> Vec<[String; 2]> {
    let counts = [
        ("not found", answer.not_found),
        ("in flight", answer.in_flight),
    ];
    let others = counts.into_iter().filter(|(_, count)| *count > 0);
    std::iter::once(("discarded", answer.discarded))
        .chain(others)
        .map(|(name, count)| [name.to_owned(), count.to_string()])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Command, parse};
    use crate::message::MessageCommand;

    fn args(arguments: &[&str]) -> Result<DiscardArgs, i32> {
        let line = ["sessionctl", "message", "discard"].iter().chain(arguments);
        let (cli, _) = parse(line).map_err(|error| error.exit_code())?;
        let Command::Message(MessageCommand::Discard(args)) = cli.command else {
            panic!("another command");
        };
        Ok(args)
    }

    #[test]
    fn messages_are_named_or_chosen() {
        let named = args(&["k", "--seq", "3", "--seq", "5"]).expect("valid arguments");
        assert_eq!(named.seqs, [3, 5]);
        let chosen = args(&["--id", "s", "--kind", "note", "--state", "dead-lettered"]);
        let filter = chosen.expect("valid arguments").filter();
        assert_eq!(filter.kinds, ["note"]);
        assert_eq!(filter.states, [i32::from(pb::MessageState::DeadLettered)]);
        let all = args(&["k", "--all", "--dry-run"]).expect("valid arguments");
        assert_eq!(all.filter(), pb::MessageFilter::default());
        assert!(all.dry_run);
    }

    #[test]
    fn nothing_is_deleted_by_an_option_that_was_forgotten_or_given_twice() {
        for bad in [
            &[][..],
            &["k"],
            &["k", "--dry-run"],
            &["--all"],
            &["k", "--seq", "0"],
            &["k", "--seq", "1", "--all"],
            &["k", "--seq", "1", "--kind", "note"],
            &["k", "--all", "--state", "pending"],
            &["k", "--state", "asleep"],
        ] {
            assert_eq!(args(bad).err(), Some(2), "{bad:?}");
        }
    }
}
