//! `sessiond agent`: looks after one machine other than the server's.
//!
//! It finds out which processes and tmux sessions are meant, and ends those that the server says, by the code that the
//! server has for its own machine. Invariant: it acts only on what comes over its link while that is alive, and drops one on
//! which nothing came for a lease; it outlives the server and finds it again. What this deliberately does not do: decide
//! that anything is to go, or keep anything on disk: what it did and nobody noted is found gone.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use sessiond::env::{Agent, Machine};
use sessiond::logging::{self, LogFormat};
use sessiond::nodes::ask::{Adoption, Outcome};
use sessiond::nodes::works::{WorkNo, Works};
use sessiond_client::{Client, Error, pb};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;

use super::run::connect::ConnectArgs;
use super::{Signals, exit};

mod link;

use link::{Link, Parted};

/// Names the node.
pub(crate) const NODE_ENV: &str = "SESSIOND_NODE";
/// Between two attempts to link, at first and at last.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long what is under way is finished for when this process is to stop: what a release takes by default.
const STOP_WITHIN: Duration = Duration::from_millis(3_500);
/// Where a machine says what it is, whatever it is called.
const MACHINE_ID: &str = "/etc/machine-id";

const EXIT_CODES: &str = "Exit codes:
  0  stopped by TERM or INT
  1  the server refuses this agent, and no repeat would change that
  2  usage

Once the node is its own, a line on stderr reads `linked as NODE`.";

/// The arguments of `sessiond agent`.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct AgentArgs {
    /// What this machine is called: resources are declared on it by this name. One agent has it at a time; a second one
    /// waits until the first is gone.
    #[arg(long, env = NODE_ENV, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    node: String,
    #[command(flatten)]
    connect: ConnectArgs,
    /// Let every caller of the server have processes and tmux sessions of this agent's user registered that do not carry the
    /// mark of their resource, and so have them ended some day. Without it only what was started with the mark is.
    #[arg(long)]
    adopt: bool,
    /// What is logged to stderr: error, warn, info, debug, trace, or a filter directive.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: String,
}

/// One run of an agent.
#[derive(Debug)]
struct NodeAgent {
    client: Client,
    hello: pb::AgentHello,
    agent: Arc<dyn Agent>,
    adoption: Adoption,
    works: Works,
    running: JoinSet<(WorkNo, Outcome)>,
}

/// Serves until a signal; answers with the exit code.
pub(crate) async fn run(args: AgentArgs) -> u8 {
    if let Err(why) = logging::start(LogFormat::Auto, &args.log_level) {
        eprintln!("error: {why}");
        return exit::USAGE;
    }
    let mut signals = Signals::take();
    let mut agent = match NodeAgent::new(&args) {
        Ok(agent) => agent,
        Err(error) => {
            eprintln!("error: {error}");
            return exit::USAGE;
        }
    };
    let mut pause = PAUSE_MIN;
    let mut said = String::new();
    loop {
        let wait = match agent.serve(&mut signals).await {
            Parted::Stopped => return exit::CLEAN,
            Parted::Refused(error) => {
                eprintln!("error: {error}");
                return exit::UNCLEAN;
            }
            Parted::Broken { why, linked, wait } => {
                if linked {
                    pause = PAUSE_MIN;
                    said.clear();
                }
                // Once for each cause: a server may be away for long.
                if said != why {
                    tracing::warn!(node = args.node, why, "not linked; trying again");
                    said = why;
                }
                wait.unwrap_or(pause).clamp(PAUSE_MIN, PAUSE_MAX)
            }
        };
        pause = (pause * 2).min(PAUSE_MAX);
        tokio::select! {
            () = signals.next() => return exit::CLEAN,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

impl NodeAgent {
    fn new(args: &AgentArgs) -> Result<Self, Error> {
        Ok(Self {
            client: args.connect.client().build()?,
            hello: pb::AgentHello {
                node: args.node.clone(),
                instance_id: uuid::Uuid::now_v7().to_string(),
                machine_id: machine_id(),
                build_id: format!("sessiond {}", sessiond::app::VERSION),
            },
            agent: Machine::env().agent,
            adoption: if args.adopt {
                Adoption::OwnUser
            } else {
                Adoption::Marked
            },
            works: Works::default(),
            running: JoinSet::new(),
        })
    }

    /// Links once, and serves until the link is over.
    async fn serve(&mut self, signals: &mut Signals) -> Parted {
        let link = tokio::select! {
            link = Link::open(&self.client, self.hello.clone()) => link,
            () = signals.next() => return Parted::Stopped,
        };
        let mut link = match link {
            Ok(link) => link,
            Err(error) => return Parted::of(error, false),
        };
        let parted = self.follow(&mut link, signals).await;
        if matches!(parted, Parted::Stopped) {
            self.finish(link).await;
        }
        parted
    }

    /// Serves a link until it is over, or somebody wants this process to stop.
    async fn follow(&mut self, link: &mut Link, signals: &mut Signals) -> Parted {
        loop {
            let told = tokio::select! {
                () = signals.next() => return Parted::Stopped,
                Some(done) = self.running.join_next() => {
                    let (no, outcome) = done.expect("an attempt does not panic");
                    let answers = self.works.done(no, outcome);
                    link.answer(answers)
                }
                frame = link.frame() => match frame {
                    Ok(frame) => self.take(link, frame),
                    Err(parted) => return parted,
                },
            };
            if let Err(parted) = told {
                return parted;
            }
        }
    }

    /// What is under way is finished, and told.
    async fn finish(&mut self, mut link: Link) {
        let finishing = async {
            while !self.works.is_idle()
                && let Some(done) = self.running.join_next().await
            {
                let (no, outcome) = done.expect("an attempt does not panic");
                let answers = self.works.done(no, outcome);
                if link.answer(answers).is_err() {
                    return;
                }
            }
            link.close().await;
        };
        if tokio::time::timeout(STOP_WITHIN, finishing).await.is_err() {
            tracing::warn!(
                "something is still being released; whoever has the node next goes on with it"
            );
        }
    }
}

/// What tells what this agent sees from what others see: the machine and the user, since it can tell nothing of processes
/// of another. The machine's own id is not given away: that is nobody's business, says its manual.
fn machine_id() -> String {
    let id = std::fs::read_to_string(MACHINE_ID).unwrap_or_default();
    let id = id.trim();
    // Images have one that says nothing until they are booted.
    if id.is_empty() || id == "uninitialized" {
        return String::new();
    }
    let mut hash = Sha256::new();
    hash.update("sessiond node ");
    hash.update(id);
    hash.update(rustix::process::getuid().as_raw().to_le_bytes());
    let hash: [u8; 32] = hash.finalize().into();
    hash.iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
