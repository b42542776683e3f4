//! Pages of rows and entries: what comes after a place, at most so many.
//!
//! Every list starts behind the place its caller has got to, so a page never repeats what the one before it ended with.
//! How large a page may be is the caller's business. Errors are those of every read of a snapshot.

use std::sync::Arc;

use sessiond_core::ids::{Epoch, Namespace, PoolName, QueueId, Seq, SessionNo};
use sessiond_core::index::{Due, IndexEntry, Scan};
use sessiond_core::key_window::{BlockNo, KeyBlock};
use sessiond_core::lease::{LeaseRow, LeaseStanding};
use sessiond_core::message::MessageRow;
use sessiond_core::node::NodeRow;
use sessiond_core::rows::{PoolRow, Row, RowKey};
use sessiond_core::session::SessionRow;
use sessiond_core::time::EngineTime;

use super::{Rows, of_kind};
use crate::fault::Fault;
use crate::kv::{Order, Range, Table};
use crate::row;

/// Leases read at once while looking for current ones; few are not current, so few are read in vain.
const LEASES_PAGE: usize = 256;

impl Rows {
    /// Sessions with higher numbers than `after`, lowest first: in the order they were created.
    pub fn sessions_after(&self, after: SessionNo, limit: usize) -> Result<Vec<SessionRow>, Fault> {
        self.sessions(&behind(&RowKey::Session(after), limit))
    }

    /// Sessions with lower numbers than `before`, highest first: the newest come first.
    pub fn sessions_before(
        &self,
        before: SessionNo,
        limit: usize,
    ) -> Result<Vec<SessionRow>, Fault> {
        let (table, to) = row::key_of_row(&RowKey::Session(before));
        self.sessions(&Range {
            table,
            from: Vec::new(),
            to: Some(to.into_vec()),
            order: Order::Descending,
            limit,
        })
    }

    /// Sessions of a namespace that have not ended, with higher numbers than `after`, lowest first, whatever their pool.
    /// Reads nothing of those that have ended, and of each pool at most `limit` entries.
    pub fn live_after(
        &self,
        namespace: &Namespace,
        after: SessionNo,
        limit: usize,
    ) -> Result<Vec<Arc<SessionRow>>, Fault> {
        let mut numbers = Vec::new();
        for (pool, row) in self.pools(namespace)? {
            if row.live + row.queued > 0 {
                let entries = self.entries(&row::live_after(namespace, &pool, after, limit))?;
                numbers.extend(entries.iter().filter_map(IndexEntry::session));
            }
        }
        numbers.sort_unstable();
        numbers.truncate(limit);
        let row = |no: SessionNo| {
            let key = RowKey::Session(no);
            let row = self.row(&key)?.map(|row| of_kind!(row, Session));
            self.on_record(row, &key)
        };
        numbers.into_iter().map(row).collect()
    }

    /// The sessions that wait for a slot of a pool, in order of their turns.
    pub fn waiting(
        &self,
        namespace: &Namespace,
        pool: &PoolName,
        limit: usize,
    ) -> Result<Vec<SessionNo>, Fault> {
        let line = Scan::Waiting(namespace.clone(), pool.clone());
        let entries = self.entries(&row::range_of(&line, limit))?;
        Ok(entries.iter().filter_map(IndexEntry::session).collect())
    }

    /// The pools of all namespaces in which sessions wait for slots.
    pub fn pools_with_waiters(&self) -> Result<Vec<(Namespace, PoolName)>, Fault> {
        let all = Range {
            limit: usize::MAX,
            ..beginning(Table::Pools)
        };
        let pools = self.pool_rows(&all)?;
        let waited = pools.into_iter().filter(|(_, _, row)| row.queued > 0);
        Ok(waited
            .map(|(namespace, pool, _)| (namespace, pool))
            .collect())
    }

    /// Sessions that have not ended, of all namespaces, behind a place in the order of namespace, pool and number.
    pub fn live_behind(
        &self,
        after: Option<&(Namespace, PoolName, SessionNo)>,
        limit: usize,
    ) -> Result<Vec<(Namespace, PoolName, SessionNo)>, Fault> {
        let from = match after {
            Some((namespace, pool, no)) => {
                let place = IndexEntry::Live(namespace.clone(), pool.clone(), *no);
                let (_, mut key) = row::key_of_entry(&place);
                key.push(0);
                key.into_vec()
            }
            None => Vec::new(),
        };
        let entries = self.entries(&Range {
            table: Table::LiveSessions,
            from,
            to: None,
            order: Order::Ascending,
            limit,
        })?;
        let places = entries.into_iter().filter_map(|entry| {
            let IndexEntry::Live(namespace, pool, no) = entry else {
                return None;
            };
            Some((namespace, pool, no))
        });
        Ok(places.collect())
    }

    /// The pools of a namespace that ever had a session, by name.
    pub fn pools(&self, namespace: &Namespace) -> Result<Vec<(PoolName, PoolRow)>, Fault> {
        let pools = self.pool_rows(&row::pools_of(namespace))?;
        Ok(pools
            .into_iter()
            .map(|(_, pool, row)| (pool, row))
            .collect())
    }

    fn pool_rows(&self, range: &Range) -> Result<Vec<(Namespace, PoolName, PoolRow)>, Fault> {
        self.decoded(range, |key, value| {
            let key = row::decode_key(range.table, key)?;
            let row = row::decode_row(&key, value)?;
            let RowKey::Pool(namespace, pool) = key else {
                unreachable!("a key of this table is that of a pool: {key:?}");
            };
            Ok((namespace, pool, of_kind!(row, Pool)))
        })
    }

    /// All nodes on record, in order of their namespaces and names.
    pub fn nodes(&self) -> Result<Vec<Arc<NodeRow>>, Fault> {
        let range = row::nodes();
        self.decoded(&range, |key, value| {
            let row = row::decode_row(&row::decode_key(range.table, key)?, value)?;
            Ok(of_kind!(row, Node))
        })
    }

    /// Unsettled messages of a queue that were not given up, in order of seq.
    pub fn messages_after(
        &self,
        queue: QueueId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<MessageRow>, Fault> {
        self.messages(&of_queue(
            queue,
            behind(&RowKey::Message(queue, after), limit),
        ))
    }

    /// Messages of a queue that were given up by themselves, in order of seq.
    pub fn dead_letters_after(
        &self,
        queue: QueueId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<MessageRow>, Fault> {
        self.messages(&of_queue(
            queue,
            behind(&RowKey::DeadLetter(queue, after), limit),
        ))
    }

    /// The seqs of a queue's unsettled messages that were not given up, in order.
    pub fn pending_after(
        &self,
        queue: QueueId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Seq>, Fault> {
        let range = of_queue(queue, behind(&RowKey::Message(queue, after), limit));
        let entries = self.entries(&range)?;
        Ok(entries.iter().filter_map(IndexEntry::seq).collect())
    }

    /// What is due at `until` or before, earliest first.
    pub fn due(&self, until: EngineTime, limit: usize) -> Result<Vec<Due>, Fault> {
        let entries = self.entries(&row::due_until(until, limit))?;
        Ok(entries
            .iter()
            .filter_map(due_of)
            .map(|(_, due)| due)
            .collect())
    }

    /// When the next thing becomes due; none if nothing ever will.
    pub fn next_due(&self) -> Result<Option<EngineTime>, Fault> {
        let entries = self.entries(&beginning(Table::Due))?;
        Ok(entries.iter().find_map(due_of).map(|(at, _)| at))
    }

    /// Whether something is noted as due at an instant.
    pub fn is_noted(&self, at: EngineTime, due: Due) -> Result<bool, Fault> {
        let (table, key) = row::key_of_entry(&IndexEntry::Due(at, due));
        let from = key.into_vec();
        let mut to = from.clone();
        to.push(0);
        let found = self.entries(&Range {
            table,
            from,
            to: Some(to),
            order: Order::Ascending,
            limit: 1,
        })?;
        Ok(!found.is_empty())
    }

    /// Leases that hold their sessions, with higher tokens than `after`, lowest first.
    pub fn current_leases_after(&self, after: Epoch, limit: usize) -> Result<Vec<Epoch>, Fault> {
        let mut current = Vec::new();
        let mut after = after;
        while current.len() < limit {
            let page = self.leases(&behind(&RowKey::Lease(after), LEASES_PAGE))?;
            let Some(last) = page.last() else {
                break;
            };
            after = last.epoch;
            let found = page
                .iter()
                .filter(|lease| lease.standing == LeaseStanding::Current)
                .map(|lease| lease.epoch);
            current.extend(found.take(limit - current.len()));
        }
        Ok(current)
    }

    /// Queues of a namespace that want a worker, by the age of their oldest message, behind `after`.
    pub fn unserved_after(
        &self,
        namespace: &Namespace,
        after: Option<(EngineTime, QueueId)>,
        limit: usize,
    ) -> Result<Vec<(EngineTime, QueueId)>, Fault> {
        let entries = self.entries(&row::unserved_after(namespace, after, limit))?;
        let unserved = entries.into_iter().filter_map(|entry| {
            let IndexEntry::Unserved(_, since, queue) = entry else {
                return None;
            };
            Some((since, queue))
        });
        Ok(unserved.collect())
    }

    /// Queues of a namespace that have dead letters, from `first` on, in order of their numbers.
    pub fn dead_queues_from(
        &self,
        namespace: &Namespace,
        first: QueueId,
        limit: usize,
    ) -> Result<Vec<QueueId>, Fault> {
        let entries = self.entries(&row::dead_queues_from(namespace, first, limit))?;
        let queues = entries.into_iter().filter_map(|entry| {
            let IndexEntry::DeadLetters(_, queue) = entry else {
                return None;
            };
            Some(queue)
        });
        Ok(queues.collect())
    }

    fn sessions(&self, range: &Range) -> Result<Vec<SessionRow>, Fault> {
        let rows = self.rows(range)?.into_iter();
        Ok(rows
            .map(|row| Arc::unwrap_or_clone(of_kind!(row, Session)))
            .collect())
    }

    fn messages(&self, range: &Range) -> Result<Vec<MessageRow>, Fault> {
        let rows = self.rows(range)?.into_iter();
        Ok(rows
            .map(|row| Arc::unwrap_or_clone(of_kind!(row, Message)))
            .collect())
    }

    /// What a queue remembers of idempotency keys, oldest first.
    pub fn key_blocks(&self, queue: QueueId) -> Result<Vec<(BlockNo, Arc<KeyBlock>)>, Fault> {
        let range = row::key_blocks_of(queue);
        self.decoded(&range, |key, value| {
            let key = row::decode_key(range.table, key)?;
            let row = row::decode_row(&key, value)?;
            let RowKey::KeyBlock(_, number) = key else {
                unreachable!("a key of this table is that of a block: {key:?}");
            };
            Ok((number, of_kind!(row, KeyBlock)))
        })
    }

    fn leases(&self, range: &Range) -> Result<Vec<LeaseRow>, Fault> {
        let rows = self.rows(range)?.into_iter();
        Ok(rows
            .map(|row| Arc::unwrap_or_clone(of_kind!(row, Lease)))
            .collect())
    }

    /// The rows of a range.
    pub(super) fn rows(&self, range: &Range) -> Result<Vec<Row>, Fault> {
        self.decoded(range, |key, value| {
            row::decode_row(&row::decode_key(range.table, key)?, value)
        })
    }
}

/// Everything behind a row, in the order of keys.
pub(super) fn behind(key: &RowKey, limit: usize) -> Range {
    let (table, mut from) = row::key_of_row(key);
    from.push(0);
    Range {
        table,
        from: from.into_vec(),
        to: None,
        order: Order::Ascending,
        limit,
    }
}

/// What of `range` is of one queue.
fn of_queue(queue: QueueId, range: Range) -> Range {
    Range {
        to: row::after_prefix(&queue.0.to_be_bytes()),
        ..range
    }
}

/// The first row of a table.
fn beginning(table: Table) -> Range {
    Range {
        table,
        from: Vec::new(),
        to: None,
        order: Order::Ascending,
        limit: 1,
    }
}

fn due_of(entry: &IndexEntry) -> Option<(EngineTime, Due)> {
    let IndexEntry::Due(at, due) = entry else {
        return None;
    };
    Some((*at, *due))
}
