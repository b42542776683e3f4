//! Tables in memory: the reference for the other backends, and the store of a server that keeps nothing.
//!
//! A commit changes the maps in place, unless a snapshot still shares one: that map is copied first, so a snapshot
//! never changes. Nothing here is durable, nothing here fails, and rows carry no checksum, for there is no disk that
//! could damage them. Holding a snapshot across commits costs a copy of each map the commits touch.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::fault::Fault;
use crate::kv::{Entry, Kv, Op, Order, Prior, Range, Snapshot, Table};

/// Both ends of a range of keys.
pub(crate) type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

type Rows = BTreeMap<Arc<[u8]>, Bytes>;
type Tables = [Arc<Rows>; Table::ALL.len()];

/// Ordered tables in memory.
#[derive(Debug)]
pub struct MemoryKv {
    tables: Mutex<Tables>,
}

impl Default for MemoryKv {
    fn default() -> Self {
        Self {
            tables: Mutex::new(std::array::from_fn(|_| Arc::default())),
        }
    }
}

impl MemoryKv {
    /// Empty tables.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        // Poison means that a commit ran out of memory half way; the process is lost either way, and a reader must
        // not turn that into a second panic.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kv for MemoryKv {
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, Fault> {
        Ok(Box::new(MemorySnapshot {
            tables: self.lock().clone(),
        }))
    }

    fn commit(&self, ops: &[Op]) -> Result<(), Fault> {
        let mut tables = self.lock();
        for op in ops {
            let rows = Arc::make_mut(&mut tables[op.table.index()]);
            // Where a store on disk would go wrong much later, this one says so at once.
            assert!(
                op.prior == Prior::Unknown || !rows.contains_key(op.key.as_slice()),
                "said to be new, and is not: {op:?}"
            );
            match &op.value {
                Some(value) => {
                    rows.insert(op.key.as_slice().into(), value.clone());
                }
                None => {
                    rows.remove(op.key.as_slice());
                }
            }
        }
        Ok(())
    }

    /// Rows are where they belong at once.
    fn checkpoint(&self) -> Result<(), Fault> {
        Ok(())
    }

    fn gathered_bytes(&self) -> u64 {
        0
    }

    /// There is nothing to open again.
    fn settle(&self) -> Result<(), Fault> {
        Ok(())
    }
}

struct MemorySnapshot {
    tables: Tables,
}

impl Snapshot for MemorySnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        let rows = &self.tables[table.index()];
        Ok(rows.get(key).cloned())
    }

    fn range(&self, range: &Range) -> Result<Vec<Entry>, Fault> {
        let Some(bounds) = bounds(range) else {
            return Ok(Vec::new());
        };
        let rows = self.tables[range.table.index()].range::<[u8], _>(bounds);
        let owned = |(key, value): (&Arc<[u8]>, &Bytes)| (key.to_vec(), value.clone());
        Ok(match range.order {
            Order::Ascending => rows.take(range.limit).map(owned).collect(),
            Order::Descending => rows.rev().take(range.limit).map(owned).collect(),
        })
    }
}

/// The bounds of `range`, or `None` when nothing can lie between them. Both backends ask here: ordered maps panic on
/// bounds that are the wrong way round.
pub(crate) fn bounds(range: &Range) -> Option<Bounds<'_>> {
    let from = Bound::Included(range.from.as_slice());
    match range.to.as_deref() {
        None => Some((from, Bound::Unbounded)),
        Some(to) if range.from.as_slice() < to => Some((from, Bound::Excluded(to))),
        Some(_) => None,
    }
}
