//! Idempotency keys: which of them a queue remembers, and how they lie in rows.
//!
//! ```text
//! block 7   [ k k k … k ]  full, never written again        a row each
//! block 8   [ k k k … k ]  full
//! block 9   [ k k ]        open: takes the next key         rewritten once per commit that adds to it
//! ```
//!
//! A key costs its queue a place in a block, not a row and an index entry of its own: nothing is removed one by one,
//! and the tables are written in order. Remembered are the newest [`IDEMPOTENCY_KEYS_MAX`] keys of a queue that are
//! younger than [`REQUEST_RETENTION`]; older blocks are dropped when a new one is begun. A window is what the view
//! knows of one queue: all of it, or nothing.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use indexmap::IndexMap;

use crate::ids::{KeyDigest, Seq};
use crate::limits::{IDEMPOTENCY_KEYS_MAX, KEY_BLOCK_KEYS, KEY_BLOCKS_MAX, REQUEST_RETENTION};
use crate::time::EngineTime;

/// The number of a block in its queue, from 0 without a gap.
pub type BlockNo = u64;

/// A key that is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RememberedKey {
    /// What stands for the key.
    pub digest: KeyDigest,
    /// The message it was given for.
    pub seq: Seq,
    /// When that was accepted.
    pub at: EngineTime,
}

/// Neighbouring keys of a queue, in order of their seqs: the row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyBlock {
    /// At most [`KEY_BLOCK_KEYS`].
    pub keys: Vec<RememberedKey>,
}

impl KeyBlock {
    /// Whether the next key goes into another block.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.keys.len() >= KEY_BLOCK_KEYS
    }

    /// The same keys, with room for one more: it is copied to be written on.
    pub(crate) fn with_room(&self) -> Self {
        let room = (self.keys.len() + 1).next_power_of_two();
        let mut keys = Vec::with_capacity(room.min(KEY_BLOCK_KEYS));
        keys.extend_from_slice(&self.keys);
        Self { keys }
    }

    fn newest_at(&self) -> EngineTime {
        self.keys.last().map_or(EngineTime(0), |key| key.at)
    }
}

/// All that one queue remembers.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyWindow {
    seqs: IndexMap<KeyDigest, RememberedKey, Digested>,
    /// What was remembered, oldest first.
    order: VecDeque<(KeyDigest, Seq)>,
    /// The blocks on record, oldest first, with the time of the newest key in each.
    blocks: VecDeque<(BlockNo, EngineTime)>,
    /// The content of the last of them.
    open: Arc<KeyBlock>,
    /// Something was added since it was last asked.
    is_used: bool,
}

/// Digests are as good as random already.
#[derive(Clone, Copy, Debug, Default)]
struct Digested(u64);

impl BuildHasher for Digested {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl Hasher for Digested {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(size_of::<u64>()) {
            let mut word = [0; size_of::<u64>()];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_le_bytes(word);
        }
    }

    /// Of the length that is written before an array, nothing is to be learned.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

impl KeyWindow {
    /// The window of a queue whose blocks are these, oldest first.
    pub(crate) fn of(blocks: Vec<(BlockNo, Arc<KeyBlock>)>) -> Self {
        let mut window = Self::default();
        for (number, block) in blocks {
            window.write(number, block);
        }
        window
    }

    /// The key as it is remembered at `now`.
    pub(crate) fn find(&self, digest: &KeyDigest, now: EngineTime) -> Option<Seq> {
        let known = self.seqs.get(digest)?;
        (now < known.at + REQUEST_RETENTION).then_some(known.seq)
    }

    /// The block that takes the next key, and what is in it.
    pub(crate) fn open(&self) -> (BlockNo, &KeyBlock) {
        match self.blocks.back() {
            Some((number, _)) if self.open.is_full() => (number + 1, &EMPTY),
            Some((number, _)) => (*number, &self.open),
            None => (0, &EMPTY),
        }
    }

    /// The blocks on record, oldest first.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = BlockNo> + '_ {
        self.blocks.iter().map(|(number, _)| *number)
    }

    /// The blocks that give way when block `next` is begun.
    pub(crate) fn outlived(
        &self,
        next: BlockNo,
        now: EngineTime,
    ) -> impl Iterator<Item = BlockNo> + '_ {
        let first_kept = (next + 1).saturating_sub(KEY_BLOCKS_MAX);
        self.blocks
            .iter()
            .take_while(move |(number, newest)| {
                *number < first_kept || *newest + REQUEST_RETENTION <= now
            })
            .map(|(number, _)| *number)
            .filter(move |number| *number < next)
    }

    /// Takes a block as a decision wrote it.
    pub(crate) fn write(&mut self, number: BlockNo, block: Arc<KeyBlock>) {
        let known = match self.blocks.back_mut() {
            Some((last, newest)) if *last == number => {
                *newest = block.newest_at();
                self.open.keys.len()
            }
            Some(_) | None => {
                self.blocks.push_back((number, block.newest_at()));
                0
            }
        };
        for key in &block.keys[known..] {
            self.remember(*key);
        }
        self.open = block;
        self.is_used = true;
    }

    fn remember(&mut self, key: RememberedKey) {
        self.seqs.insert(key.digest, key);
        self.order.push_back((key.digest, key.seq));
        if self.order.len() > IDEMPOTENCY_KEYS_MAX
            && let Some((digest, seq)) = self.order.pop_front()
            && self.seqs.get(&digest).is_some_and(|known| known.seq == seq)
        {
            self.seqs.swap_remove(&digest);
        }
    }

    /// Takes notice that a block is gone.
    pub(crate) fn drop_block(&mut self, number: BlockNo) {
        self.blocks.retain(|(known, _)| *known != number);
    }

    /// What it takes, in keys; one without any takes memory too.
    pub(crate) fn weight(&self) -> usize {
        self.order.len() + WINDOW_KEYS
    }

    /// Whether something was added since this was asked last.
    pub(crate) fn was_used(&mut self) -> bool {
        std::mem::take(&mut self.is_used)
    }
}

/// What a window takes beside its keys, as if it were keys.
const WINDOW_KEYS: usize = 4;

static EMPTY: KeyBlock = KeyBlock { keys: Vec::new() };

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(n: u64) -> KeyDigest {
        crate::ids::IdempotencyKey::parse(n.to_string())
            .expect("a number is an id")
            .digest()
    }

    fn key(n: u64, at: u64) -> RememberedKey {
        RememberedKey {
            digest: digest(n),
            seq: Seq(n),
            at: EngineTime(at),
        }
    }

    /// Remembers a key as decisions do.
    fn add(window: &mut KeyWindow, rows: &mut Vec<(BlockNo, Arc<KeyBlock>)>, key: RememberedKey) {
        let (number, block) = window.open();
        let mut block = block.clone();
        let outlived: Vec<BlockNo> = match block.keys.is_empty() {
            true => window.outlived(number, key.at).collect(),
            false => Vec::new(),
        };
        block.keys.push(key);
        let block = Arc::new(block);
        window.write(number, Arc::clone(&block));
        rows.retain(|(known, _)| *known != number && !outlived.contains(known));
        rows.push((number, block));
        outlived
            .into_iter()
            .for_each(|gone| window.drop_block(gone));
    }

    #[test]
    fn the_newest_keys_are_remembered_and_blocks_before_them_are_dropped() {
        let (mut window, mut rows) = (KeyWindow::default(), Vec::new());
        let all = 3 * IDEMPOTENCY_KEYS_MAX as u64;
        for n in 1..=all {
            add(&mut window, &mut rows, key(n, 0));
        }
        let oldest = all - IDEMPOTENCY_KEYS_MAX as u64 + 1;
        for window in [&window, &KeyWindow::of(rows.clone())] {
            let found = |n: u64| window.find(&digest(n), EngineTime(1));
            assert_eq!(found(oldest - 1), None);
            assert_eq!(found(oldest), Some(Seq(oldest)));
            assert_eq!(found(all), Some(Seq(all)));
        }
        assert!(rows.len() as u64 <= KEY_BLOCKS_MAX);
        assert_eq!(window.blocks.len(), rows.len());
    }

    #[test]
    fn a_key_is_forgotten_with_its_time_and_counts_anew_when_it_is_given_again() {
        let (mut window, mut rows) = (KeyWindow::default(), Vec::new());
        add(&mut window, &mut rows, key(1, 10));
        let over = 10 + REQUEST_RETENTION.0;
        assert_eq!(window.find(&digest(1), EngineTime(over - 1)), Some(Seq(1)));
        assert_eq!(window.find(&digest(1), EngineTime(over)), None);
        let again = RememberedKey {
            seq: Seq(7),
            ..key(1, over)
        };
        add(&mut window, &mut rows, again);
        assert_eq!(window.find(&digest(1), EngineTime(over)), Some(Seq(7)));
        let reloaded = KeyWindow::of(rows);
        assert_eq!(reloaded.find(&digest(1), EngineTime(over)), Some(Seq(7)));
    }

    #[test]
    fn blocks_that_are_out_of_time_go_when_the_next_one_is_begun() {
        let (mut window, mut rows) = (KeyWindow::default(), Vec::new());
        for n in 0..2 * KEY_BLOCK_KEYS as u64 {
            add(&mut window, &mut rows, key(n + 1, 0));
        }
        assert_eq!(rows.len(), 2);
        add(&mut window, &mut rows, key(1_000, REQUEST_RETENTION.0));
        let numbers: Vec<BlockNo> = rows.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [2]);
    }
}
