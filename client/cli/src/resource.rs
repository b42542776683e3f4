//! `sessionctl resource`: processes and tmux sessions that must not outlive a session.
//!
//! Invariant: one call of the server for each command, but for lists and releases, with one for each page, and for a
//! release that waits. What this deliberately does not do: start or end anything itself; the server does.

mod gone;
mod release;

use clap::{Args, Subcommand};
use futures_util::TryStreamExt as _;
use sessiond_client::pb::declare_resource_request::Target;
use sessiond_client::{Client, pb};

use self::release::ReleaseArgs;
use crate::failure::Failure;
use crate::output::Output;

/// How many resources a page of a listing has.
const PAGE_SIZE: u32 = 500;

#[derive(Debug, Subcommand)]
pub(crate) enum ResourceCommand {
    /// Puts a resource on record before it is there. Start it with SESSIOND_RESOURCE set to the id that this prints.
    Declare(DeclareArgs),
    /// Says what a declared resource turned out to be: a process or tmux session that was started with SESSIOND_RESOURCE
    /// set to its id.
    Register(RegisterArgs),
    /// Puts a process or a tmux session on record that runs already: over the UNIX socket of the server, as its user, or on
    /// a node whose agent lets everybody (`--adopt`).
    Adopt(AdoptArgs),
    /// Lists resources: of one session, or what is not released in the namespace.
    Ls(ListArgs),
    /// Ends resources, and keeps trying until they are gone.
    Release(ReleaseArgs),
}

/// One session, by its key or by its id.
#[derive(Clone, Debug, Args)]
#[group(id = "owner", required = true, multiple = false)]
struct OwnerArg {
    /// The key of the session.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// The id of the session: one incarnation of its key.
    #[arg(long = "session", value_name = "SESSION_ID")]
    session_id: Option<String>,
}

/// What to declare.
#[derive(Debug, Args)]
pub(crate) struct DeclareArgs {
    #[command(flatten)]
    owner: OwnerArg,
    #[command(flatten)]
    terms: TermArgs,
    /// It is this process, which runs already, as with `adopt` [default: it is about to be started].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pid: Option<u32>,
}

/// What is said of a resource besides what it is.
#[derive(Debug, Args)]
struct TermArgs {
    /// What to call it, for lists and releases by name.
    #[arg(long)]
    name: Option<String>,
    /// It goes with the lease of this epoch, which the session has at the moment [default: with the session].
    #[arg(long, value_name = "EPOCH", value_parser = clap::value_parser!(u64).range(1..))]
    lease: Option<u64>,
    /// The machine it is on, by the name of its agent (`sessiond agent --node NAME`) [default: the server's own].
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Makes a repeat of this command harmless for 24 h.
    #[arg(long)]
    request_id: Option<String>,
}

/// What a resource is.
#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = true)]
struct TargetArgs {
    /// A process of the resource's machine, with all that descends from it.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "tmux")]
    pid: Option<u32>,
    /// A tmux session by its exact name, with all that runs in it.
    #[arg(long, value_name = "NAME")]
    tmux: Option<String>,
    /// The socket of its tmux server [default: the one that tmux takes].
    #[arg(long, value_name = "PATH", requires = "tmux")]
    socket: Option<String>,
}

/// What a declared resource turned out to be.
#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// The resource, as `declare` printed it.
    #[arg(value_name = "RESOURCE_ID")]
    resource_id: String,
    #[command(flatten)]
    target: TargetArgs,
}

/// What to take over.
#[derive(Debug, Args)]
pub(crate) struct AdoptArgs {
    #[command(flatten)]
    owner: OwnerArg,
    #[command(flatten)]
    terms: TermArgs,
    #[command(flatten)]
    target: TargetArgs,
}

/// Which resources to list.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Resources of the session with this key [default: of all sessions of the namespace].
    #[arg(long, value_name = "KEY", conflicts_with = "session_id")]
    key: Option<String>,
    /// Resources of the session with this id.
    #[arg(long = "session", value_name = "SESSION_ID")]
    session_id: Option<String>,
    /// Shows released ones too. For one session only.
    #[arg(long)]
    all: bool,
}

// === impl ResourceCommand ===

impl ResourceCommand {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let request = match self {
            Self::Declare(args) => args.request(),
            Self::Register(args) => args.request(),
            Self::Adopt(args) => args.request(),
            Self::Ls(args) => return args.run(client, output).await,
            Self::Release(args) => return args.run(client, output).await,
        };
        let answer = client.declare_resource(request).await?;
        output.answer(&answer, answer.resource.as_slice())
    }
}

// === impl OwnerArg ===

impl OwnerArg {
    fn session_ref(&self) -> pb::SessionRef {
        match (&self.session_id, &self.key) {
            (Some(id), _) => sessiond_client::session_id(id),
            (None, key) => sessiond_client::session_key(key.as_deref().unwrap_or_default()),
        }
    }
}

// === impl TermArgs ===

impl TermArgs {
    fn request(self, owner: &OwnerArg, target: Option<Target>) -> pb::DeclareResourceRequest {
        let scope = match self.lease {
            Some(_) => pb::ResourceScope::Lease,
            None => pb::ResourceScope::Unspecified,
        };
        pb::DeclareResourceRequest {
            r#ref: Some(owner.session_ref()),
            name: self.name.unwrap_or_default(),
            scope: scope.into(),
            epoch: self.lease.unwrap_or_default(),
            resource_id: String::new(),
            target,
            request_id: self.request_id.unwrap_or_default(),
            node: self.node.unwrap_or_default(),
        }
    }
}

// === impl TargetArgs ===

impl TargetArgs {
    fn target(self) -> Option<Target> {
        match (self.pid, self.tmux) {
            (Some(pid), _) => Some(process(pid)),
            (None, Some(session_name)) => Some(Target::Tmux(pb::TmuxTarget {
                socket: self.socket.unwrap_or_default(),
                session_name,
            })),
            (None, None) => None,
        }
    }
}

fn process(pid: u32) -> Target {
    Target::Process(pb::ProcessTarget { pid })
}

// === impl DeclareArgs, RegisterArgs, AdoptArgs ===

impl DeclareArgs {
    fn request(self) -> pb::DeclareResourceRequest {
        self.terms.request(&self.owner, self.pid.map(process))
    }
}

impl RegisterArgs {
    fn request(self) -> pb::DeclareResourceRequest {
        pb::DeclareResourceRequest {
            resource_id: self.resource_id,
            target: self.target.target(),
            ..Default::default()
        }
    }
}

impl AdoptArgs {
    fn request(self) -> pb::DeclareResourceRequest {
        self.terms.request(&self.owner, self.target.target())
    }
}

// === impl ListArgs ===

impl ListArgs {
    async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let request = self.request()?;
        let mut resources = std::pin::pin!(client.list_all_resources(request));
        if output.is_one_by_one() {
            while let Some(resource) = resources.try_next().await? {
                output.thing(&resource)?;
            }
            return Ok(());
        }
        let answer = pb::ListResourcesResponse {
            resources: resources.try_collect().await?,
            next_page_token: String::new(),
        };
        output.answer(&answer, &answer.resources)
    }

    fn request(self) -> Result<pb::ListResourcesRequest, Failure> {
        let session = match (self.session_id, self.key) {
            (Some(id), _) => Some(sessiond_client::session_id(id)),
            (None, Some(key)) => Some(sessiond_client::session_key(key)),
            (None, None) => None,
        };
        if self.all && session.is_none() {
            let why = "`--all` shows released resources of one session: name it by `--key` or `--session`";
            return Err(Failure::Usage(why.to_owned()));
        }
        let unreleased = [
            pb::ResourceState::Held,
            pb::ResourceState::Releasing,
            pb::ResourceState::Lingering,
        ];
        Ok(pb::ListResourcesRequest {
            r#ref: session,
            states: if self.all {
                Vec::new()
            } else {
                unreleased.map(i32::from).into()
            },
            page_size: PAGE_SIZE,
            page_token: String::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Command, parse};

    fn command(arguments: &[&str]) -> Result<ResourceCommand, i32> {
        let line = ["sessionctl", "resource"].iter().chain(arguments);
        let (cli, _) = parse(line).map_err(|error| error.exit_code())?;
        let Command::Resource(command) = cli.command else {
            panic!("another command");
        };
        Ok(command)
    }

    fn request(arguments: &[&str]) -> Result<pb::DeclareResourceRequest, i32> {
        Ok(match command(arguments)? {
            ResourceCommand::Declare(args) => args.request(),
            ResourceCommand::Register(args) => args.request(),
            ResourceCommand::Adopt(args) => args.request(),
            other @ (ResourceCommand::Ls(_) | ResourceCommand::Release(_)) => panic!("{other:?}"),
        })
    }

    #[test]
    fn what_is_declared_is_about_to_be_started_unless_a_pid_is_named() {
        let expected = pb::DeclareResourceRequest {
            r#ref: Some(sessiond_client::session_key("k")),
            name: "shell".to_owned(),
            scope: pb::ResourceScope::Lease.into(),
            epoch: 7,
            request_id: "r".to_owned(),
            ..Default::default()
        };
        let line = [
            "declare",
            "--key",
            "k",
            "--name",
            "shell",
            "--lease",
            "7",
            "--request-id",
            "r",
        ];
        assert_eq!(request(&line), Ok(expected));
        let expected = pb::DeclareResourceRequest {
            r#ref: Some(sessiond_client::session_id("s")),
            target: Some(process(41)),
            ..Default::default()
        };
        assert_eq!(
            request(&["declare", "--session", "s", "--pid", "41"]),
            Ok(expected)
        );
    }

    #[test]
    fn what_is_registered_or_adopted_is_a_process_or_a_tmux_session() {
        let tmux = Target::Tmux(pb::TmuxTarget {
            socket: "/tmp/s".to_owned(),
            session_name: "a".to_owned(),
        });
        let registered = pb::DeclareResourceRequest {
            resource_id: "r1".to_owned(),
            target: Some(tmux.clone()),
            ..Default::default()
        };
        let line = ["register", "r1", "--tmux", "a", "--socket", "/tmp/s"];
        assert_eq!(request(&line), Ok(registered));
        let adopted = pb::DeclareResourceRequest {
            r#ref: Some(sessiond_client::session_key("k")),
            target: Some(tmux),
            ..Default::default()
        };
        let line = ["adopt", "--key", "k", "--tmux", "a", "--socket", "/tmp/s"];
        assert_eq!(request(&line), Ok(adopted));
        for bad in [
            &["declare"][..],
            &["declare", "--key", "k", "--session", "s"],
            &["declare", "--key", "k", "--pid", "0"],
            &["declare", "--key", "k", "--lease", "0"],
            &["register", "r1"],
            &["register", "r1", "--pid", "1", "--tmux", "a"],
            &["register", "r1", "--socket", "/s"],
            &["register", "--pid", "1"],
            &["adopt", "--key", "k"],
            &["adopt", "--pid", "1"],
        ] {
            assert_eq!(request(bad), Err(2), "{bad:?}");
        }
    }

    #[test]
    fn released_resources_are_listed_of_one_session() {
        let list = |arguments: &[&str]| {
            let line = [&["ls"], arguments].concat();
            let ResourceCommand::Ls(args) = command(&line)? else {
                panic!("another command");
            };
            args.request()
                .map_err(|failure| i32::from(failure.exit().code()))
        };
        let all = list(&[]).expect("valid arguments");
        assert_eq!((all.r#ref, all.states), (None, vec![1, 2, 3]));
        let of_one = list(&["--key", "k", "--all"]).expect("valid arguments");
        assert_eq!(of_one.r#ref, Some(sessiond_client::session_key("k")));
        assert!(of_one.states.is_empty());
        assert_eq!(list(&["--all"]), Err(2));
        assert_eq!(list(&["--key", "k", "--session", "s"]), Err(2));
    }
}
