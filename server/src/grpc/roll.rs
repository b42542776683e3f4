//! The roll: which sessions of each namespace may be live, in the order in which they were opened.
//!
//! Sessions are numbered over all namespaces and stay on record when they have ended, so looking for the
//! live ones of one namespace would read everything there ever was, for each call anew. The roll reads
//! each session once and keeps its number while it may be live. It is never wrong by keeping too many:
//! whoever uses it reads the rows, and what has ended never lives again. What it deliberately does not
//! do: say what a session is, or survive a restart.
//!
//! It is bounded by twice what lives, or [`ROLL_SESSIONS_MIN`] numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sessiond_core::ids::{Namespace, SessionNo};
use sessiond_core::rows::{Row, RowKey};
use sessiond_core::session::SessionRow;
use sessiond_store::fault::Fault;
use sessiond_store::snapshot::Rows;
use tonic::Status;

use super::context::{Context, faulted};
use crate::limits::{END_SESSIONS_CHUNK, ROLL_SESSIONS_MIN};

/// The roll.
#[derive(Debug, Default)]
pub(super) struct Roll {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The last session that was read: all up to it are on the roll or have ended.
    through: SessionNo,
    living: BTreeMap<Namespace, BTreeSet<SessionNo>>,
    /// What was left when those that have ended were looked for the last time.
    pruned_to: usize,
}

/// Some of the sessions of a namespace.
#[derive(Debug)]
pub(super) struct Chunk {
    /// The last one that was looked at.
    pub(super) last: SessionNo,
    /// Those that live, in order.
    pub(super) living: Vec<Arc<SessionRow>>,
}

impl Roll {
    /// The next sessions of a namespace behind `after`, up to `until`; none if there are no more. Reads on
    /// only when it knows of none.
    pub(super) async fn next(
        &self,
        context: &Context,
        namespace: &Namespace,
        after: SessionNo,
        until: SessionNo,
    ) -> Result<Option<Chunk>, Status> {
        let mut complete = false;
        loop {
            if let Some(chunk) = self.known(context, namespace, after, until)? {
                return Ok(Some(chunk));
            }
            if complete {
                return Ok(None);
            }
            let rows = context.rows()?;
            // What it completes is looked at once more: another call may have read the last of it.
            complete = self
                .read_on(&rows, until)
                .map_err(|fault| faulted(&fault))?;
            drop(rows);
            tokio::task::yield_now().await;
        }
    }

    /// Takes everything off that has ended, whosever it is, if the roll has grown long.
    pub(super) async fn prune(&self, context: &Context) -> Result<(), Status> {
        let namespaces: Vec<Namespace> = {
            let mut known = self.lock();
            if !known.is_crowded() {
                return Ok(());
            }
            // Noted before it is done, so that calls at the same time do not do it too.
            known.pruned_to = known.sessions();
            known.living.keys().cloned().collect()
        };
        let until = SessionNo(u64::MAX);
        for namespace in namespaces {
            let mut after = SessionNo(0);
            while let Some(chunk) = self.known(context, &namespace, after, until)? {
                after = chunk.last;
                tokio::task::yield_now().await;
            }
        }
        let mut known = self.lock();
        known.pruned_to = known.sessions();
        Ok(())
    }

    /// The next sessions that are on the roll.
    fn known(
        &self,
        context: &Context,
        namespace: &Namespace,
        after: SessionNo,
        until: SessionNo,
    ) -> Result<Option<Chunk>, Status> {
        let numbers = self.lock().after(namespace, after, until);
        let Some(last) = numbers.last().copied() else {
            return Ok(None);
        };
        let living = self.living(&context.rows()?, namespace, &numbers);
        Ok(Some(Chunk {
            last,
            living: living.map_err(|fault| faulted(&fault))?,
        }))
    }

    /// Reads one chunk; answers with whether `until` is reached. The lock is held meanwhile, so that calls
    /// at the same time share the work instead of doing it twice.
    fn read_on(&self, rows: &Rows, until: SessionNo) -> Result<bool, Fault> {
        let mut known = self.lock();
        if known.through >= until {
            return Ok(true);
        }
        let sessions = rows.sessions_after(known.through, END_SESSIONS_CHUNK)?;
        let all = sessions.len() < END_SESSIONS_CHUNK;
        for session in sessions {
            known.through = session.no;
            if !session.is_ended() {
                let living = known.living.entry(session.namespace).or_default();
                living.insert(session.no);
            }
        }
        Ok(all || known.through >= until)
    }

    /// The rows of those that live; the others are taken off the roll.
    fn living(
        &self,
        rows: &Rows,
        namespace: &Namespace,
        numbers: &[SessionNo],
    ) -> Result<Vec<Arc<SessionRow>>, Fault> {
        let mut living = Vec::with_capacity(numbers.len());
        let mut ended = Vec::new();
        for no in numbers {
            match rows.row(&RowKey::Session(*no))? {
                Some(Row::Session(session)) if !session.is_ended() => living.push(session),
                Some(_) | None => ended.push(*no),
            }
        }
        if let Some(known) = self.lock().living.get_mut(namespace) {
            for no in ended {
                known.remove(&no);
            }
        }
        Ok(living)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Every change leaves it whole, so that a panic of another call spoils nothing.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn sessions(&self) -> usize {
        self.living.values().map(BTreeSet::len).sum()
    }

    fn is_crowded(&self) -> bool {
        self.sessions() > ROLL_SESSIONS_MIN.max(self.pruned_to.saturating_mul(2))
    }

    fn after(&self, namespace: &Namespace, after: SessionNo, until: SessionNo) -> Vec<SessionNo> {
        let Some(living) = self.living.get(namespace) else {
            return Vec::new();
        };
        // A token may say anything.
        if after >= until {
            return Vec::new();
        }
        living
            .range((Bound::Excluded(after), Bound::Included(until)))
            .take(END_SESSIONS_CHUNK)
            .copied()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(name: &str) -> Namespace {
        Namespace::parse(name).expect("a name")
    }

    fn known(sessions: u64) -> Known {
        let numbers = (1..=sessions).map(SessionNo).collect();
        Known {
            living: [(namespace("a"), numbers)].into(),
            ..Known::default()
        }
    }

    #[test]
    fn a_namespace_is_read_in_order_and_no_further_than_asked() {
        let known = known(1_000);
        let check = |after, until, expected: std::ops::Range<u64>| {
            let found = known.after(&namespace("a"), SessionNo(after), SessionNo(until));
            let expected: Vec<SessionNo> = expected.map(SessionNo).collect();
            assert_eq!(found, expected, "{after} {until}");
        };
        check(0, 3, 1..4);
        check(2, 3, 3..4);
        check(3, 3, 0..0);
        check(u64::MAX, 0, 0..0);
        check(999, u64::MAX, 1_000..1_001);
        check(10, u64::MAX, 11..11 + END_SESSIONS_CHUNK as u64);
        let none = known.after(&namespace("b"), SessionNo(0), SessionNo(u64::MAX));
        assert!(none.is_empty());
    }

    #[test]
    fn it_is_pruned_when_it_is_long_and_has_doubled() {
        let long = ROLL_SESSIONS_MIN as u64 + 1;
        assert!(!known(long - 1).is_crowded());
        assert!(known(long).is_crowded());
        let mut pruned = known(long);
        pruned.pruned_to = ROLL_SESSIONS_MIN;
        assert!(!pruned.is_crowded());
    }
}
