//! Failures: what keeps sessions from being exported, and of which of them nobody was told yet.
//!
//! Invariant: of as many sessions as are remembered each is told once for each reason, however often it is tried; that
//! there are more is told once, until none fails any more. What is remembered is not forgotten for others, or all of a
//! crowd would be told again with each try. What this deliberately does not do: log.

use std::collections::BTreeMap;

use sessiond_core::ids::SessionNo;

use crate::limits::EXPORT_FAILURES_KEPT;

/// Why sessions stay, by session.
#[derive(Debug, Default)]
pub(super) struct Failures {
    why: BTreeMap<SessionNo, String>,
    /// Whether there were more than are remembered.
    overflowed: bool,
}

/// What is to be told of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// It and its reason.
    This,
    /// That there are more than are told one by one.
    More,
    /// Nothing new.
    Nothing,
}

impl Failures {
    /// Remembers why a session stays, if there is room; answers what is to be told of it.
    pub(super) fn add(&mut self, no: SessionNo, why: &str) -> Telling {
        if self.why.get(&no).is_some_and(|before| before == why) {
            return Telling::Nothing;
        }
        if self.why.len() < EXPORT_FAILURES_KEPT || self.why.contains_key(&no) {
            self.why.insert(no, why.to_owned());
            return Telling::This;
        }
        if self.overflowed {
            return Telling::Nothing;
        }
        self.overflowed = true;
        Telling::More
    }

    /// Forgets a session, which stays no longer.
    pub(super) fn remove(&mut self, no: SessionNo) {
        self.why.remove(&no);
        self.overflowed &= !self.why.is_empty();
    }

    /// What kept a session when it was tried last, as far as that is remembered.
    pub(super) fn of(&self, no: SessionNo) -> Option<String> {
        self.why.get(&no).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: u64 = EXPORT_FAILURES_KEPT as u64;

    /// What is told of so many sessions that all fail.
    fn told(failures: &mut Failures, sessions: u64, why: &str) -> Vec<Telling> {
        let all = (0..sessions).map(|no| failures.add(SessionNo(no), why));
        all.filter(|telling| *telling != Telling::Nothing).collect()
    }

    #[test]
    fn each_is_told_once_for_each_reason() {
        let mut failures = Failures::default();
        assert_eq!(told(&mut failures, 3, "full"), [Telling::This; 3]);
        assert_eq!(told(&mut failures, 3, "full"), []);
        assert_eq!(told(&mut failures, 3, "broken"), [Telling::This; 3]);
        failures.remove(SessionNo(1));
        assert_eq!(failures.of(SessionNo(1)), None);
        assert_eq!(failures.of(SessionNo(2)).as_deref(), Some("broken"));
        assert_eq!(told(&mut failures, 3, "broken"), [Telling::This]);
    }

    #[test]
    fn a_crowd_is_not_told_again_with_each_try() {
        let mut failures = Failures::default();
        let first = told(&mut failures, MANY + 2, "full");
        assert_eq!(first.len(), EXPORT_FAILURES_KEPT + 1);
        assert_eq!(first.last(), Some(&Telling::More));
        for _ in 0..3 {
            assert_eq!(told(&mut failures, MANY + 2, "full"), []);
        }
        failures.remove(SessionNo(0));
        assert_eq!(failures.add(SessionNo(MANY), "full"), Telling::This, "room");
        for no in 0..=MANY {
            failures.remove(SessionNo(no));
        }
        let again = told(&mut failures, MANY + 2, "full");
        assert_eq!(again.last(), Some(&Telling::More), "another time");
    }
}
