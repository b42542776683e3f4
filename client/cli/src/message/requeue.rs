//! `sessionctl message requeue`: dead letters become pending again.
//!
//! Invariant: letters are chosen in exactly one way, by their places or by what they are, and all of the
//! namespace only when that is said; what is printed was done. What this deliberately does not do: decide
//! where a letter goes; the server does.

use clap::{ArgGroup, Args};
use sessiond_client::{Client, pb};

use super::dead::LetterFilterArgs;
use crate::failure::Failure;
use crate::output::{Output, json};
use crate::say;

/// Which dead letters to bring back, and where to.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("which")
        .args(["key", "key_option", "id", "kinds", "reasons", "since", "until", "letters", "all"])
        .multiple(true)
        .required(true),
    group = ArgGroup::new("by what they are")
        .args(["key", "key_option", "id", "kinds", "reasons", "since", "until"])
        .multiple(true)
)]
pub(crate) struct RequeueArgs {
    #[command(flatten)]
    filter: LetterFilterArgs,
    /// This letter, as `message dead` names it; repeat it for several.
    #[arg(
        long = "letter",
        value_name = "QUEUE/SEQ",
        value_parser = place,
        conflicts_with_all = ["by what they are", "all"]
    )]
    letters: Vec<(u64, u64)>,
    /// All dead letters of the namespace.
    #[arg(long, conflicts_with = "by what they are")]
    all: bool,
    /// Into the live session of this key [default: each into its own session, if that is live].
    #[arg(long, value_name = "KEY", conflicts_with = "into_id")]
    into: Option<String>,
    /// Into the session with this id.
    #[arg(long, value_name = "SESSION_ID")]
    into_id: Option<String>,
    /// Changes nothing, and prints what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Makes a repeat of this command harmless for 24 h.
    #[arg(long)]
    request_id: Option<String>,
}

/// A place as `QUEUE/SEQ`.
fn place(text: &str) -> Result<(u64, u64), String> {
    let number = |text: &str| text.parse::<u64>().ok().filter(|number| *number > 0);
    let place = text
        .split_once('/')
        .and_then(|(queue, seq)| Some((number(queue)?, number(seq)?)));
    place.ok_or_else(|| format!("`{text}` is no place of a letter: write for example `7/42`"))
}

// === impl RequeueArgs ===

impl RequeueArgs {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let mut requeue = if self.letters.is_empty() {
            client
                .dead_letters()
                .matching(self.filter.filter())
                .requeue()
        } else {
            client.requeue(self.letters.iter().copied())
        };
        if let Some(session) = self.target() {
            requeue = requeue.into_session(session);
        }
        if self.dry_run {
            requeue = requeue.validate_only();
        }
        if let Some(request_id) = &self.request_id {
            requeue = requeue.request_id(request_id);
        }
        let answer = requeue.send_all().await?;
        if answer.without_session > 0 {
            say::line(&format!(
                "{} letters stay: their sessions are not live; name one that is with --into",
                answer.without_session
            ));
        }
        output.fields(
            &answer,
            &answer.requeued.to_string(),
            || json::line(&answer),
            || fields(&answer),
        )
    }

    fn target(&self) -> Option<pb::SessionRef> {
        match (&self.into, &self.into_id) {
            (Some(key), _) => Some(sessiond_client::session_key(key)),
            (None, Some(id)) => Some(sessiond_client::session_id(id)),
            (None, None) => None,
        }
    }
}

/// What became of the letters. What did not happen is left out.
fn fields(answer: &pb::RequeueDeadLettersResponse) -> Vec<[String; 2]> {
    let counts = [
        ("not found", answer.not_found),
        ("in flight", answer.in_flight),
        ("without session", answer.without_session),
        ("no room", answer.no_room),
        ("duplicates", answer.duplicates),
    ];
    let others = counts.into_iter().filter(|(_, count)| *count > 0);
    std::iter::once(("requeued", answer.requeued))
        .chain(others)
        .map(|(name, count)| [name.to_owned(), count.to_string()])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Command, parse};
    use crate::message::MessageCommand;

    fn args(arguments: &[&str]) -> Result<RequeueArgs, i32> {
        let line = ["sessionctl", "message", "requeue"].iter().chain(arguments);
        let (cli, _) = parse(line).map_err(|error| error.exit_code())?;
        let Command::Message(MessageCommand::Requeue(args)) = cli.command else {
            panic!("another command");
        };
        Ok(*args)
    }

    #[test]
    fn letters_are_named_or_chosen_and_may_go_elsewhere() {
        let named = args(&["--letter", "7/42", "--letter", "7/43", "--into", "k"]);
        let named = named.expect("valid arguments");
        assert_eq!(named.letters, [(7, 42), (7, 43)]);
        assert_eq!(named.target(), Some(sessiond_client::session_key("k")));
        let chosen = args(&["k", "--kind", "note", "--into-id", "s", "--dry-run"]);
        let chosen = chosen.expect("valid arguments");
        assert_eq!(chosen.filter.filter().kinds, ["note"]);
        assert_eq!(chosen.target(), Some(sessiond_client::session_id("s")));
        assert!(chosen.dry_run);
        let all = args(&["--all"]).expect("valid arguments");
        assert_eq!(all.filter.filter(), pb::DeadLetterFilter::default());
        assert_eq!(all.target(), None);
    }

    #[test]
    fn nothing_is_brought_back_by_an_option_that_was_forgotten_or_given_twice() {
        for bad in [
            &[][..],
            &["--dry-run"],
            &["--into", "k"],
            &["--all", "k"],
            &["--all", "--kind", "note"],
            &["--letter", "1/2", "--all"],
            &["--letter", "1/2", "k"],
            &["--letter", "1/2", "--kind", "note"],
            &["--letter", "1"],
            &["--letter", "0/2"],
            &["--letter", "1/x"],
            &["k", "--into", "a", "--into-id", "b"],
        ] {
            assert_eq!(args(bad).err(), Some(2), "{bad:?}");
        }
    }

    #[test]
    fn what_did_not_happen_is_left_out() {
        let answer = pb::RequeueDeadLettersResponse {
            requeued: 0,
            no_room: 3,
            ..Default::default()
        };
        let expected = [["requeued", "0"], ["no room", "3"]];
        assert_eq!(fields(&answer), expected);
    }
}
