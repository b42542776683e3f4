//! What commits changed since a checkpoint: the rows as they became, and which were removed.
//!
//! A row that was made after the checkpoint and removed before the next leaves no trace, so what is settled in time
//! never reaches the tables on disk. For that the layer believes `Op::prior`: a row said to be new that is not would
//! come back when it is removed. A clone of a layer never changes. Nothing here knows what lies below a layer.

use std::sync::Arc;

use bytes::Bytes;

use super::chunks::Chunks;
use crate::kv::memory::bounds;
use crate::kv::{Key, Op, Prior, Range, Table};

/// What an entry takes beside its key and value, in bytes: its place in a chunk and what the allocator adds.
const ENTRY_OVERHEAD: usize = 96;

/// Rows that changed, over the rows below.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    tables: Arc<[Chunks<Slot>; Table::ALL.len()]>,
    bytes: usize,
}

/// What became of a row.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// The row, or that it is gone.
    pub(super) value: Option<Bytes>,
    /// Whether the rows below may have one under the key.
    prior: Prior,
}

impl Default for Layer {
    fn default() -> Self {
        Self {
            tables: Arc::new(std::array::from_fn(|_| Chunks::default())),
            bytes: 0,
        }
    }
}

impl Layer {
    /// Lays a change over the rows.
    pub(super) fn apply(&mut self, op: &Op) {
        let rows = &mut Arc::make_mut(&mut self.tables)[op.table.index()];
        let added = op.value.as_ref().map_or(0, Bytes::len);
        let place = match rows.find(&op.key) {
            Ok(place) => place,
            Err(place) => {
                self.bytes += op.key.len() + added + ENTRY_OVERHEAD;
                let slot = Slot {
                    value: op.value.clone(),
                    prior: op.prior,
                };
                rows.insert_at(place, op.key.clone(), slot);
                return;
            }
        };
        let slot = rows.at_mut(place);
        let replaced = slot.value.as_ref().map_or(0, Bytes::len);
        if op.value.is_none() && slot.prior == Prior::Absent {
            rows.remove_at(place);
            self.bytes -= op.key.len() + replaced + ENTRY_OVERHEAD;
            return;
        }
        slot.value.clone_from(&op.value);
        self.bytes = self.bytes + added - replaced;
    }

    /// What became of the row under `key`; `None` when the layer does not say.
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Option<&Slot> {
        self.tables[table.index()].get(key)
    }

    /// What became of the rows of `range`, in ascending order; its limit is the caller's business.
    pub(super) fn range<'a>(
        &'a self,
        range: &Range,
    ) -> Box<dyn DoubleEndedIterator<Item = (&'a Key, &'a Slot)> + 'a> {
        match bounds(range) {
            Some(_) => {
                Box::new(self.tables[range.table.index()].range(&range.from, range.to.as_deref()))
            }
            None => Box::new(std::iter::empty()),
        }
    }

    /// Everything that became of rows, table by table, in the order of keys.
    pub(super) fn rows(&self) -> impl Iterator<Item = (Table, &[u8], Option<&Bytes>)> {
        Table::ALL.into_iter().flat_map(|table| {
            self.tables[table.index()]
                .range(&[], None)
                .map(move |(key, slot)| (table, key.as_slice(), slot.value.as_ref()))
        })
    }

    /// Memory it takes, in bytes, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(ops: &[Op]) -> Layer {
        let mut layer = Layer::default();
        for op in ops {
            layer.apply(op);
        }
        layer
    }

    fn said(layer: &Layer) -> Vec<(Table, Vec<u8>, Option<Bytes>)> {
        let rows = layer.rows();
        rows.map(|(table, key, value)| (table, key.to_vec(), value.cloned()))
            .collect()
    }

    #[test]
    fn what_was_made_and_removed_leaves_no_trace() {
        let made = Op::insert(Table::Messages, b"k".to_vec(), vec![1; 9]);
        let changed = Op::put(Table::Messages, b"k".to_vec(), vec![2; 5]);
        let gone = Op::remove(Table::Messages, b"k".to_vec());
        let empty = layer(&[made.clone(), changed, gone.clone()]);
        assert!(said(&empty).is_empty() && empty.get(Table::Messages, b"k").is_none());
        assert_eq!(empty.bytes(), 0);
        // Made once more it is new once more.
        assert!(said(&layer(&[made.clone(), gone.clone(), made, gone])).is_empty());
    }

    #[test]
    fn what_may_lie_below_is_remembered_as_removed() {
        let put = Op::put(Table::Messages, b"k".to_vec(), vec![1]);
        let gone = Op::remove(Table::Messages, b"k".to_vec());
        let nothing = vec![(Table::Messages, b"k".to_vec(), None)];
        assert_eq!(said(&layer(std::slice::from_ref(&gone))), nothing);
        assert_eq!(said(&layer(&[put, gone.clone()])), nothing);
        // New only over what was removed here: below there may still be the old one.
        let made = Op::insert(Table::Messages, b"k".to_vec(), vec![2]);
        assert_eq!(said(&layer(&[gone.clone(), made, gone])), nothing);
    }

    #[test]
    fn its_size_follows_what_it_holds() {
        let long = Op::put(Table::Events, b"key".to_vec(), vec![0; 1_000]);
        let short = Op::put(Table::Events, b"key".to_vec(), vec![0; 10]);
        let gone = Op::remove(Table::Events, b"key".to_vec());
        assert_eq!(
            layer(std::slice::from_ref(&long)).bytes(),
            1_003 + ENTRY_OVERHEAD
        );
        assert_eq!(layer(&[long.clone(), short]).bytes(), 13 + ENTRY_OVERHEAD);
        assert_eq!(layer(&[long, gone]).bytes(), 3 + ENTRY_OVERHEAD);
    }
}
