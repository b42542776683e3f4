//! What comes over the link of a node's agent: its frames to the server, and the server's questions to it.
//!
//! A frame that breaks the contract ends the link, with all that is wrong with it. What an agent says of another machine
//! cannot be checked here, only bounded.

use prost_types::Duration;
use sessiond_core::ids::{InstanceId, MachineId, NodeName};
use sessiond_core::limits::{ID_BYTES_MAX, PANES_MAX, RESOURCES_PER_SESSION_MAX, TEXT_BYTES_MAX};
use sessiond_core::resource::{
    Attempt, LingeringCause, ProcessIdentity, ReleaseOutcome, ResourceToken, Target, TmuxIdentity,
};
use sessiond_core::time::Span;
use sessiond_proto::v1 as pb;

use super::declare_resource::{resource_id, sought_process, sought_tmux};
use super::{enumeration, number, text, time};
use crate::env::{Marked, Presence, ReleaseTerms, Unregistered};
use crate::limits::{
    BOOT_ID_BYTES_MAX, MARKED_MAX, RELEASE_GRACE_MAX, RELEASE_VERIFY_MAX, SOCKET_PATH_BYTES_MAX,
    UNFIT_BYTES_MAX,
};
use crate::nodes::ask::{Ask, Outcome};
use crate::wire::faults::{Faults, Invalid};

/// The fields of a DeclareResourceRequest that an agent may find fault with.
const TARGET_FIELDS: [&str; 3] = ["process.pid", "tmux.socket", "tmux.session_name"];

/// What an agent says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LinkFrame {
    /// Who it is.
    Hello(Hello),
    /// It is alive.
    Heartbeat,
    /// What came of a command.
    Answer {
        /// Which.
        command: u64,
        /// What.
        outcome: Outcome,
    },
}

/// Who an agent is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    /// The node it is the agent of.
    pub(crate) node: NodeName,
    /// This run of it.
    pub(crate) instance: InstanceId,
    /// The machine it runs on, as far as it can tell.
    pub(crate) machine: Option<MachineId>,
    /// What it is built from; may be empty.
    pub(crate) build_id: String,
}

/// One frame of an agent.
pub(crate) fn frame(request: pb::AgentLinkRequest) -> Result<LinkFrame, Invalid> {
    use pb::agent_link_request::Frame;
    Faults::collect(|faults| match request.frame {
        Some(Frame::Hello(given)) => {
            let hello = faults.within("hello", |faults| hello(faults, given));
            hello.map(LinkFrame::Hello)
        }
        Some(Frame::Heartbeat(pb::AgentHeartbeat {})) => Some(LinkFrame::Heartbeat),
        Some(Frame::Answer(given)) => {
            let command = given.command_number;
            let outcome = faults.within("answer", |faults| outcome(faults, given.outcome));
            outcome.map(|outcome| LinkFrame::Answer { command, outcome })
        }
        None => {
            faults.invalid("frame", "must be set");
            None
        }
    })
}

/// A question to an agent, with its number.
pub(crate) fn command(given: pb::AgentCommand) -> Result<(u64, Ask), Invalid> {
    use pb::agent_command::Command;
    let number = given.command_number;
    let ask = Faults::collect(|faults| match given.command {
        Some(Command::Release(asked)) => faults.within("release", |faults| release(faults, asked)),
        Some(Command::Look(asked)) => faults.within("look", |faults| look(faults, asked)),
        Some(Command::Register(asked)) => {
            faults.within("register", |faults| register(faults, asked))
        }
        Some(Command::ListMarked(pb::AgentListMarked {})) => Some(Ask::ListMarked),
        None => {
            faults.not_built("command");
            None
        }
    })?;
    Ok((number, ask))
}

fn hello(faults: &mut Faults, given: pb::AgentHello) -> Option<Hello> {
    let node = text::required(faults, "node", given.node, NodeName::parse);
    let instance = text::required(faults, "instance_id", given.instance_id, InstanceId::parse);
    let machine = text::optional(faults, "machine_id", given.machine_id, MachineId::parse);
    let build_id = text::name(faults, "build_id", given.build_id);
    Some(Hello {
        node: node?,
        instance: instance?,
        machine,
        build_id,
    })
}

// === answers ===

fn outcome(faults: &mut Faults, given: Option<pb::agent_answer::Outcome>) -> Option<Outcome> {
    use pb::agent_answer::Outcome as Answer;
    match given {
        Some(Answer::Released(given)) => {
            let attempt = faults.within("released", |faults| released(faults, given));
            attempt.map(Outcome::Released)
        }
        Some(Answer::Looked(given)) => faults.within("looked", |faults| {
            let seen = given.presences;
            number::items(faults, "presences", seen.len(), RESOURCES_PER_SESSION_MAX);
            Some(Outcome::Looked(seen.into_iter().map(presence).collect()))
        }),
        Some(Answer::Registered(given)) => faults.within("registered", |faults| {
            registered(faults, given.result).map(Outcome::Registered)
        }),
        Some(Answer::Marked(given)) => faults.within("marked", |faults| {
            let processes = given.processes;
            number::items(faults, "processes", processes.len(), MARKED_MAX);
            let marked = processes.into_iter().take(MARKED_MAX).enumerate();
            let marked = marked.map(|(index, one)| {
                faults.within_item("processes", index, |faults| marked_process(faults, one))
            });
            Some(Outcome::Marked(marked.collect()))
        }),
        None => {
            faults.invalid("outcome", "must be set");
            None
        }
    }
}

fn released(faults: &mut Faults, given: pb::AgentReleased) -> Option<Attempt> {
    use pb::LingeringCause as Cause;
    let gone = enumeration::known(faults, "outcome", given.outcome, "ResourceOutcome")?;
    let outcome = match gone {
        pb::ResourceOutcome::Killed => ReleaseOutcome::Killed,
        pb::ResourceOutcome::AlreadyGone => ReleaseOutcome::AlreadyGone,
        pb::ResourceOutcome::Mismatch => ReleaseOutcome::Mismatch,
        pb::ResourceOutcome::Forced => {
            faults.invalid("outcome", "must not be FORCED: that is an operator's word");
            return None;
        }
        pb::ResourceOutcome::Unspecified => {
            let cause = given.lingering_cause;
            let cause = enumeration::known(faults, "lingering_cause", cause, "LingeringCause")?;
            let cause = match cause {
                Cause::Denied => LingeringCause::Denied,
                Cause::Timeout => LingeringCause::TimedOut,
                Cause::Unspecified | Cause::NodeAway => {
                    let description = "must be DENIED or TIMEOUT unless `outcome` is set";
                    faults.invalid("lingering_cause", description);
                    return None;
                }
            };
            let detail = cut(given.detail, TEXT_BYTES_MAX);
            return Some(Attempt::Left { cause, detail });
        }
    };
    Some(Attempt::Gone(outcome))
}

/// What a later version of an agent may say is not known here.
fn presence(given: i32) -> Presence {
    match pb::AgentPresence::try_from(given) {
        Ok(pb::AgentPresence::There) => Presence::There,
        Ok(pb::AgentPresence::Gone) => Presence::Gone,
        Ok(pb::AgentPresence::Unspecified) | Err(_) => Presence::Unknown,
    }
}

fn registered(
    faults: &mut Faults,
    given: Option<pb::agent_registered::Result>,
) -> Option<Result<Target, Unregistered>> {
    use pb::agent_registered::Result as Registered;
    match given {
        Some(Registered::Identity(given)) => {
            faults.within("identity", |faults| identity(faults, given).map(Ok))
        }
        Some(Registered::Unfit(given)) => {
            let why = cut(given.why, UNFIT_BYTES_MAX);
            if given.not_entitled {
                return Some(Err(Unregistered::NotEntitled { why }));
            }
            let field = TARGET_FIELDS
                .into_iter()
                .find(|field| *field == given.field);
            let field = field.unwrap_or("target");
            Some(Err(Unregistered::Unfit { field, why }))
        }
        None => {
            faults.invalid("result", "must be set");
            None
        }
    }
}

fn marked_process(faults: &mut Faults, given: pb::MarkedProcess) -> Marked {
    Marked {
        pid: given.pid,
        start_ticks: given.start_ticks,
        marker: text::bounded(faults, "resource_id", given.resource_id, ID_BYTES_MAX),
    }
}

/// The beginning of a text that a person wrote no part of.
fn cut(text: String, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text;
    }
    // A character has four bytes at most.
    text.chars().take(bytes_max / 4).collect()
}

// === questions ===

fn release(faults: &mut Faults, asked: pb::AgentRelease) -> Option<Ask> {
    let token = token(faults, asked.resource_id);
    let target = match asked.identity {
        None => Some(Target::Marked),
        Some(given) => faults.within("identity", |faults| identity(faults, given)),
    };
    let grace = span(faults, "grace", asked.grace, RELEASE_GRACE_MAX);
    let verify = span(faults, "verify", asked.verify, RELEASE_VERIFY_MAX);
    Some(Ask::Release {
        token: token?,
        target: target?,
        terms: ReleaseTerms {
            grace,
            verify,
            weak_identities: asked.weak_identities,
        },
    })
}

fn look(faults: &mut Faults, asked: pb::AgentLook) -> Option<Ask> {
    let given = asked.subjects;
    number::items(faults, "subjects", given.len(), RESOURCES_PER_SESSION_MAX);
    let given = given
        .into_iter()
        .take(RESOURCES_PER_SESSION_MAX)
        .enumerate();
    let subjects: Option<Vec<(ResourceToken, Target)>> = given
        .map(|(index, one)| faults.within_item("subjects", index, |faults| subject(faults, one)))
        .collect();
    Some(Ask::Look {
        subjects: subjects?,
        terms: ReleaseTerms {
            weak_identities: asked.weak_identities,
            ..ReleaseTerms::default()
        },
    })
}

fn subject(faults: &mut Faults, given: pb::AgentSubject) -> Option<(ResourceToken, Target)> {
    let token = token(faults, given.resource_id);
    let target = match given.identity {
        Some(given) => faults.within("identity", |faults| identity(faults, given)),
        None => {
            faults.invalid("identity", "must be set");
            None
        }
    };
    Some((token?, target?))
}

fn register(faults: &mut Faults, asked: pb::AgentRegister) -> Option<Ask> {
    use pb::agent_register::Target as Named;
    let marker = match asked.resource_id.is_empty() {
        true => None,
        false => Some(token(faults, asked.resource_id)?),
    };
    let sought = match asked.target {
        Some(Named::Process(process)) => sought_process(faults, &process),
        Some(Named::Tmux(tmux)) => sought_tmux(faults, tmux),
        None => {
            faults.not_built("target");
            None
        }
    };
    Some(Ask::Register {
        sought: sought?,
        marker,
    })
}

/// A name of a resource of ours. Any other text is of a server that knows more than this agent, which would look for
/// another mark than is meant, and find nothing.
fn token(faults: &mut Faults, given: String) -> Option<ResourceToken> {
    let token = resource_id(faults, "resource_id", given)?;
    if token == ResourceToken::default() {
        faults.not_built("resource_id");
        return None;
    }
    Some(token)
}

/// A span that may be none.
fn span(faults: &mut Faults, field: &str, given: Option<Duration>, max: Span) -> Span {
    let some = given.filter(|given| *given != Duration::default());
    time::span(faults, field, some, max).unwrap_or_default()
}

// === identities ===

fn identity(faults: &mut Faults, given: pb::ResourceIdentity) -> Option<Target> {
    use pb::resource_identity::Identity;
    match given.identity {
        Some(Identity::Process(given)) => {
            let process = faults.within("process", |faults| process(faults, given));
            process.map(Target::Process)
        }
        Some(Identity::Tmux(given)) => {
            let tmux = faults.within("tmux", |faults| tmux(faults, given));
            tmux.map(|tmux| Target::Tmux(Box::new(tmux)))
        }
        None => {
            faults.invalid("identity", "must be set");
            None
        }
    }
}

fn process(faults: &mut Faults, given: pb::ProcessIdentity) -> Option<ProcessIdentity> {
    if given.pid == 0 || i32::try_from(given.pid).is_err() {
        let (max, pid) = (i32::MAX, given.pid);
        faults.invalid("pid", format!("must be 1 to {max}, got {pid}"));
        return None;
    }
    Some(ProcessIdentity {
        boot_id: text::bounded(faults, "boot_id", given.boot_id, BOOT_ID_BYTES_MAX),
        pid: given.pid,
        start_ticks: given.start_ticks,
        inode: given.inode,
        uid: given.uid,
        group: given.group,
        session: given.session,
    })
}

fn tmux(faults: &mut Faults, given: pb::TmuxIdentity) -> Option<TmuxIdentity> {
    let socket = text::bounded(faults, "socket", given.socket, SOCKET_PATH_BYTES_MAX);
    let name = text::bounded(faults, "name", given.name, ID_BYTES_MAX);
    let server = match given.server {
        Some(server) => faults.within("server", |faults| process(faults, server)),
        None => {
            faults.invalid("server", "must be set");
            None
        }
    };
    number::items(faults, "panes", given.panes.len(), PANES_MAX);
    let panes = given.panes.into_iter().take(PANES_MAX).enumerate();
    let panes: Option<Vec<ProcessIdentity>> = panes
        .map(|(index, pane)| faults.within_item("panes", index, |faults| process(faults, pane)))
        .collect();
    Some(TmuxIdentity {
        socket,
        server: server?,
        session: given.session,
        created: given.created,
        name,
        panes: panes?,
        private: given.private,
    })
}
