//! `sessionctl session end`: one session with every field of its request as an option, or many at once.
//!
//! Invariant: sessions are chosen in exactly one way, so that nothing ends by an option that was
//! forgotten; what is not given is left unset. What this deliberately does not do: check bounds.

use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};
use sessiond_client::{Client, pb};

use crate::args::FilterArgs;
use crate::failure::Failure;
use crate::many::Many;
use crate::output::Output;
use crate::values;

/// Which sessions to end, and how.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("one way")
        .args(["key", "key_option", "ids", "glob", "all"])
        .conflicts_with("FilterArgs"),
    group = ArgGroup::new("sessions")
        .args(["key", "key_option", "ids", "glob", "all"])
        .args(["labels", "project", "key_prefix", "pool"])
        .multiple(true)
        .required(true),
    group = ArgGroup::new("many")
        .args(["glob", "all", "labels", "project", "key_prefix", "pool"])
        .multiple(true)
)]
pub(crate) struct EndArgs {
    /// The key of the session.
    #[arg(value_name = "KEY")]
    key: Option<String>,
    /// The key of the session, as an option.
    #[arg(long = "key", value_name = "KEY")]
    key_option: Option<String>,
    /// The id of the session: one incarnation of its key. Repeat it to end several.
    #[arg(long = "id", value_name = "SESSION_ID")]
    ids: Vec<String>,
    /// Live sessions with a key that matches: `*` stands for any characters, `?` for one.
    #[arg(long, value_name = "GLOB")]
    glob: Option<String>,
    /// All live sessions of the namespace.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: FilterArgs,
    /// Ends nothing, and prints what would end.
    #[arg(long, conflicts_with_all = ["key", "key_option"])]
    dry_run: bool,
    /// Why it ends, for example completed, failed, deleted, reset or replaced [default: completed].
    #[arg(long, value_parser = values::wire_enum::<pb::EndReason>)]
    reason: Option<pb::EndReason>,
    /// More about it, for a person.
    #[arg(long)]
    detail: Option<String>,
    /// How much it may still do: graceful, after-pending or immediate [default: graceful].
    #[arg(long, value_parser = values::wire_enum::<pb::EndMode>)]
    mode: Option<pb::EndMode>,
    /// How long it may do that.
    #[arg(long, value_name = "DURATION", value_parser = values::span)]
    grace: Option<Duration>,
    /// Delete unprocessed messages instead of keeping them.
    #[arg(long)]
    discard_pending: bool,
    #[command(flatten)]
    alone: AloneArgs,
}

/// What only the end of one session takes.
#[derive(Debug, Args)]
struct AloneArgs {
    /// The session under which the conversation goes on. For one session only, as what follows.
    #[arg(long, value_name = "SESSION_ID", conflicts_with_all = ["many", "dry_run"])]
    successor: Option<String>,
    /// Wait this long for what `--wait-for` names.
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = values::span,
        conflicts_with_all = ["many", "dry_run"]
    )]
    wait: Option<Duration>,
    /// What to wait for.
    #[arg(long, value_enum, requires = "wait")]
    wait_for: Option<WaitFor>,
    /// Makes a repeat of this command harmless for 24 h.
    #[arg(long, conflicts_with_all = ["many", "dry_run"])]
    request_id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WaitFor {
    /// The session has ended.
    Ended,
    /// It has ended and all of its resources are released.
    Released,
}

/// What to ask the server for.
#[derive(Clone, Debug, PartialEq)]
enum Plan {
    One(pb::EndSessionRequest),
    Many(pb::EndSessionsRequest),
}

// === impl EndArgs ===

impl EndArgs {
    pub(crate) async fn run(&self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        match self.plan()? {
            Plan::One(request) => {
                let answer = client.end(request).await?;
                output.answer(&answer, answer.session.as_slice())
            }
            Plan::Many(request) => end_many(client, request, output).await,
        }
    }

    fn plan(&self) -> Result<Plan, Failure> {
        let key = self.key.as_ref().or(self.key_option.as_ref());
        let one = match (key, &self.ids[..]) {
            (Some(key), _) => Some(sessiond_client::session_key(key)),
            (None, [id]) if !self.dry_run => Some(sessiond_client::session_id(id)),
            (None, _) => None,
        };
        match one {
            Some(session) => Ok(Plan::One(self.request(session))),
            None if self.alone.is_given() => Err(Failure::Usage(
                "`--successor`, `--wait` and `--request-id` are for one session".to_owned(),
            )),
            None => Ok(Plan::Many(self.many_request())),
        }
    }

    fn request(&self, session: pb::SessionRef) -> pb::EndSessionRequest {
        let wait_for = match self.alone.wait_for {
            None => pb::WaitFor::Unspecified,
            Some(WaitFor::Ended) => pb::WaitFor::Ended,
            Some(WaitFor::Released) => pb::WaitFor::Released,
        };
        pb::EndSessionRequest {
            r#ref: Some(session),
            reason: self.reason.unwrap_or_default().into(),
            detail: text(self.detail.as_ref()),
            mode: self.mode.unwrap_or_default().into(),
            end_grace: self.grace.map(values::wire_span),
            pending_policy: self.pending_policy().into(),
            successor_id: text(self.alone.successor.as_ref()),
            wait: self.alone.wait.map(values::wire_span),
            wait_for: wait_for.into(),
            request_id: text(self.alone.request_id.as_ref()),
        }
    }

    fn many_request(&self) -> pb::EndSessionsRequest {
        let by_filter = self.ids.is_empty() && self.glob.is_none();
        pb::EndSessionsRequest {
            filter: by_filter.then(|| self.filter.filter()),
            session_ids: self.ids.clone(),
            key_glob: text(self.glob.as_ref()),
            reason: self.reason.unwrap_or_default().into(),
            detail: text(self.detail.as_ref()),
            mode: self.mode.unwrap_or_default().into(),
            end_grace: self.grace.map(values::wire_span),
            pending_policy: self.pending_policy().into(),
            validate_only: self.dry_run,
            page_size: 0,
            page_token: String::new(),
        }
    }

    fn pending_policy(&self) -> pb::PendingPolicy {
        if self.discard_pending {
            pb::PendingPolicy::Discard
        } else {
            pb::PendingPolicy::Unspecified
        }
    }
}

// === impl AloneArgs ===

impl AloneArgs {
    fn is_given(&self) -> bool {
        self.successor.is_some() || self.wait.is_some() || self.request_id.is_some()
    }
}

fn text(value: Option<&String>) -> String {
    value.cloned().unwrap_or_default()
}

/// Ends page by page, and fails when a session was refused, after all of them are printed.
async fn end_many(
    client: &Client,
    mut request: pb::EndSessionsRequest,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut many = Many::new(output);
    let revision = loop {
        let page = client.end_sessions_page(request.clone()).await?;
        many.page(page.results, |result| result.error.as_ref())?;
        if page.next_page_token.is_empty() {
            break page.revision;
        }
        request.page_token = page.next_page_token;
    };
    let answer = |results| pb::EndSessionsResponse {
        results,
        revision,
        ..pb::EndSessionsResponse::default()
    };
    many.finish(answer, |whole| &whole.results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Command, parse};
    use crate::session::SessionCommand;

    fn plan(arguments: &[&str]) -> Result<Plan, i32> {
        let line = ["sessionctl", "session", "end"].iter().chain(arguments);
        let (cli, _) = parse(line).map_err(|error| error.exit_code())?;
        let Command::Session(SessionCommand::End(args)) = cli.command else {
            panic!("another command");
        };
        args.plan()
            .map_err(|failure| i32::from(failure.exit().code()))
    }

    fn many(arguments: &[&str]) -> pb::EndSessionsRequest {
        match plan(arguments) {
            Ok(Plan::Many(request)) => request,
            other => panic!("{arguments:?}: {other:?}"),
        }
    }

    #[test]
    fn one_session_is_ended_with_all_that_its_end_takes() {
        let options = [
            "--reason",
            "compacted",
            "--successor",
            "s2",
            "--wait",
            "5s",
            "--wait-for",
            "ended",
            "--request-id",
            "r",
        ];
        for (name, session) in [
            (&["k"][..], sessiond_client::session_key("k")),
            (&["--key", "k"], sessiond_client::session_key("k")),
            (&["--id", "s1"], sessiond_client::session_id("s1")),
        ] {
            let expected = pb::EndSessionRequest {
                r#ref: Some(session),
                reason: pb::EndReason::Compacted.into(),
                successor_id: "s2".to_owned(),
                wait: Some(values::wire_span(Duration::from_secs(5))),
                wait_for: pb::WaitFor::Ended.into(),
                request_id: "r".to_owned(),
                ..Default::default()
            };
            let arguments = [name, &options].concat();
            assert_eq!(plan(&arguments), Ok(Plan::One(expected)), "{name:?}");
        }
    }

    #[test]
    fn many_sessions_are_chosen_in_one_way() {
        let all = pb::EndSessionsRequest {
            filter: Some(pb::SessionFilter::default()),
            ..Default::default()
        };
        assert_eq!(many(&["--all"]), all);
        let dry = many(&["--glob", "agent:*", "--dry-run"]);
        assert_eq!(
            (dry.key_glob.as_str(), dry.validate_only),
            ("agent:*", true)
        );
        assert_eq!(dry.filter, None);
        let by_ids = many(&["--id", "a", "--id", "b", "--mode", "immediate"]);
        assert_eq!(by_ids.session_ids, ["a", "b"]);
        assert_eq!(by_ids.mode(), pb::EndMode::Immediate);
        assert_eq!(by_ids.filter, None);
        assert_eq!(many(&["--id", "a", "--dry-run"]).session_ids, ["a"]);
        let filtered = many(&["--project", "p", "--label", "a=1", "--label", "b=2"]);
        let filter = filtered.filter.expect("a filter");
        assert_eq!((filter.project.as_str(), filter.labels.len()), ("p", 2));
    }

    #[test]
    fn nothing_ends_by_an_option_that_was_forgotten_or_given_twice() {
        for bad in [
            &[][..],
            &["--reason", "failed"],
            &["--dry-run"],
            &["k", "--all"],
            &["k", "--id", "a"],
            &["k", "--key", "k"],
            &["k", "--dry-run"],
            &["--all", "--glob", "*"],
            &["--all", "--project", "p"],
            &["--id", "a", "--label", "a=1"],
            &["--all", "--wait", "5s"],
            &["--project", "p", "--successor", "s"],
            &["--glob", "*", "--request-id", "r"],
            &["--id", "a", "--id", "b", "--wait", "5s"],
            &["--id", "a", "--dry-run", "--wait", "5s"],
        ] {
            assert_eq!(plan(bad), Err(2), "{bad:?}");
        }
    }
}
