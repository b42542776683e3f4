//! The link of a node's agent: everything that is said on it is understood as it was meant, and what is not in order is
//! refused with all that is wrong with it.

use std::path::PathBuf;

use sessiond_core::ids::{ResourceNo, SessionNo};
use sessiond_core::resource::{
    Attempt, LingeringCause, ProcessIdentity, ReleaseOutcome, ResourceToken, Target, TmuxIdentity,
};
use sessiond_core::time::Span;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::agent_link_request::Frame;

use crate::env::{Marked, Presence, ReleaseTerms, Sought, Unregistered};
use crate::nodes::ask::{Ask, Outcome};
use crate::wire::faults::Invalid;
use crate::wire::parse::agent_link::{LinkFrame, command, frame};
use crate::wire::show;

fn token() -> ResourceToken {
    ResourceToken {
        session: SessionNo(4),
        number: ResourceNo(2),
        salt: 0xab,
    }
}

fn process(pid: u32, inode: Option<u64>) -> ProcessIdentity {
    ProcessIdentity {
        boot_id: "boot".to_owned(),
        pid,
        start_ticks: 77,
        inode,
        uid: 1_000,
        group: 1,
        session: 2,
    }
}

fn tmux() -> Target {
    Target::Tmux(Box::new(TmuxIdentity {
        socket: "/tmp/s".to_owned(),
        server: process(9, Some(5)),
        session: 3,
        created: 12,
        name: "agent:1".to_owned(),
        panes: vec![process(10, None), process(11, Some(1))],
        private: true,
    }))
}

fn targets() -> [Target; 3] {
    [
        Target::Process(process(41, Some(5))),
        Target::Process(process(41, None)),
        tmux(),
    ]
}

fn terms(grace: u64, weak_identities: bool) -> ReleaseTerms {
    ReleaseTerms {
        grace: Span(grace),
        verify: Span(1_000),
        weak_identities,
    }
}

#[test]
fn every_question_is_understood_as_it_was_meant() {
    let mut asks = vec![
        Ask::ListMarked,
        Ask::Release {
            token: token(),
            target: Target::Marked,
            terms: terms(0, true),
        },
        Ask::Look {
            subjects: targets().map(|target| (token(), target)).to_vec(),
            terms: ReleaseTerms {
                weak_identities: true,
                ..ReleaseTerms::default()
            },
        },
    ];
    asks.extend(targets().map(|target| Ask::Release {
        token: token(),
        target,
        terms: terms(2_000, false),
    }));
    let tmux = |socket: Option<&str>| Sought::Tmux {
        socket: socket.map(PathBuf::from),
        name: "agent 1".to_owned(),
    };
    for sought in [Sought::Process(41), tmux(None), tmux(Some("/tmp/s"))] {
        for marker in [None, Some(token())] {
            let sought = sought.clone();
            asks.push(Ask::Register { sought, marker });
        }
    }
    for (number, ask) in (1..).zip(asks) {
        let sent = show::agent_link::command(number, &ask);
        assert_eq!(command(sent), Ok((number, ask)));
    }
}

#[test]
fn every_answer_is_understood_as_it_was_meant() {
    let gone = [
        ReleaseOutcome::Killed,
        ReleaseOutcome::AlreadyGone,
        ReleaseOutcome::Mismatch,
    ];
    let mut outcomes: Vec<Outcome> = gone
        .map(|outcome| Outcome::Released(Attempt::Gone(outcome)))
        .to_vec();
    for cause in [LingeringCause::Denied, LingeringCause::TimedOut] {
        outcomes.push(Outcome::Released(Attempt::Left {
            cause,
            detail: "process 4 left".to_owned(),
        }));
    }
    outcomes.push(Outcome::Looked(vec![
        Presence::There,
        Presence::Gone,
        Presence::Unknown,
    ]));
    outcomes.extend(targets().map(|target| Outcome::Registered(Ok(target))));
    outcomes.push(Outcome::Registered(Err(Unregistered::NotEntitled {
        why: "not marked".to_owned(),
    })));
    for field in ["process.pid", "tmux.socket", "tmux.session_name"] {
        let why = "is wrong".to_owned();
        outcomes.push(Outcome::Registered(Err(Unregistered::Unfit { field, why })));
    }
    outcomes.push(Outcome::Marked(vec![Marked {
        pid: 5,
        start_ticks: 6,
        marker: "rs-4-2-00000000000000ab".to_owned(),
    }]));
    for (number, outcome) in (1..).zip(outcomes) {
        let answer = show::agent_link::answer(number, &outcome);
        let said = pb::AgentLinkRequest {
            frame: Some(Frame::Answer(answer)),
        };
        let command = number;
        assert_eq!(frame(said), Ok(LinkFrame::Answer { command, outcome }));
    }
}

fn fields(invalid: Invalid) -> Vec<String> {
    let violations = invalid.violations.into_iter();
    violations.map(|violation| violation.field).collect()
}

fn answered(outcome: pb::agent_answer::Outcome) -> Vec<String> {
    let answer = pb::AgentAnswer {
        command_number: 1,
        outcome: Some(outcome),
    };
    let said = pb::AgentLinkRequest {
        frame: Some(Frame::Answer(answer)),
    };
    fields(frame(said).unwrap_err())
}

#[test]
fn an_answer_that_says_nothing_or_too_much_is_refused() {
    use pb::agent_answer::Outcome as Answer;
    let released = |outcome: pb::ResourceOutcome, cause: pb::LingeringCause| {
        answered(Answer::Released(pb::AgentReleased {
            outcome: outcome.into(),
            lingering_cause: cause.into(),
            detail: String::new(),
        }))
    };
    // Nobody but an operator lets go of what may be there, and nobody but the server knows that an agent is away.
    assert_eq!(
        released(pb::ResourceOutcome::Forced, pb::LingeringCause::Unspecified),
        ["answer.released.outcome"]
    );
    for cause in [
        pb::LingeringCause::Unspecified,
        pb::LingeringCause::NodeAway,
    ] {
        assert_eq!(
            released(pb::ResourceOutcome::Unspecified, cause),
            ["answer.released.lingering_cause"]
        );
    }
    let registered = |identity| {
        let result = Some(pb::agent_registered::Result::Identity(
            pb::ResourceIdentity { identity },
        ));
        answered(Answer::Registered(pb::AgentRegistered { result }))
    };
    assert_eq!(registered(None), ["answer.registered.identity.identity"]);
    let process = |pid, boot_id: &str| pb::ProcessIdentity {
        boot_id: boot_id.to_owned(),
        pid,
        ..pb::ProcessIdentity::default()
    };
    let identity = pb::resource_identity::Identity::Process(process(0, ""));
    assert_eq!(
        registered(Some(identity)),
        ["answer.registered.identity.process.pid"]
    );
    let identity = pb::resource_identity::Identity::Tmux(pb::TmuxIdentity {
        socket: "s".repeat(108),
        panes: vec![process(1, ""); 33],
        ..pb::TmuxIdentity::default()
    });
    let at = |field: &str| format!("answer.registered.identity.tmux.{field}");
    assert_eq!(
        registered(Some(identity)),
        [at("socket"), at("server"), at("panes")]
    );
    let many = vec![pb::MarkedProcess::default(); 4_097];
    let marked = Answer::Marked(pb::AgentMarked { processes: many });
    assert_eq!(answered(marked), ["answer.marked.processes"]);
    let presences = vec![0; 65];
    let looked = Answer::Looked(pb::AgentLooked { presences });
    assert_eq!(answered(looked), ["answer.looked.presences"]);
}

#[test]
fn long_words_of_an_agent_are_cut_and_not_refused() {
    let long = "ä".repeat(5_000);
    let answer = pb::AgentAnswer {
        command_number: 1,
        outcome: Some(pb::agent_answer::Outcome::Released(pb::AgentReleased {
            lingering_cause: pb::LingeringCause::Timeout.into(),
            detail: long,
            ..pb::AgentReleased::default()
        })),
    };
    let said = pb::AgentLinkRequest {
        frame: Some(Frame::Answer(answer)),
    };
    let Ok(LinkFrame::Answer {
        outcome: Outcome::Released(Attempt::Left { detail, .. }),
        ..
    }) = frame(said)
    else {
        panic!("it is taken");
    };
    assert!(!detail.is_empty() && detail.len() <= 4_096);
}
