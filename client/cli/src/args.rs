//! The command line: which commands there are and what all of them take.
//!
//! Invariant: arguments are parsed here into values that need no further check; each command keeps
//! its own arguments beside it. What this deliberately does not do: run anything.

use std::ffi::OsString;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use sessiond_client::pb;

use crate::failure::Exit;
use crate::hook::HookCommand;
use crate::message::MessageCommand;
use crate::node::NodeCommand;
use crate::output::{Detail, Format, Output};
use crate::pool::PoolCommand;
use crate::replay::ReplayArgs;
use crate::resource::ResourceCommand;
use crate::server::ServerCommand;
use crate::session::SessionCommand;
use crate::spool_command::SpoolCommand;
use crate::subscription::SubscriptionCommand;
use crate::target::{Target, TargetArgs};
use crate::values::{self, Pair};
use crate::watch::WatchArgs;
use crate::work::WorkArgs;
use crate::worker::WorkerCommand;

/// The command line of sessiond: open, feed, watch and end the sessions of long-lived agents.
#[derive(Debug, Parser)]
#[command(name = "sessionctl", version, after_help = Exit::table(), max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Opens, reads, lists, ends, resets, purges and awaits sessions.
    #[command(subcommand)]
    Session(SessionCommand),
    /// Sends, lists, brings back and discards messages.
    #[command(subcommand)]
    Message(MessageCommand),
    /// Works on sessions: prints every message and settles it.
    Work(WorkArgs),
    /// Looks after workers.
    #[command(subcommand)]
    Worker(WorkerCommand),
    /// Prints events as they happen, across restarts of the server.
    Watch(WatchArgs),
    /// Looks after the places in the log that the server keeps for plugins.
    #[command(subcommand)]
    Subscription(SubscriptionCommand),
    /// Sends the recorded hook events of a JSONL file.
    Replay(ReplayArgs),
    /// Turns hook events of a coding agent into sessions and messages.
    #[command(subcommand)]
    Hook(HookCommand),
    /// Looks after hook events that could not be sent yet.
    #[command(subcommand)]
    Spool(SpoolCommand),
    /// Looks after processes and tmux sessions that must not outlive a session.
    #[command(subcommand)]
    Resource(ResourceCommand),
    /// Shows the machines other than the server's on which sessions may have something.
    #[command(subcommand)]
    Node(NodeCommand),
    /// Shows the pools that sessions count against.
    #[command(subcommand)]
    Pool(PoolCommand),
    /// Ends the server in order, and shows what came of it.
    #[command(subcommand)]
    Server(ServerCommand),
    /// Counts sessions, messages and workers.
    Stats,
}

/// How every command prints.
#[derive(Clone, Copy, Debug, Args)]
struct OutputArgs {
    /// How to print.
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT",
        help_heading = "Output"
    )]
    output: Format,
    /// Prints tables without their header.
    #[arg(long, global = true, help_heading = "Output")]
    no_headers: bool,
    /// Prints ids only, one on a line, whatever the format.
    #[arg(short, long, global = true, help_heading = "Output")]
    quiet: bool,
}

/// One session, by its key or by its id.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct SessionArg {
    /// The key of the session.
    #[arg(value_name = "KEY")]
    key: Option<String>,
    /// The key of the session, as an option.
    #[arg(long = "key", value_name = "KEY")]
    key_option: Option<String>,
    /// The id of the session: one incarnation of its key.
    #[arg(long, value_name = "SESSION_ID")]
    id: Option<String>,
}

/// Which sessions.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct FilterArgs {
    /// Sessions with this label; repeat it to ask for several.
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<Pair>,
    /// Sessions of this project.
    #[arg(long)]
    project: Option<String>,
    /// Sessions whose key begins with this.
    #[arg(long)]
    key_prefix: Option<String>,
    /// Sessions of this pool.
    #[arg(long)]
    pool: Option<String>,
}

/// Reads the arguments of the process, and which server they name.
pub(crate) fn parse<I, T>(arguments: I) -> Result<(Cli, Target), clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let matches = Cli::command().try_get_matches_from(arguments)?;
    let cli = Cli::from_arg_matches(&matches)?;
    let target = Target::new(&cli.target, &matches);
    Ok((cli, target))
}

// === impl Cli ===

impl Cli {
    pub(crate) fn output(&self) -> Output {
        let OutputArgs {
            output,
            no_headers,
            quiet,
        } = self.output;
        let detail = match (quiet, no_headers) {
            (true, _) => Detail::Ids,
            (false, true) => Detail::Rows,
            (false, false) => Detail::RowsWithHeader,
        };
        Output::stdout(output, detail)
    }
}

// === impl SessionArg ===

impl SessionArg {
    pub(crate) fn session_ref(&self) -> pb::SessionRef {
        match (&self.id, self.key()) {
            (Some(id), _) => sessiond_client::session_id(id),
            (None, key) => sessiond_client::session_key(key.unwrap_or_default()),
        }
    }

    /// The key, if that is how the session is named.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref().or(self.key_option.as_deref())
    }
}

// === impl FilterArgs ===

impl FilterArgs {
    pub(crate) fn filter(&self) -> pb::SessionFilter {
        pb::SessionFilter {
            labels: values::map(&self.labels),
            project: self.project.clone().unwrap_or_default(),
            key_prefix: self.key_prefix.clone().unwrap_or_default(),
            pool: self.pool.clone().unwrap_or_default(),
            ..Default::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_session_is_named_in_one_way() {
        let named = |arguments: &[&str]| {
            let line = ["sessionctl", "session", "get"].iter().chain(arguments);
            let Command::Session(SessionCommand::Get(session)) = parse(line)?.0.command else {
                panic!("another command");
            };
            Ok(session.session_ref())
        };
        let key = sessiond_client::session_key("a");
        assert_eq!(named(&["a"]).ok(), Some(key.clone()));
        assert_eq!(named(&["--key", "a"]).ok(), Some(key));
        let id = sessiond_client::session_id("a");
        assert_eq!(named(&["--id", "a"]).ok(), Some(id));
        for bad in [&[][..], &["a", "--id", "a"], &["a", "--key", "a"]] {
            let error: clap::Error = named(bad).expect_err("two names or none");
            assert_eq!(error.exit_code(), 2, "{bad:?}");
        }
    }

    #[test]
    fn bad_values_are_named() {
        for (line, said) in [
            (vec!["session", "open", "--idle-timeout", "soon"], "`soon`"),
            (vec!["session", "open", "--label", "x"], "`x`"),
            (vec!["session", "end", "k", "--reason", "tired"], "`tired`"),
            (vec!["session", "wait", "k", "--for", "ever"], "ever"),
            (vec!["session", "ls", "-o", "yaml"], "yaml"),
            (vec!["watch", "--type", "nothing"], "`nothing`"),
            (vec!["watch", "--after", "-1"], "-1"),
            (vec!["work", "--nack", "maybe"], "`maybe`"),
        ] {
            let line = ["sessionctl"].into_iter().chain(line);
            let error = parse(line).expect_err("a bad value");
            assert!(error.to_string().contains(said), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn options_of_all_commands_may_stand_behind_the_command() {
        let (cli, target) = parse([
            "sessionctl",
            "session",
            "ls",
            "--addr",
            "h:1",
            "--namespace",
            "n",
            "-o",
            "jsonl",
        ])
        .expect("valid arguments");
        assert_eq!(target.addr, "h:1");
        assert_eq!(target.origin, crate::target::Origin::Flag);
        assert_eq!(target.namespace, "n");
        assert_eq!(cli.output().format(), Format::Jsonl);
    }
}
