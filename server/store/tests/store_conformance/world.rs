//! A server without a server: commands decided over a store, loaded and committed as the engine does it.
//!
//! A steady world loads what is asked for and commits every decision. A forgetful one loads less or more than asked,
//! commits when it likes and forgets what it loaded at any time. Both must come to the same answers and the same rows.

use std::sync::Arc;

use fastrand::Rng;
use sessiond_core::change::Change;
use sessiond_core::command::Command;
use sessiond_core::decide::{Stop, decide};
use sessiond_core::ids::Epoch;
use sessiond_core::limits::Policy;
use sessiond_core::rejection::Rejection;
use sessiond_core::reply::Reply;
use sessiond_core::rows::Read;
use sessiond_core::time::{EngineTime, Now};
use sessiond_core::view::View;
use sessiond_store::kv::Kv;
use sessiond_store::store::Store;

/// Rounds of loading that no decision needs, not even in a forgetful world.
const ROUNDS_MAX: usize = 100_000;

/// How a world treats what it has loaded.
#[derive(Debug)]
pub(crate) enum Habit {
    Steady,
    Forgetful(Rng),
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) answer: Result<Reply, Box<Rejection>>,
    pub(crate) changes: Vec<Change>,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) kv: Arc<dyn Kv>,
    pub(crate) store: Store,
    view: View,
    uncommitted: Vec<Change>,
    habit: Habit,
}

/// Limits so low that a short story meets them.
fn policy() -> Policy {
    let mut policy = Policy {
        queue_messages_max: 12,
        max_attempts: 2,
        ..Policy::default()
    };
    policy.all_pools.max_sessions = Some(3);
    policy
}

impl World {
    pub(crate) fn new(kv: Arc<dyn Kv>, habit: Habit) -> Self {
        Self {
            store: Store::new(Arc::clone(&kv)),
            kv,
            view: View::new(Arc::new(policy())),
            uncommitted: Vec::new(),
            habit,
        }
    }

    /// Decides one command and, in its own time, commits it.
    pub(crate) fn tell(&mut self, command: &Command, now: Now) -> Outcome {
        for _ in 0..ROUNDS_MAX {
            match decide(&self.view, command, now) {
                Ok(decision) => {
                    self.view.apply(&decision.changes, decision.presence);
                    self.uncommitted.extend(decision.changes.iter().cloned());
                    self.commit_maybe();
                    return Outcome {
                        answer: Ok(without_payloads(decision.reply)),
                        changes: decision.changes,
                    };
                }
                Err(Stop::Rejected(rejection)) => {
                    return Outcome {
                        answer: Err(rejection),
                        changes: Vec::new(),
                    };
                }
                Err(Stop::Missing(reads)) => self.load(reads),
            }
        }
        panic!("a decision asks without end: {command:?}");
    }

    /// Commits what is decided, and now and then forgets what was loaded for it.
    pub(crate) fn commit(&mut self) {
        self.store.commit(&self.uncommitted).expect("commit");
        self.uncommitted.clear();
        let forget = match &mut self.habit {
            Habit::Steady => false,
            Habit::Forgetful(rng) => rng.bool(),
        };
        if forget {
            self.view.forget_rows();
        } else {
            self.view.committed();
        }
    }

    /// Leases whose alarm has come.
    pub(crate) fn lapsing(&self, now: EngineTime) -> Vec<Epoch> {
        self.view.presence.due(now, 8)
    }

    fn commit_maybe(&mut self) {
        let now = match &mut self.habit {
            Habit::Steady => true,
            Habit::Forgetful(rng) => rng.u8(..4) == 0,
        };
        if now {
            self.commit();
        }
    }

    fn load(&mut self, reads: Vec<Read>) {
        let (reads, forget) = match &mut self.habit {
            Habit::Steady => (reads, false),
            Habit::Forgetful(rng) => {
                let some = reads.into_iter().filter_map(|read| distort(rng, read));
                (some.collect(), rng.u8(..24) == 0)
            }
        };
        self.store.load(&mut self.view, &reads).expect("load");
        if forget {
            // What is decided and not committed is not loaded, so it cannot be forgotten.
            self.view.forget_rows();
            self.view.apply(&self.uncommitted, Vec::new());
        }
    }
}

/// A reply has the payloads that happen to be at hand, and whoever sends it reads the others from the store.
fn without_payloads(mut reply: Reply) -> Reply {
    if let Reply::Claimed { deliveries, .. } = &mut reply {
        for delivery in deliveries {
            delivery.payload = None;
        }
    }
    reply
}

/// A read as a bad memory has it: not at all, too short or too long.
fn distort(rng: &mut Rng, read: Read) -> Option<Read> {
    if rng.u8(..4) == 0 {
        return None;
    }
    Some(match read {
        Read::Row(key) => Read::Row(key),
        Read::KeyBlocks(queue) => Read::KeyBlocks(queue),
        Read::Scan { scan, limit } => Read::Scan {
            scan,
            limit: rng.usize(..=limit * 2),
        },
    })
}
