//! What goes over the link of a node's agent: questions one way, answers the other.

use sessiond_core::resource::{
    Attempt, LingeringCause, ProcessIdentity, ResourceToken, Target, TmuxIdentity,
};
use sessiond_proto::v1 as pb;

use super::resource::{lingering_cause, outcome};
use super::time::duration;
use crate::env::{Marked, Presence, Sought, Unregistered};
use crate::limits::MARKED_MAX;
use crate::nodes::ask::{Ask, Outcome};

/// A question, by its number.
pub(crate) fn command(number: u64, ask: &Ask) -> pb::AgentCommand {
    use pb::agent_command::Command;
    let command = match ask {
        Ask::Release {
            token,
            target,
            terms,
        } => Command::Release(pb::AgentRelease {
            resource_id: token.to_string(),
            identity: identity(target),
            grace: Some(duration(terms.grace)),
            verify: Some(duration(terms.verify)),
            weak_identities: terms.weak_identities,
        }),
        Ask::Look { subjects, terms } => Command::Look(pb::AgentLook {
            subjects: subjects.iter().map(subject).collect(),
            weak_identities: terms.weak_identities,
        }),
        Ask::Register { sought, marker } => Command::Register(pb::AgentRegister {
            resource_id: marker.map_or_else(String::new, |token: ResourceToken| token.to_string()),
            target: Some(named(sought)),
        }),
        Ask::ListMarked => Command::ListMarked(pb::AgentListMarked {}),
    };
    pb::AgentCommand {
        command_number: number,
        command: Some(command),
    }
}

/// An answer to the question of this number.
pub(crate) fn answer(number: u64, given: &Outcome) -> pb::AgentAnswer {
    use pb::agent_answer::Outcome as Answer;
    let answer = match given {
        Outcome::Released(attempt) => Answer::Released(released(attempt)),
        Outcome::Looked(seen) => Answer::Looked(pb::AgentLooked {
            presences: seen.iter().map(|one| presence(*one).into()).collect(),
        }),
        Outcome::Registered(result) => Answer::Registered(pb::AgentRegistered {
            result: Some(registered(result)),
        }),
        Outcome::Marked(processes) => Answer::Marked(pb::AgentMarked {
            processes: processes.iter().take(MARKED_MAX).map(marked).collect(),
        }),
    };
    pb::AgentAnswer {
        command_number: number,
        outcome: Some(answer),
    }
}

fn subject((token, target): &(ResourceToken, Target)) -> pb::AgentSubject {
    pb::AgentSubject {
        resource_id: token.to_string(),
        identity: identity(target),
    }
}

/// What tells something from all else; nothing, if only its mark is known.
fn identity(target: &Target) -> Option<pb::ResourceIdentity> {
    use pb::resource_identity::Identity;
    let identity = match target {
        Target::Marked => return None,
        Target::Process(known) => Identity::Process(process(known)),
        Target::Tmux(known) => Identity::Tmux(tmux(known)),
    };
    Some(pb::ResourceIdentity {
        identity: Some(identity),
    })
}

fn process(known: &ProcessIdentity) -> pb::ProcessIdentity {
    pb::ProcessIdentity {
        boot_id: known.boot_id.clone(),
        pid: known.pid,
        start_ticks: known.start_ticks,
        inode: known.inode,
        uid: known.uid,
        group: known.group,
        session: known.session,
    }
}

fn tmux(known: &TmuxIdentity) -> pb::TmuxIdentity {
    pb::TmuxIdentity {
        socket: known.socket.clone(),
        server: Some(process(&known.server)),
        session: known.session,
        created: known.created,
        name: known.name.clone(),
        panes: known.panes.iter().map(process).collect(),
        private: known.private,
    }
}

fn named(sought: &Sought) -> pb::agent_register::Target {
    match sought {
        Sought::Process(pid) => pb::agent_register::Target::Process(pb::ProcessTarget {
            pid: pid.unsigned_abs(),
        }),
        Sought::Tmux { socket, name } => {
            let socket = socket.as_ref().map(|path| path.to_string_lossy());
            pb::agent_register::Target::Tmux(pb::TmuxTarget {
                socket: socket.map_or_else(String::new, std::borrow::Cow::into_owned),
                session_name: name.clone(),
            })
        }
    }
}

fn released(attempt: &Attempt) -> pb::AgentReleased {
    match attempt {
        Attempt::Gone(how) => pb::AgentReleased {
            outcome: outcome(*how).into(),
            ..pb::AgentReleased::default()
        },
        Attempt::Left { cause, detail } => left(*cause, detail),
    }
}

fn left(cause: LingeringCause, detail: &str) -> pb::AgentReleased {
    pb::AgentReleased {
        lingering_cause: lingering_cause(cause).into(),
        detail: detail.to_owned(),
        ..pb::AgentReleased::default()
    }
}

fn presence(seen: Presence) -> pb::AgentPresence {
    match seen {
        Presence::There => pb::AgentPresence::There,
        Presence::Gone => pb::AgentPresence::Gone,
        Presence::Unknown => pb::AgentPresence::Unspecified,
    }
}

fn registered(result: &Result<Target, Unregistered>) -> pb::agent_registered::Result {
    use pb::agent_registered::Result as Registered;
    let (not_entitled, field, why) = match result {
        Ok(target) => {
            let known = identity(target).expect("what was looked for and found has an identity");
            return Registered::Identity(known);
        }
        Err(Unregistered::NotEntitled { why }) => (true, "", why),
        Err(Unregistered::Unfit { field, why }) => (false, *field, why),
    };
    Registered::Unfit(pb::AgentUnfit {
        not_entitled,
        why: why.clone(),
        field: field.to_owned(),
    })
}

fn marked(process: &Marked) -> pb::MarkedProcess {
    pb::MarkedProcess {
        pid: process.pid,
        start_ticks: process.start_ticks,
        resource_id: process.marker.clone(),
    }
}
