//! An ordered map whose clones share what they have in common.
//!
//! ```text
//! firsts  [ a        | f        | m        ]   the lowest key of each chunk, side by side
//! chunks  [ a b c e  | f g k    | m n o z  ]   each shared until one of its owners changes it
//! ```
//!
//! A clone costs one reference count and never changes; whoever changes a map that is shared copies the chunks that
//! are touched. No chunk is empty, none has more than `CHUNK_MAX` entries, and keys ascend. Chunks that have become
//! small are not joined: a map lives from one checkpoint to the next. The persistent maps of other crates were slower
//! here by a factor (a node per entry) or under a licence that this workspace does not take in.

use std::sync::Arc;

use crate::kv::Key;

/// Entries of one chunk. Of 32 to 256 none was measurably better; fewer are copied sooner, more take longer to copy.
const CHUNK_MAX: usize = 128;

/// An ordered map from byte strings, cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Chunks<V> {
    shared: Arc<Directory<V>>,
}

#[derive(Clone, Debug)]
struct Directory<V> {
    firsts: Vec<Key>,
    chunks: Vec<Arc<Chunk<V>>>,
}

type Chunk<V> = Vec<(Key, V)>;

/// Where an entry is, or would have to be put, until the map is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    chunk: usize,
    entry: usize,
}

impl<V> Default for Chunks<V> {
    fn default() -> Self {
        Self {
            shared: Arc::new(Directory {
                firsts: Vec::new(),
                chunks: Vec::new(),
            }),
        }
    }
}

impl<V: Clone> Chunks<V> {
    pub(super) fn get(&self, key: &[u8]) -> Option<&V> {
        let place = self.find(key).ok()?;
        Some(&self.shared.chunks[place.chunk][place.entry].1)
    }

    /// The place of an entry, or where it would go.
    pub(super) fn find(&self, key: &[u8]) -> Result<Place, Place> {
        self.shared.find(key)
    }

    /// The entry that was found at `place`, to be changed. Copies its chunk when a clone shares it.
    pub(super) fn at_mut(&mut self, place: Place) -> &mut V {
        let directory = Arc::make_mut(&mut self.shared);
        &mut Arc::make_mut(&mut directory.chunks[place.chunk])[place.entry].1
    }

    /// Puts an entry where its key was not found.
    pub(super) fn insert_at(&mut self, place: Place, key: Key, value: V) {
        Arc::make_mut(&mut self.shared).insert(place, key, value);
    }

    /// Takes out the entry that was found at `place`.
    pub(super) fn remove_at(&mut self, place: Place) -> V {
        Arc::make_mut(&mut self.shared).remove(place)
    }

    /// Entries with `from <= key < to` in order; `to` absent is the end.
    pub(super) fn range<'a>(
        &'a self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> impl DoubleEndedIterator<Item = (&'a Key, &'a V)> + use<'a, V> {
        let directory = &*self.shared;
        let begin = directory.lower_bound(from);
        let end = to.map_or(directory.end(), |to| directory.lower_bound(to));
        // Bounds the wrong way round hold nothing.
        let end = end.max(begin);
        let last = (end.chunk + usize::from(end.entry > 0)).min(directory.chunks.len());
        (begin.chunk..last.max(begin.chunk))
            .flat_map(move |at| {
                let chunk = &directory.chunks[at];
                let low = if at == begin.chunk { begin.entry } else { 0 };
                let high = if at == end.chunk {
                    end.entry
                } else {
                    chunk.len()
                };
                &chunk[low..high]
            })
            .map(|(key, value)| (key, value))
    }
}

impl<V: Clone> Directory<V> {
    fn end(&self) -> Place {
        Place {
            chunk: self.chunks.len(),
            entry: 0,
        }
    }

    /// The place of `key`, or where it would go.
    fn find(&self, key: &[u8]) -> Result<Place, Place> {
        // The last chunk that begins at or before the key; before all of them, the first.
        let after = self.firsts.partition_point(|first| first.as_slice() <= key);
        let chunk = after.saturating_sub(1);
        let Some(entries) = self.chunks.get(chunk) else {
            return Err(self.end());
        };
        match entries.binary_search_by(|(known, _)| known.as_slice().cmp(key)) {
            Ok(entry) => Ok(Place { chunk, entry }),
            Err(entry) => Err(Place { chunk, entry }),
        }
    }

    /// The first entry at or behind `key`.
    fn lower_bound(&self, key: &[u8]) -> Place {
        let (Ok(place) | Err(place)) = self.find(key);
        match self.chunks.get(place.chunk) {
            Some(chunk) if place.entry == chunk.len() => Place {
                chunk: place.chunk + 1,
                entry: 0,
            },
            Some(_) | None => place,
        }
    }

    fn insert(&mut self, at: Place, key: Key, value: V) {
        if at.chunk == self.chunks.len() {
            self.firsts.push(key.clone());
            self.chunks.push(Arc::new(vec![(key, value)]));
            return;
        }
        if at.entry == 0 {
            self.firsts[at.chunk].clone_from(&key);
        }
        let chunk = Arc::make_mut(&mut self.chunks[at.chunk]);
        chunk.insert(at.entry, (key, value));
        if chunk.len() > CHUNK_MAX {
            self.split(at.chunk, at.entry);
        }
    }

    /// Halves a chunk; one that grew at its end keeps all but the newest, for more is likely to come there.
    fn split(&mut self, at: usize, grown: usize) {
        let chunk = Arc::make_mut(&mut self.chunks[at]);
        let keep = if grown + 1 == chunk.len() {
            grown
        } else {
            chunk.len() / 2
        };
        let mut rest = Vec::with_capacity(CHUNK_MAX + 1);
        rest.extend(chunk.drain(keep..));
        self.firsts.insert(at + 1, rest[0].0.clone());
        self.chunks.insert(at + 1, Arc::new(rest));
    }

    fn remove(&mut self, at: Place) -> V {
        let chunk = Arc::make_mut(&mut self.chunks[at.chunk]);
        let (_, value) = chunk.remove(at.entry);
        if let Some((first, _)) = chunk.first() {
            if at.entry == 0 {
                self.firsts[at.chunk].clone_from(first);
            }
        } else {
            self.firsts.remove(at.chunk);
            self.chunks.remove(at.chunk);
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn key(rng: &mut fastrand::Rng) -> Vec<u8> {
        let width = if rng.bool() { 2 } else { 40 };
        vec![rng.u8(..24); rng.usize(1..=width)]
    }

    fn put(map: &mut Chunks<u32>, key: &[u8], value: u32) {
        match map.find(key) {
            Ok(place) => *map.at_mut(place) = value,
            Err(place) => map.insert_at(place, Key::from_slice(key), value),
        }
    }

    fn assert_same(map: &Chunks<u32>, model: &BTreeMap<Vec<u8>, u32>, seed: u64) {
        let found: Vec<_> = map
            .range(&[], None)
            .map(|(k, v)| (k.to_vec(), *v))
            .collect();
        let expected: Vec<_> = model.iter().map(|(k, v)| (k.clone(), *v)).collect();
        assert_eq!(found, expected, "seed {seed}");
        for (first, chunk) in map.shared.firsts.iter().zip(&map.shared.chunks) {
            assert_eq!(*first, chunk[0].0, "seed {seed}");
            assert!(chunk.len() <= CHUNK_MAX, "seed {seed}");
        }
    }

    /// Random histories on the map and on a plain one, with clones held that must not change.
    #[test]
    fn it_is_an_ordered_map_and_its_clones_stay_as_they_were() {
        for seed in 0..60 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let (mut map, mut model) = (Chunks::default(), BTreeMap::new());
            let mut held = Vec::new();
            for step in 0..1_500 {
                let key = key(&mut rng);
                if rng.u8(..3) == 0 {
                    let removed = map.find(&key).ok().map(|place| map.remove_at(place));
                    assert_eq!(removed, model.remove(&key), "seed {seed}");
                } else {
                    put(&mut map, &key, step);
                    model.insert(key.clone(), step);
                }
                assert_eq!(map.get(&key), model.get(&key), "seed {seed}");
                if rng.u16(..500) == 0 {
                    held.push((map.clone(), model.clone()));
                }
            }
            held.push((map, model));
            for (map, model) in &held {
                assert_same(map, model, seed);
            }
        }
    }

    #[test]
    fn ranges_are_those_of_a_map_from_both_ends() {
        for seed in 0..60 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let (mut map, mut model) = (Chunks::default(), BTreeMap::new());
            for step in 0..600 {
                let key = key(&mut rng);
                put(&mut map, &key, step);
                model.insert(key, step);
            }
            for _ in 0..200 {
                let (from, to) = (key(&mut rng), rng.bool().then(|| key(&mut rng)));
                let inside = |key: &[u8]| {
                    key >= from.as_slice() && to.as_ref().is_none_or(|to| key < to.as_slice())
                };
                let expected: Vec<u32> = model
                    .iter()
                    .filter(|(key, _)| inside(key))
                    .map(|(_, value)| *value)
                    .collect();
                let range = || map.range(&from, to.as_deref()).map(|(_, value)| *value);
                assert_eq!(range().collect::<Vec<_>>(), expected, "seed {seed}");
                let mut backwards: Vec<u32> = range().rev().collect();
                backwards.reverse();
                assert_eq!(backwards, expected, "seed {seed}");
            }
        }
    }

    #[test]
    fn keys_that_ascend_fill_their_chunks() {
        let mut map = Chunks::default();
        for n in 0..10_000_u32 {
            put(&mut map, &n.to_be_bytes(), n);
        }
        assert_eq!(map.shared.chunks.len(), 10_000_usize.div_ceil(CHUNK_MAX));
    }
}
