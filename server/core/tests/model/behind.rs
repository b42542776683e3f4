//! The rules of sessions that wait for what an earlier one has outside in the reference model.
//!
//! Written from the design's rules 5 to 7. Nobody remembers here which session of a key has something left: it is found
//! by looking at all sessions of the key. What this deliberately does not do: say when something is gone, or who of a
//! line is next.

use sessiond_core::command::Open;
use sessiond_core::ids::{PoolName, SessionKey};

use super::marks::outside::Outside;
use super::state::{Behind, Model, Session, State};
use super::told::Expected;

impl Model {
    /// The session of a key that is over or about to be, and of which something is left.
    pub(crate) fn left_of(&self, key: &SessionKey) -> Option<u64> {
        let of_key = self.sessions.iter().filter(|s| s.key.as_ref() == Some(key));
        let left = of_key.filter(|s| !s.is_live() && s.unreleased() > 0);
        let left: Vec<u64> = left.map(|s| s.no).collect();
        assert!(left.len() <= 1, "{left:?} of {key} have something left");
        left.first().copied()
    }

    /// Whom a new session waits for. `old` is the one that gives way to it, as it was.
    pub(crate) fn behind_of(
        &self,
        open: &Open,
        pool: &PoolName,
        old: Option<&Session>,
    ) -> Option<Behind> {
        let Some(old) = old else {
            let left = self.left_of(open.key.as_ref()?);
            return left.map(|predecessor| Behind {
                predecessor,
                inherits: false,
            });
        };
        let same_pool = old.pool == *pool;
        match &old.state {
            State::Queued(turn) => turn.behind.map(|behind| Behind {
                inherits: behind.inherits && same_pool,
                ..behind
            }),
            State::Active | State::Draining(_) | State::Ended(_) => (old.unreleased() > 0)
                .then_some(Behind {
                    predecessor: old.no,
                    inherits: same_pool,
                }),
        }
    }

    /// A new session waits behind another.
    pub(crate) fn mark_behind(&mut self, behind: Behind, pool: &PoolName, old: Option<&Session>) {
        self.marks.hit(Outside::Behind);
        let predecessor = self.session(behind.predecessor);
        let drains = matches!(predecessor.state, State::Draining(_));
        let elsewhere = predecessor.pool != *pool;
        let waited = old.is_some_and(|old| old.no != behind.predecessor);
        self.marks.hit_if(drains, Outside::BehindDraining);
        self.marks.hit_if(elsewhere, Outside::BehindElsewhere);
        self.marks.hit_if(waited, Outside::SuccessorOfWaiter);
        let moved = waited && old.is_some_and(|old| old.pool != *pool);
        self.marks
            .hit_if(moved, Outside::SuccessorOfWaiterElsewhere);
    }

    /// Nothing of a session is left outside: whoever waited for that goes on.
    pub(crate) fn nothing_left(&mut self, no: u64, out: &mut Expected) {
        let waits = |s: &&Session| s.behind().is_some_and(|behind| behind.predecessor == no);
        let waiting: Vec<u64> = self.sessions.iter().filter(waits).map(|s| s.no).collect();
        for waiter in waiting {
            let State::Queued(turn) = &mut self.session_mut(waiter).state else {
                panic!("who waits is QUEUED");
            };
            let behind = turn.behind.take().expect("it waits for somebody");
            if behind.inherits {
                self.mark_passed(waiter);
                self.admit(waiter, out);
            } else {
                self.marks.hit(Outside::BehindInLine);
            }
        }
    }

    /// One to whom a slot would have passed ends before, so the slot will be anybody's.
    pub(crate) fn mark_heir_ended(&mut self, no: u64) {
        let behind = self.session(no).behind();
        let inherits = behind.is_some_and(|behind| behind.inherits);
        self.marks.hit_if(inherits, Outside::HeirEnded);
    }

    /// A slot passes on.
    fn mark_passed(&mut self, to: u64) {
        let pool = self.session(to).pool.clone();
        let ahead = self.line(&pool).iter().any(|no| *no < to);
        self.marks.hit_if(ahead, Outside::SlotPassed);
        let full = self.is_full(&pool, 0);
        self.marks.hit_if(full, Outside::SlotPassedOverfull);
    }

    /// A session has a slot although one that was opened sooner waits for something else than a slot.
    pub(crate) fn mark_overtaken(&mut self, pool: &PoolName, by: u64) {
        let before = self
            .sessions
            .iter()
            .filter(|s| s.no < by && s.pool == *pool);
        let overtaken = before.filter(|s| s.behind().is_some()).count() > 0;
        self.marks.hit_if(overtaken, Outside::Overtaken);
    }
}
