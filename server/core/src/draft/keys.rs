//! How a draft reads and writes the idempotency keys that queues remember.

use std::sync::Arc;

use foldhash::fast::FixedState;
use indexmap::IndexMap;

use super::{Draft, Stop};
use crate::change::Change;
use crate::ids::{KeyDigest, QueueId, Seq};
use crate::key_window::{BlockNo, KeyBlock, KeyWindow, RememberedKey};
use crate::queue::QueueRow;
use crate::rows::{Read, Row, RowKey};

/// What a draft adds to one queue's window.
#[derive(Debug)]
pub(super) struct AddedKeys {
    seqs: IndexMap<KeyDigest, Seq, FixedState>,
    /// Blocks that were written, in order; the last takes the next key.
    blocks: Vec<(BlockNo, KeyBlock)>,
    /// Blocks that gave way.
    dropped: Vec<BlockNo>,
}

impl Draft<'_> {
    /// The message that a key was given for, if its queue remembers it.
    pub(crate) fn remembered(
        &self,
        queue: &QueueRow,
        digest: &KeyDigest,
    ) -> Result<Option<Seq>, Stop> {
        let own = self.keys.get(&queue.id);
        if let Some(seq) = own.and_then(|added| added.seqs.get(digest)) {
            return Ok(Some(*seq));
        }
        let window = self.window(queue)?;
        Ok(window.and_then(|window| window.find(digest, self.now.engine)))
    }

    /// What is on record; nothing is of a queue that had no message yet, and then nothing need be loaded.
    fn window(&self, queue: &QueueRow) -> Result<Option<&KeyWindow>, Stop> {
        match self.view.window(queue.id) {
            Some(window) => Ok(Some(window)),
            None if queue.next_seq == Seq(1) || self.keys.contains_key(&queue.id) => Ok(None),
            None => Err(Stop::Missing(vec![Read::KeyBlocks(queue.id)])),
        }
    }

    /// Remembers a key that its queue does not. The queue is as it was before the message.
    pub(crate) fn remember(
        &mut self,
        queue: &QueueRow,
        digest: KeyDigest,
        seq: Seq,
    ) -> Result<(), Stop> {
        if !self.keys.contains_key(&queue.id) {
            let open = match self.window(queue)? {
                Some(window) => {
                    let (number, block) = window.open();
                    (number, block.with_room())
                }
                None => (0, KeyBlock::default()),
            };
            let added = AddedKeys {
                seqs: IndexMap::default(),
                blocks: Vec::new(),
                dropped: Vec::new(),
            };
            self.keys.insert(queue.id, added);
            self.write_block(queue.id, open);
        }
        let added = self.keys.get(&queue.id);
        let last = added.and_then(|added| added.blocks.last());
        let full = last
            .filter(|(_, block)| block.is_full())
            .map(|(number, _)| *number);
        if let Some(full) = full {
            self.write_block(queue.id, (full + 1, KeyBlock::default()));
        }
        let at = self.now.engine;
        if let Some(added) = self.keys.get_mut(&queue.id) {
            added.seqs.insert(digest, seq);
            let (_, block) = added
                .blocks
                .last_mut()
                .expect("a draft adds keys to a block");
            block.keys.push(RememberedKey { digest, seq, at });
        }
        Ok(())
    }

    /// Forgets all that a queue remembers, with the queue.
    pub(crate) fn forget_keys(&mut self, queue: &QueueRow) -> Result<(), Stop> {
        let blocks: Vec<BlockNo> = match self.window(queue)? {
            Some(window) => window.numbers().collect(),
            None => return Ok(()),
        };
        let added = AddedKeys {
            seqs: IndexMap::default(),
            blocks: Vec::new(),
            dropped: blocks,
        };
        self.keys.insert(queue.id, added);
        Ok(())
    }

    /// Goes on in another block; those that it outlives give way.
    fn write_block(&mut self, queue: QueueId, (number, block): (BlockNo, KeyBlock)) {
        let outlived: Vec<BlockNo> = match self.view.window(queue) {
            Some(window) if block.keys.is_empty() => {
                window.outlived(number, self.now.engine).collect()
            }
            Some(_) | None => Vec::new(),
        };
        if let Some(added) = self.keys.get_mut(&queue) {
            let fresh = outlived
                .into_iter()
                .filter(|number| !added.dropped.contains(number));
            let fresh: Vec<BlockNo> = fresh.collect();
            added.dropped.extend(fresh);
            added.blocks.push((number, block));
        }
    }
}

impl AddedKeys {
    /// The rows, those that are written first.
    pub(super) fn into_changes(self, queue: QueueId) -> impl Iterator<Item = Change> {
        let written = self.blocks.into_iter().map(move |(number, block)| {
            let row = Row::KeyBlock(Arc::new(block));
            Change::Row(RowKey::KeyBlock(queue, number), Some(row))
        });
        let dropped = self
            .dropped
            .into_iter()
            .map(move |number| Change::Row(RowKey::KeyBlock(queue, number), None));
        written.chain(dropped)
    }
}
