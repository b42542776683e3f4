//! `sessionctl session purge`: ended sessions deleted for good, with their messages.
//!
//! Invariant: sessions are chosen in exactly one way, so that nothing is deleted by an option that was
//! forgotten; what is not given is left unset. What this deliberately does not do: check bounds.

use std::time::Duration;

use clap::{ArgGroup, Args};
use sessiond_client::{Client, pb};

use crate::args::FilterArgs;
use crate::failure::Failure;
use crate::many::Many;
use crate::output::Output;
use crate::values;

/// Which ended sessions to delete.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("one way")
        .args(["ids", "all"])
        .conflicts_with("FilterArgs"),
    group = ArgGroup::new("sessions")
        .args(["ids", "all"])
        .args(["labels", "project", "key_prefix", "pool"])
        .multiple(true)
        .required(true)
)]
pub(crate) struct PurgeArgs {
    /// The id of an ended session; repeat it for several.
    #[arg(long = "id", value_name = "SESSION_ID")]
    ids: Vec<String>,
    /// All ended sessions of the namespace.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: FilterArgs,
    /// Only sessions that ended at least this long ago; time the server was down does not count.
    #[arg(long, value_name = "DURATION", value_parser = values::span, conflicts_with = "ids")]
    ended_for: Option<Duration>,
    /// Deletes also sessions whose messages wait for the next session of their key, with these.
    #[arg(long)]
    discard_pending: bool,
    /// Deletes nothing, and prints what would be deleted.
    #[arg(long)]
    dry_run: bool,
}

impl PurgeArgs {
    /// Deletes page by page, and fails when a session was refused, after all of them are printed.
    pub(crate) async fn run(&self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let mut request = self.request();
        let mut many = Many::new(output);
        let mut whole = pb::PurgeSessionsResponse::default();
        loop {
            let page = client.purge_sessions_page(request.clone()).await?;
            many.page(page.results, |result| result.error.as_ref())?;
            whole.sessions += page.sessions;
            whole.messages += page.messages;
            whole.revision = page.revision;
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        let answer = |results| pb::PurgeSessionsResponse { results, ..whole };
        many.finish(answer, |whole| &whole.results)
    }

    fn request(&self) -> pb::PurgeSessionsRequest {
        let pending = if self.discard_pending {
            pb::PendingPolicy::Discard
        } else {
            pb::PendingPolicy::Unspecified
        };
        pb::PurgeSessionsRequest {
            filter: self.ids.is_empty().then(|| self.filter.filter()),
            session_ids: self.ids.clone(),
            ended_for: self.ended_for.map(values::wire_span),
            pending_policy: pending.into(),
            validate_only: self.dry_run,
            page_size: 0,
            page_token: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Command, parse};
    use crate::session::SessionCommand;

    fn request(arguments: &[&str]) -> Result<pb::PurgeSessionsRequest, clap::Error> {
        let line = ["sessionctl", "session", "purge"].iter().chain(arguments);
        let Command::Session(SessionCommand::Purge(args)) = parse(line)?.0.command else {
            panic!("another command");
        };
        Ok(args.request())
    }

    #[test]
    fn sessions_are_chosen_in_one_way() {
        let valid = |arguments: &[&str]| request(arguments).expect("valid arguments");
        let all = pb::PurgeSessionsRequest {
            filter: Some(pb::SessionFilter::default()),
            ..Default::default()
        };
        assert_eq!(valid(&["--all"]), all);
        let by_ids = pb::PurgeSessionsRequest {
            session_ids: vec!["a".to_owned(), "b".to_owned()],
            pending_policy: pb::PendingPolicy::Discard.into(),
            ..Default::default()
        };
        assert_eq!(
            valid(&["--id", "a", "--id", "b", "--discard-pending"]),
            by_ids
        );
        let old = valid(&["--project", "p", "--ended-for", "24h", "--dry-run"]);
        assert_eq!(old.filter.expect("a filter").project, "p");
        assert!(old.validate_only);
        let day = values::wire_span(Duration::from_secs(86_400));
        assert_eq!(old.ended_for, Some(day));
    }

    #[test]
    fn nothing_is_deleted_by_an_option_that_was_forgotten_or_given_twice() {
        for bad in [
            &[][..],
            &["--dry-run"],
            &["--ended-for", "24h"],
            &["--all", "--id", "a"],
            &["--all", "--project", "p"],
            &["--id", "a", "--label", "a=1"],
            &["--id", "a", "--ended-for", "24h"],
            &["key"],
        ] {
            let error = request(bad).expect_err("bad arguments");
            assert_eq!(error.exit_code(), 2, "{bad:?}");
        }
    }
}
