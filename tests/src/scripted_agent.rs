//! An agent that ends nothing: what becomes of a release is a test's to say, and when.
//!
//! Invariant: what was asked is counted, and a resource that once went is gone for whoever asks again, as a process is.
//! What this deliberately does not do: look at the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use sessiond::env::{Agent, Marked, Presence, Proof, ReleaseTerms, Sought, Unregistered};
use sessiond_core::resource::{Attempt, LingeringCause, ReleaseOutcome, ResourceToken, Target};

/// How long a release is held at most, so that a test that fails ends.
const HELD_MAX: Duration = Duration::from_secs(60);

/// What becomes of releases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// What is released goes.
    #[default]
    Goes,
    /// It must not be signalled.
    Denied,
    /// It goes, and nobody hears of it before the answer is another one.
    GoesUnheard,
    /// Nothing is answered before the answer is another one.
    Waits,
}

#[derive(Debug, Default)]
struct Script {
    answer: Answer,
    /// How often each was asked for.
    asked: BTreeMap<ResourceToken, usize>,
    /// Those that went.
    went: BTreeSet<ResourceToken>,
}

/// The agent; clones share one script.
#[derive(Clone, Debug, Default)]
pub struct ScriptedAgent(Arc<(Mutex<Script>, Condvar)>);

impl ScriptedAgent {
    /// Has releases do this from now on, those that wait too.
    pub fn answer(&self, answer: Answer) {
        self.script().answer = answer;
        self.0.1.notify_all();
    }

    /// How often releases were asked for.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.script().asked.values().sum()
    }

    /// How many resources went.
    #[must_use]
    pub fn went(&self) -> usize {
        self.script().went.len()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.0.lock().expect("no holder panics")
    }
}

impl Agent for ScriptedAgent {
    fn release(&self, token: ResourceToken, _target: &Target, _terms: &ReleaseTerms) -> Attempt {
        let mut script = self.script();
        *script.asked.entry(token).or_default() += 1;
        if script.went.contains(&token) {
            return Attempt::Gone(ReleaseOutcome::AlreadyGone);
        }
        if script.answer == Answer::GoesUnheard {
            script.went.insert(token);
        }
        let waits =
            |script: &mut Script| matches!(script.answer, Answer::Waits | Answer::GoesUnheard);
        let waited = self.0.1.wait_timeout_while(script, HELD_MAX, waits);
        let (mut script, _) = waited.expect("no holder panics");
        match script.answer {
            Answer::Denied => Attempt::Left {
                cause: LingeringCause::Denied,
                detail: "the test says no".to_owned(),
            },
            Answer::Goes | Answer::GoesUnheard | Answer::Waits => {
                script.went.insert(token);
                Attempt::Gone(ReleaseOutcome::Killed)
            }
        }
    }

    fn presence(&self, _token: ResourceToken, _target: &Target, _terms: &ReleaseTerms) -> Presence {
        Presence::Unknown
    }

    fn marked(&self) -> Vec<Marked> {
        Vec::new()
    }

    fn register(&self, _sought: &Sought, _proof: Proof) -> Result<Target, Unregistered> {
        Err(Unregistered::NotEntitled {
            why: "nothing is found on this machine".to_owned(),
        })
    }
}
