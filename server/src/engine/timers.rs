//! When the engine must look up by itself: due rows, lapsing leases, and its own clock.
//!
//! The due index is read only when its first entry has come; between reads the earliest time is
//! carried in memory, lowered by every commit that adds an earlier one. What a tick does is bounded by
//! what is due, not by how many sessions exist.

use sessiond_core::change::{Change, Membership};
use sessiond_core::command::Command;
use sessiond_core::index::IndexEntry;
use sessiond_core::time::{EngineTime, Span};
use sessiond_core::view::View;
use sessiond_store::fault::Fault;
use sessiond_store::store::Store;

use super::inbox::Envelope;
use crate::limits::{BATCH_DUE_MAX, CLOCK_PERSIST_EVERY_MS};

/// What is known of the next timer without reading the store.
#[derive(Debug, Default)]
pub(super) struct Timers {
    next_due: Option<EngineTime>,
    /// Due items were taken since the index was read: what comes next is not known.
    taken: bool,
}

impl Timers {
    /// Reads the earliest due time from the store.
    pub(super) fn reload(&mut self, store: &Store) -> Result<(), Fault> {
        self.next_due = store.reader().snapshot()?.next_due()?;
        self.taken = false;
        Ok(())
    }

    /// Takes notice of due entries that a commit added or moved.
    pub(super) fn note(&mut self, store: &Store, changes: &[Change]) -> Result<(), Fault> {
        if self.taken {
            return self.reload(store);
        }
        for change in changes {
            if let Change::Index(IndexEntry::Due(at, _), Membership::In) = change {
                let earliest = self.next_due.map_or(*at, |next| next.min(*at));
                self.next_due = Some(earliest);
            }
        }
        Ok(())
    }

    /// When to look up next.
    pub(super) fn next(&self, view: &View, persisted: EngineTime) -> EngineTime {
        let clock = persisted + Span(CLOCK_PERSIST_EVERY_MS);
        let lapse = view.presence.next_alarm().map(|(at, _)| at);
        [Some(clock), lapse, self.next_due]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(clock)
    }

    /// Whether engine time should be written even though nothing else is.
    pub(super) fn clock_is_due(&self, persisted: EngineTime, now: EngineTime) -> bool {
        persisted + Span(CLOCK_PERSIST_EVERY_MS) <= now
    }

    /// Adds commands for what has come due.
    pub(super) fn take_due(
        &mut self,
        store: &Store,
        view: &View,
        now: EngineTime,
        envelopes: &mut Vec<Envelope>,
    ) -> Result<(), Fault> {
        let lapsed = view.presence.due(now, BATCH_DUE_MAX);
        envelopes.extend(
            lapsed
                .into_iter()
                .map(|epoch| Envelope::silent(Command::Lapse(epoch))),
        );
        if self.next_due.is_none_or(|at| at > now) {
            return Ok(());
        }
        let due = store.reader().snapshot()?.due(now, BATCH_DUE_MAX)?;
        // What is taken is moved or removed by its decision, and the index is read again after that.
        self.taken = true;
        envelopes.extend(
            due.into_iter()
                .map(|due| Envelope::silent(Command::Due(due))),
        );
        Ok(())
    }
}
