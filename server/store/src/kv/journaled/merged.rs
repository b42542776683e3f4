//! A consistent view of recent layers over the tables on disk.
//!
//! The newest layer that says something of a row has the last word; only what none of them mentions is read from the
//! tables. All parts were taken at one moment and never change, so neither does what is read here.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::sync::Arc;

use bytes::Bytes;

use super::layer::{Layer, Slot};
use crate::fault::Fault;
use crate::kv::redb::RedbSnapshot;
use crate::kv::{Entry, Key, Order, Range, Snapshot, Table};

/// Layers over tables.
#[derive(Clone, Debug)]
pub(super) struct Merged {
    /// Newest first.
    pub(super) layers: [Layer; 2],
    pub(super) base: Arc<RedbSnapshot>,
}

impl Snapshot for Merged {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        let said = self.layers.iter().find_map(|layer| layer.get(table, key));
        match said {
            Some(slot) => Ok(slot.value.clone()),
            None => self.base.get(table, key),
        }
    }

    fn range(&self, range: &Range) -> Result<Vec<Entry>, Fault> {
        if self
            .layers
            .iter()
            .all(|layer| layer.range(range).next().is_none())
        {
            return self.base.range(range);
        }
        let [newer, older] = &self.layers;
        let recent = Recent {
            newer: directed(newer, range).peekable(),
            older: directed(older, range).peekable(),
            order: range.order,
        };
        // What the layers say of one row each may hide one row below, and no more.
        let mut recent = recent.peekable();
        let mut below = self.base.walk(range)?;
        let mut next_below = below.next().transpose()?;
        let mut entries = Vec::new();
        while entries.len() < range.limit {
            let side = match (recent.peek(), &next_below) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((key, _)), Some((base, _))) => directed_cmp(range.order, key, base),
            };
            if side != Ordering::Less {
                let entry = std::mem::replace(&mut next_below, below.next().transpose()?);
                if side == Ordering::Greater {
                    entries.extend(entry);
                    continue;
                }
            }
            if let Some((
                key,
                Slot {
                    value: Some(value), ..
                },
            )) = recent.next()
            {
                entries.push((key.to_vec(), value.clone()));
            }
        }
        Ok(entries)
    }
}

type Walk<'a> = Box<dyn Iterator<Item = (&'a Key, &'a Slot)> + 'a>;

fn directed<'a>(layer: &'a Layer, range: &Range) -> Walk<'a> {
    let slots = layer.range(range);
    match range.order {
        Order::Ascending => slots,
        Order::Descending => Box::new(slots.rev()),
    }
}

fn directed_cmp(order: Order, left: &[u8], right: &[u8]) -> Ordering {
    match order {
        Order::Ascending => left.cmp(right),
        Order::Descending => right.cmp(left),
    }
}

/// Two layers as one: each row once, as the newer one has it.
struct Recent<'a> {
    newer: Peekable<Walk<'a>>,
    older: Peekable<Walk<'a>>,
    order: Order,
}

impl<'a> Iterator for Recent<'a> {
    type Item = (&'a Key, &'a Slot);

    fn next(&mut self) -> Option<Self::Item> {
        let (Some((newer, _)), Some((older, _))) = (self.newer.peek(), self.older.peek()) else {
            return self.newer.next().or_else(|| self.older.next());
        };
        match directed_cmp(self.order, newer, older) {
            Ordering::Less => self.newer.next(),
            Ordering::Greater => self.older.next(),
            Ordering::Equal => {
                self.older.next();
                self.newer.next()
            }
        }
    }
}
