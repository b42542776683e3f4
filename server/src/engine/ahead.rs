//! Takes what callers have read ahead for their commands, if it still holds.
//!
//! Invariant: a row is taken only if it is what the store has, or the view knows better. The engine alone changes rows, and
//! the view keeps what was changed until it forgets; so what is as of the last time it forgot, or later, was not changed
//! since or is known as it became. Everything else is loaded as if nobody had read it.

use sessiond_core::view::View;
use sessiond_store::store::Store;

use super::inbox::Envelope;

/// From when on what was read may be taken.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// How often the view had forgotten something when that was looked at last.
    forgot: u64,
    /// How many commits there had been then: what was read with fewer may be out of date.
    commits: u64,
}

impl Ahead {
    /// Takes what was read for the commands of an envelope.
    pub(super) fn take(&self, view: &mut View, envelope: &mut Envelope) {
        let read = std::mem::take(&mut envelope.ahead);
        if read.commits() < self.commits || view.forgot() != self.forgot {
            return;
        }
        for (key, row) in read.into_rows() {
            view.load_row(key, Some(row));
        }
    }

    /// Looks whether the view has forgotten something, after a commit.
    pub(super) fn committed(&mut self, store: &Store, view: &View) {
        if view.forgot() != self.forgot {
            self.forgot = view.forgot();
            self.commits = store.commits();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sessiond_core::change::Change;
    use sessiond_core::command::Command;
    use sessiond_core::ids::{Namespace, SessionId, SessionNo};
    use sessiond_core::limits::Policy;
    use sessiond_core::rows::{Row, RowKey};
    use sessiond_store::kv::memory::MemoryKv;
    use sessiond_store::snapshot::ReadAhead;

    use super::*;

    struct Desk {
        store: Store,
        view: View,
        ahead: Ahead,
    }

    impl Desk {
        fn new() -> Self {
            Self {
                store: Store::new(Arc::new(MemoryKv::default())),
                view: View::new(Arc::new(Policy::default())),
                ahead: Ahead::default(),
            }
        }

        fn decide(&mut self, no: Option<u64>) -> Change {
            let change = Change::Row(id(), no.map(|no| Row::SessionId(SessionNo(no))));
            self.view.apply(std::slice::from_ref(&change), Vec::new());
            change
        }

        fn commit(&mut self, change: Change) {
            self.store.commit(&[change]).expect("memory does not fail");
            self.view.committed();
            self.ahead.committed(&self.store, &self.view);
        }

        /// What the view has for it after somebody brought along a row as of so many commits.
        fn bring(&mut self, commits: u64, no: u64) -> Option<Option<Row>> {
            let mut envelope = Envelope::silent(Command::Restore(Vec::new()));
            let rows = vec![(id(), Row::SessionId(SessionNo(no)))];
            envelope.ahead = ReadAhead::new(commits, rows);
            self.ahead.take(&mut self.view, &mut envelope);
            self.view.row(&id()).map(|row| row.cloned())
        }
    }

    fn id() -> RowKey {
        let namespace = Namespace::parse("here").expect("a namespace");
        RowKey::SessionId(namespace, SessionId::parse("one").expect("an id"))
    }

    fn is(no: u64) -> Option<Option<Row>> {
        Some(Some(Row::SessionId(SessionNo(no))))
    }

    #[test]
    fn what_nobody_changed_is_taken() {
        let mut desk = Desk::new();
        assert_eq!(desk.bring(0, 1), is(1));
    }

    #[test]
    fn what_is_known_is_not_replaced() {
        let mut desk = Desk::new();
        let change = desk.decide(Some(2));
        assert_eq!(desk.bring(0, 1), is(2), "changed by the open batch");
        desk.commit(change);
        assert_eq!(desk.bring(0, 1), is(2), "changed by an earlier one");
    }

    #[test]
    fn what_was_read_before_a_change_that_is_forgotten_is_not_taken() {
        let mut desk = Desk::new();
        let made = desk.decide(Some(1));
        desk.commit(made);
        let removed = desk.decide(None);
        desk.commit(removed);
        assert_eq!(desk.bring(1, 1), None, "it was removed after it was read");
        desk.view.forget_rows();
        assert_eq!(
            desk.bring(2, 1),
            None,
            "nobody looked since the view forgot"
        );
        desk.ahead.committed(&desk.store, &desk.view);
        assert_eq!(desk.bring(1, 1), None);
        assert_eq!(desk.bring(2, 1), is(1));
    }
}
