//! The ranges of keys that scans and lists are.
//!
//! Invariant: a range has what its scan has and nothing else. What this deliberately does not do: lay out a key; see
//! `entry` and `key`.

use sessiond_core::ids::{Namespace, PoolName, QueueId, SessionNo, SubscriptionName};
use sessiond_core::index::Scan;
use sessiond_core::message::Rank;
use sessiond_core::time::EngineTime;

use super::entry::{coalesced_prefix, namespace_prefix, pool_prefix, rank_byte};
use crate::kv::{Key, Order, Range, Table};
use crate::row::cursor::{one, put_u64, two};

/// The group of a scan, from its beginning.
pub(crate) fn range_of(scan: &Scan, limit: usize) -> Range {
    let (table, prefix) = match scan {
        Scan::Ready(queue) => (Table::Ready, one(queue.0)),
        Scan::New(queue) => {
            let mut prefix = one(queue.0);
            prefix.push(rank_byte(Rank::New));
            (Table::Ready, prefix)
        }
        Scan::InFlight(queue, epoch) => (Table::InFlight, two(queue.0, epoch.0)),
        Scan::InFlightOfQueue(queue) => (Table::InFlight, one(queue.0)),
        Scan::Returned(queue) => (Table::Returned, one(queue.0)),
        Scan::Debounced(queue) => (Table::Debounced, one(queue.0)),
        Scan::Coalesced(queue, digest) => (Table::Coalesced, coalesced_prefix(*queue, *digest)),
        Scan::Pending(queue) => (Table::Messages, one(queue.0)),
        Scan::GivenUp(queue) => (Table::DeadLetters, one(queue.0)),
        Scan::Unserved(namespace) => (Table::Unserved, namespace_prefix(namespace)),
        Scan::RequestAges => (Table::RequestAges, Key::new()),
        Scan::Live(namespace, pool) => (Table::LiveSessions, pool_prefix(namespace, pool)),
        Scan::Idle(namespace, pool) => (Table::IdleSessions, pool_prefix(namespace, pool)),
        Scan::Waiting(namespace, pool) => (Table::WaitingSessions, pool_prefix(namespace, pool)),
        Scan::Behind(predecessor) => (Table::BehindSessions, one(predecessor.0)),
        Scan::Holding => (Table::HoldingSubscriptions, Key::new()),
        Scan::Required(namespace) => (Table::RequiredSubscriptions, namespace_prefix(namespace)),
    };
    Range {
        table,
        to: after_prefix(&prefix),
        from: prefix.into_vec(),
        order: Order::Ascending,
        limit,
    }
}

/// The blocks of idempotency keys of a queue, oldest first.
pub(crate) fn key_blocks_of(queue: QueueId) -> Range {
    let prefix = one(queue.0);
    Range {
        table: Table::KeyBlocks,
        to: after_prefix(&prefix),
        from: prefix.into_vec(),
        order: Order::Ascending,
        limit: usize::MAX,
    }
}

/// What is due at `until` or before, earliest first.
pub(crate) fn due_until(until: EngineTime, limit: usize) -> Range {
    Range {
        table: Table::Due,
        from: Vec::new(),
        to: after_prefix(&one(until.0)),
        order: Order::Ascending,
        limit,
    }
}

/// The queues of a namespace that want a worker, behind `after`.
pub(crate) fn unserved_after(
    namespace: &Namespace,
    after: Option<(EngineTime, QueueId)>,
    limit: usize,
) -> Range {
    let mut range = range_of(&Scan::Unserved(namespace.clone()), limit);
    if let Some((since, queue)) = after {
        range.from.extend_from_slice(&two(since.0, queue.0));
        range.from.push(0);
    }
    range
}

/// The sessions of a pool that have a slot, behind `after`.
pub(crate) fn live_after(
    namespace: &Namespace,
    pool: &PoolName,
    after: SessionNo,
    limit: usize,
) -> Range {
    let mut range = range_of(&Scan::Live(namespace.clone(), pool.clone()), limit);
    range.from.extend_from_slice(&one(after.0));
    range.from.push(0);
    range
}

/// The sessions with resources that are to go, behind `after`.
pub(crate) fn releasing_after(after: SessionNo, limit: usize) -> Range {
    let mut from = one(after.0);
    from.push(0);
    Range {
        table: Table::ReleasingSessions,
        from: from.into_vec(),
        to: None,
        order: Order::Ascending,
        limit,
    }
}

/// The sessions of a namespace with resources that are not released, behind `after`.
pub(crate) fn unreleased_after(namespace: &Namespace, after: SessionNo, limit: usize) -> Range {
    let mut from = namespace_prefix(namespace);
    let to = after_prefix(&from);
    put_u64(&mut from, after.0);
    from.push(0);
    Range {
        table: Table::UnreleasedSessions,
        from: from.into_vec(),
        to,
        order: Order::Ascending,
        limit,
    }
}

/// The rows of the pools of a namespace.
pub(crate) fn pools_of(namespace: &Namespace) -> Range {
    let prefix = namespace_prefix(namespace);
    Range {
        table: Table::Pools,
        to: after_prefix(&prefix),
        from: prefix.into_vec(),
        order: Order::Ascending,
        limit: usize::MAX,
    }
}

/// The rows of all nodes.
pub(crate) fn nodes() -> Range {
    Range {
        table: Table::Nodes,
        from: Vec::new(),
        to: None,
        order: Order::Ascending,
        limit: usize::MAX,
    }
}

/// The subscriptions of a namespace in the order of their names, behind `after`.
pub(crate) fn subscriptions_after(
    namespace: &Namespace,
    after: Option<&SubscriptionName>,
    limit: usize,
) -> Range {
    let mut from = namespace_prefix(namespace);
    let to = after_prefix(&from);
    if let Some(name) = after {
        from.extend_from_slice(name.as_str().as_bytes());
        from.push(0);
    }
    Range {
        table: Table::Subscriptions,
        from: from.into_vec(),
        to,
        order: Order::Ascending,
        limit,
    }
}

/// The queues of a namespace that have dead letters, from `first` on.
pub(crate) fn dead_queues_from(namespace: &Namespace, first: QueueId, limit: usize) -> Range {
    let mut from = namespace_prefix(namespace);
    let to = after_prefix(&from);
    put_u64(&mut from, first.0);
    Range {
        table: Table::DeadQueues,
        from: from.into_vec(),
        to,
        order: Order::Ascending,
        limit,
    }
}

/// The first key behind all that start with `prefix`; none when there can be no such key.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut key = prefix[..=last].to_vec();
    key[last] += 1;
    Some(key)
}
