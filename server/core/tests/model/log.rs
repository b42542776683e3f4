//! The log in the reference model: up to where it is deleted.
//!
//! Written from the contract of a watch: what happened at once is kept or deleted at once.

use sessiond_core::command::Command;
use sessiond_core::ids::Revision;
use sessiond_core::limits::EVENTS_COMPACTED_MAX;
use sessiond_core::rows::{Row, RowKey};

use super::marks::Mark;
use super::state::Model;
use super::store::Store;
use super::world::World;

/// What is known of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Logged {
    /// How many of its decision follow.
    pub(crate) siblings_after: u32,
    pub(crate) at: u64,
    pub(crate) size: u64,
}

impl Model {
    /// Deletes events up to a revision, as many as one decision does, and answers up to where.
    pub(crate) fn compact(&mut self, through: u64) -> u64 {
        let (asked, held) = (through.min(self.revision), self.held_behind());
        self.marks.hit_if(
            held < asked,
            super::marks::subscriptions::Subscriptions::HeldLog,
        );
        let through = asked.min(held);
        if through <= self.compacted {
            return self.compacted;
        }
        let reach = through.min(self.compacted + EVENTS_COMPACTED_MAX);
        let place = usize::try_from(reach - 1).expect("revisions are small here");
        let siblings = self.log[place].siblings_after;
        self.marks.hit(Mark::Compacted);
        self.marks.hit_if(siblings > 0, Mark::CompactedWhole);
        self.compacted = reach + u64::from(siblings);
        self.compacted
    }

    /// Whether the log may be cut behind an event, or where it begins.
    pub(crate) fn ends_decision(&self, revision: u64) -> bool {
        let place = usize::try_from(revision).expect("revisions are small here");
        revision == self.compacted || self.log[place - 1].siblings_after == 0
    }

    /// The log begins where it should.
    pub(crate) fn check_log(&self, store: &Store) {
        assert_eq!(
            store.compacted as u64, self.compacted,
            "where the log begins"
        );
        assert_eq!(store.events.len() as u64, self.revision, "where it ends");
        let mut offset = 0;
        for event in &store.events {
            assert_eq!(event.offset, offset, "where {} begins", event.revision);
            offset += event.size();
        }
        if let Some(Row::Counters(counters)) = store.rows.get(&RowKey::Counters) {
            assert_eq!(counters.log_bytes, offset, "what the log weighs");
        }
    }
}

impl World {
    /// Some of the oldest events are not kept any longer.
    pub(crate) fn compact(&mut self) {
        let newest = self.model.revision;
        let through = match self.rng.u32(..4) {
            0 => self.model.compacted,
            1 => newest + self.rng.u64(..3),
            _ => self.rng.u64(..=newest),
        };
        let through = Revision(through);
        self.submit(&Command::CompactEvents { through }).unwrap();
        self.model.check_log(&self.store);
    }
}
