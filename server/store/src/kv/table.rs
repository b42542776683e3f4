//! The name and the tag of each table: the part of the enum that is written to disk.
//!
//! A name or a tag once released is never given to another table. The tag goes into the checksum of every row, so a
//! row that turns up in a table it was not written to does not verify. Nothing here knows what a table holds.

use crate::kv::Table;

impl Table {
    /// Every table, in the order of declaration. The tags 10 and 19 were given out before the format was a promise.
    pub const ALL: [Self; 35] = [
        Self::Counters,
        Self::Sessions,
        Self::Activities,
        Self::Queues,
        Self::Messages,
        Self::DeadLetters,
        Self::Payloads,
        Self::Leases,
        Self::Keys,
        Self::SessionIds,
        Self::KeyBlocks,
        Self::Requests,
        Self::Pools,
        Self::Events,
        Self::Ready,
        Self::InFlight,
        Self::Returned,
        Self::Debounced,
        Self::Coalesced,
        Self::Due,
        Self::Unserved,
        Self::RequestAges,
        Self::LiveSessions,
        Self::DeadQueues,
        Self::IdleSessions,
        Self::WaitingSessions,
        Self::Resources,
        Self::BehindSessions,
        Self::UnreleasedSessions,
        Self::ReleasingSessions,
        Self::Nodes,
        Self::Drains,
        Self::Subscriptions,
        Self::HoldingSubscriptions,
        Self::RequiredSubscriptions,
    ];

    /// Those that the first versions of format 1 did not have. A file without them has nothing in them.
    pub(crate) const ADDED: [Self; 9] = [
        Self::Resources,
        Self::BehindSessions,
        Self::UnreleasedSessions,
        Self::ReleasingSessions,
        Self::Nodes,
        Self::Drains,
        Self::Subscriptions,
        Self::HoldingSubscriptions,
        Self::RequiredSubscriptions,
    ];

    /// The name of the table on disk, its version included.
    pub fn name(self) -> &'static str {
        self.on_disk().1
    }

    /// The byte that stands for the table in checksums. Never zero: that is the schema record.
    pub(crate) fn tag(self) -> u8 {
        self.on_disk().0
    }

    /// The table that a byte stands for.
    pub(crate) fn of_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.tag() == tag)
    }

    /// The place of the table in `ALL`.
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    fn on_disk(self) -> (u8, &'static str) {
        match self {
            Self::Counters => (1, "counters.v1"),
            Self::Sessions => (2, "sessions.v1"),
            Self::Activities => (3, "activities.v1"),
            Self::Queues => (4, "queues.v1"),
            Self::Messages => (5, "messages.v1"),
            Self::Payloads => (6, "payloads.v1"),
            Self::Leases => (7, "leases.v1"),
            Self::Keys => (8, "keys.v1"),
            Self::SessionIds => (9, "session_ids.v1"),
            Self::Requests => (11, "requests.v1"),
            Self::Pools => (12, "pools.v1"),
            Self::Events => (13, "events.v1"),
            Self::Ready => (14, "ready.v1"),
            Self::InFlight => (15, "in_flight.v1"),
            Self::Returned => (16, "returned.v1"),
            Self::Coalesced => (70, "coalesced.v1"),
            Self::Debounced => (71, "debounced.v1"),
            Self::Due => (17, "due.v1"),
            Self::Unserved => (18, "unserved.v1"),
            Self::RequestAges => (20, "request_ages.v1"),
            Self::DeadLetters => (21, "dead_letters.v1"),
            Self::KeyBlocks => (22, "key_blocks.v1"),
            Self::LiveSessions => (40, "live_sessions.v1"),
            Self::DeadQueues => (60, "dead_queues.v1"),
            Self::IdleSessions => (41, "idle_sessions.v1"),
            Self::WaitingSessions => (42, "waiting_sessions.v1"),
            Self::Resources => (90, "resources.v1"),
            Self::BehindSessions => (91, "behind_sessions.v1"),
            Self::UnreleasedSessions => (92, "unreleased_sessions.v1"),
            Self::ReleasingSessions => (93, "releasing_sessions.v1"),
            Self::Nodes => (94, "nodes.v1"),
            Self::Drains => (95, "drains.v1"),
            Self::Subscriptions => (96, "subscriptions.v1"),
            Self::HoldingSubscriptions => (97, "holding_subscriptions.v1"),
            Self::RequiredSubscriptions => (98, "required_subscriptions.v1"),
        }
    }
}

/// Backends index by `ALL`: a table that is declared and not listed would be somebody else's.
const _: () = {
    let mut index = 0;
    while index < Table::ALL.len() {
        assert!(Table::ALL[index] as usize == index);
        index += 1;
    }
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_table_has_its_own_name_and_tag_and_stands_at_its_index() {
        let names: BTreeSet<_> = Table::ALL.iter().map(|table| table.name()).collect();
        let tags: BTreeSet<_> = Table::ALL.iter().map(|table| table.tag()).collect();
        assert_eq!(names.len(), Table::ALL.len());
        assert_eq!(tags.len(), Table::ALL.len());
        assert!(!tags.contains(&0));
        for (index, table) in Table::ALL.into_iter().enumerate() {
            assert_eq!(table.index(), index, "{table:?}");
        }
    }
}
