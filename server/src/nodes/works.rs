//! What a node's agent has under way, and what it did that is not known to be on record.
//!
//! Invariant: what is under way is not begun a second time. A release that is asked for again is carried out again, for
//! something may have come since; if nothing had, it went as it went the first time, until that is noted. A release of what
//! is known by more than it was is another one. What this deliberately does not do: carry anything out, or send anything.

use std::collections::BTreeMap;

use sessiond_core::resource::{Attempt, LingeringCause, ReleaseOutcome, ResourceToken, Target};
use sessiond_proto::v1 as pb;

use super::ask::{Ask, Outcome};
use crate::env::Unregistered;
use crate::limits::{NODE_ASKERS_MAX, NODE_FRAMES_MAX, NODE_KEPT_MAX};
use crate::wire::faults::Invalid;
use crate::wire::{parse, show};

/// The commands of one agent.
#[derive(Debug, Default)]
pub struct Works {
    under_way: BTreeMap<WorkNo, Work>,
    begun: u64,
    /// In the order in which they were done.
    kept: Vec<Kept>,
}

/// One thing under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkNo(u64);

#[derive(Debug)]
struct Work {
    ask: Ask,
    /// Who asked, in other words before and after a restart of the server.
    commands: Vec<u64>,
}

/// A resource that is gone, as long as that may not be on record.
#[derive(Debug)]
struct Kept {
    token: ResourceToken,
    target: Target,
    outcome: Outcome,
    commands: Vec<u64>,
}

/// What becomes of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Begin {
    /// It is to be carried out.
    CarryOut(WorkNo, Ask),
    /// It is under way already.
    UnderWay,
    /// It cannot be begun.
    Refused {
        /// Why.
        why: String,
        /// What is to be sent, if there is an answer that says so.
        answer: Option<Box<pb::AgentAnswer>>,
    },
}

impl Works {
    /// Takes a command.
    pub fn begin(&mut self, command: pb::AgentCommand) -> Begin {
        let refusal = refusal_of(&command);
        let (number, ask) = match parse::agent_link::command(command) {
            Ok(parsed) => parsed,
            Err(invalid) => return refusal(in_words(&invalid)),
        };
        let mut works = self.under_way.values_mut();
        if let Some(work) = works.find(|work| work.commands.contains(&number) || work.ask == ask) {
            if !work.commands.contains(&number) {
                work.commands.push(number);
                // Nobody waits for the oldest ones any more.
                let old = work.commands.len().saturating_sub(NODE_ASKERS_MAX);
                work.commands.drain(..old);
            }
            return Begin::UnderWay;
        }
        if self.under_way.len() >= NODE_FRAMES_MAX {
            return refusal("too much is under way".to_owned());
        }
        self.begun += 1;
        let no = WorkNo(self.begun);
        let commands = vec![number];
        let work = Work {
            ask: ask.clone(),
            commands,
        };
        self.under_way.insert(no, work);
        Begin::CarryOut(no, ask)
    }

    /// Something is done; answers with what is to be sent.
    pub fn done(&mut self, no: WorkNo, outcome: Outcome) -> Vec<pb::AgentAnswer> {
        let Some(work) = self.under_way.remove(&no) else {
            return Vec::new();
        };
        let outcome = match &work.ask {
            Ask::Release { token, target, .. } => {
                self.keep(*token, target, outcome, &work.commands)
            }
            Ask::Look { .. } | Ask::Register { .. } | Ask::ListMarked => outcome,
        };
        let answers = work.commands.iter();
        let answers = answers.map(|number| show::agent_link::answer(*number, &outcome));
        answers.collect()
    }

    /// Keeps what came of a release that went well; answers with how it went, which nobody may know of yet.
    fn keep(
        &mut self,
        token: ResourceToken,
        target: &Target,
        outcome: Outcome,
        commands: &[u64],
    ) -> Outcome {
        let same = |kept: &Kept| kept.token == token && kept.target == *target;
        let before = self.kept.iter().position(same);
        let before = before.map(|place| self.kept.remove(place));
        let Outcome::Released(Attempt::Gone(how)) = &outcome else {
            return outcome;
        };
        let outcome = match (how, before) {
            (ReleaseOutcome::AlreadyGone, Some(before)) => before.outcome,
            (_, _) => outcome,
        };
        if self.kept.len() >= NODE_KEPT_MAX {
            // It is gone all the same; who asks again is told that it was.
            self.kept.remove(0);
        }
        self.kept.push(Kept {
            token,
            target: target.clone(),
            outcome: outcome.clone(),
            commands: commands.to_vec(),
        });
        outcome
    }

    /// What came of these commands is on record.
    pub fn noted(&mut self, noted: &pb::AgentNoted) {
        let is_noted = |kept: &Kept| {
            let mut commands = kept.commands.iter();
            commands.any(|command| noted.command_numbers.contains(command))
        };
        self.kept.retain(|kept| !is_noted(kept));
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }
}

/// What becomes of a command that is not begun: whoever asked to end or to register something is told why not.
fn refusal_of(command: &pb::AgentCommand) -> impl Fn(String) -> Begin + use<> {
    use pb::agent_command::Command;
    let number = command.command_number;
    let kind = command.command.as_ref();
    let is_release = matches!(kind, Some(Command::Release(_)));
    let is_register = matches!(kind, Some(Command::Register(_)));
    move |why| {
        let outcome = if is_release {
            let (cause, detail) = (LingeringCause::Denied, why.clone());
            Some(Outcome::Released(Attempt::Left { cause, detail }))
        } else if is_register {
            let (field, why) = ("target", why.clone());
            Some(Outcome::Registered(Err(Unregistered::Unfit { field, why })))
        } else {
            None
        };
        let answer = outcome.map(|outcome| Box::new(show::agent_link::answer(number, &outcome)));
        Begin::Refused { why, answer }
    }
}

fn in_words(invalid: &Invalid) -> String {
    let violations = invalid.violations.iter();
    let mut words: Vec<String> = violations
        .map(|one| format!("{} {}", one.field, one.description))
        .collect();
    let not_built = invalid.not_built.iter();
    words.extend(not_built.map(|field| format!("{field} is not known to this agent")));
    words.join("; ")
}

#[cfg(test)]
mod tests {
    use sessiond_core::ids::{ResourceNo, SessionNo};
    use sessiond_core::resource::ProcessIdentity;

    use super::*;
    use crate::env::ReleaseTerms;

    fn release(target: Target) -> Ask {
        Ask::Release {
            token: ResourceToken {
                session: SessionNo(3),
                number: ResourceNo(1),
                salt: 7,
            },
            target,
            terms: ReleaseTerms::default(),
        }
    }

    fn process() -> Target {
        Target::Process(ProcessIdentity {
            boot_id: "b".to_owned(),
            pid: 5,
            start_ticks: 9,
            inode: Some(1),
            uid: 0,
            group: 5,
            session: 5,
        })
    }

    fn sent(number: u64, ask: &Ask) -> pb::AgentCommand {
        show::agent_link::command(number, ask)
    }

    fn begun(works: &mut Works, number: u64, ask: &Ask) -> WorkNo {
        match works.begin(sent(number, ask)) {
            Begin::CarryOut(no, parsed) => {
                assert_eq!(parsed, *ask, "it is understood as it was meant");
                no
            }
            other @ (Begin::UnderWay | Begin::Refused { .. }) => panic!("{other:?}"),
        }
    }

    const KILLED: Outcome = Outcome::Released(Attempt::Gone(ReleaseOutcome::Killed));

    #[test]
    fn what_is_under_way_is_not_begun_again_and_answers_all_who_asked() {
        let (mut works, ask) = (Works::default(), release(process()));
        let no = begun(&mut works, 1, &ask);
        assert_eq!(works.begin(sent(1, &ask)), Begin::UnderWay);
        assert_eq!(works.begin(sent(2, &ask)), Begin::UnderWay);
        let answers = works.done(no, KILLED);
        let commands: Vec<u64> = answers.iter().map(|answer| answer.command_number).collect();
        assert_eq!(commands, [1, 2]);
        assert!(works.is_idle());
    }

    fn gone(outcome: ReleaseOutcome) -> Outcome {
        Outcome::Released(Attempt::Gone(outcome))
    }

    #[test]
    fn what_went_is_told_as_it_went_until_that_is_noted() {
        let (mut works, ask) = (Works::default(), release(process()));
        let no = begun(&mut works, 1, &ask);
        let first = works.done(no, KILLED);
        // A server that was started anew asks under another number, and it is looked for again.
        let no = begun(&mut works, 9, &ask);
        let again = works.done(no, gone(ReleaseOutcome::AlreadyGone));
        let told = (again[0].command_number, &again[0].outcome);
        assert_eq!(told, (9, &first[0].outcome));
        works.noted(&pb::AgentNoted {
            command_numbers: vec![9],
        });
        let no = begun(&mut works, 10, &ask);
        let later = works.done(no, gone(ReleaseOutcome::AlreadyGone));
        assert_ne!(later[0].outcome, first[0].outcome);
    }

    #[test]
    fn what_came_after_it_went_is_not_said_to_be_gone() {
        let (mut works, ask) = (Works::default(), release(process()));
        let no = begun(&mut works, 1, &ask);
        works.done(no, KILLED);
        let no = begun(&mut works, 2, &ask);
        let left = Outcome::Released(Attempt::Left {
            cause: LingeringCause::TimedOut,
            detail: String::new(),
        });
        let told = works.done(no, left.clone());
        assert_eq!(told, [show::agent_link::answer(2, &left)]);
    }

    #[test]
    fn what_did_not_go_and_what_is_known_better_since_is_tried_again() {
        let mut works = Works::default();
        let marked = release(Target::Marked);
        let no = begun(&mut works, 1, &marked);
        works.done(no, gone(ReleaseOutcome::AlreadyGone));
        let known = release(process());
        let no = begun(&mut works, 2, &known);
        let left = Outcome::Released(Attempt::Left {
            cause: LingeringCause::TimedOut,
            detail: String::new(),
        });
        works.done(no, left);
        begun(&mut works, 3, &known);
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let mut works = Works::default();
        for number in 0..=NODE_KEPT_MAX as u64 {
            let Ask::Release {
                mut token,
                target,
                terms,
            } = release(process())
            else {
                unreachable!("a release is one");
            };
            token.salt = number;
            let ask = Ask::Release {
                token,
                target,
                terms,
            };
            let no = begun(&mut works, number, &ask);
            works.done(no, KILLED);
        }
        assert_eq!(works.kept.len(), NODE_KEPT_MAX);
    }

    #[test]
    fn a_mark_of_another_version_is_not_looked_for() {
        let mut works = Works::default();
        let mut command = sent(1, &release(process()));
        if let Some(pb::agent_command::Command::Release(release)) = &mut command.command {
            release.resource_id = "rs2-whatever".to_owned();
        }
        let refused = works.begin(command);
        let Begin::Refused { why, answer } = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(why, "release.resource_id is not known to this agent");
        let left = Outcome::Released(Attempt::Left {
            cause: LingeringCause::Denied,
            detail: why,
        });
        let told = show::agent_link::answer(1, &left);
        assert_eq!(answer, Some(Box::new(told)), "and said so");
        assert!(works.is_idle());
    }
}
