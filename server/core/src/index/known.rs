//! What is known of the indexes without asking the store: the beginnings of groups, kept up to date.
//!
//! Invariant: an answer is what the store would say with the open batch and the draft laid over it, or that it must be
//! asked. What this deliberately does not do: derive an entry.

use std::collections::BTreeSet;

use foldhash::fast::RandomState;
use indexmap::IndexMap;

use super::{Extent, IndexDelta, IndexEntry, Scan};
use crate::limits::READ_AHEAD;

/// What is known of the indexes: of each group that was asked for, its beginning, as it is now.
///
/// Every entry in here is in its index, and none is missing of a group as far as its extent goes. What the open batch
/// changed is in it already, and noted besides: what is loaded later is from before the batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownIndexes {
    groups: IndexMap<Scan, Group, RandomState>,
    /// In the order of the changes: of several about one entry the last holds.
    uncommitted: Vec<(IndexEntry, bool)>,
    /// Entries of all groups.
    entries: usize,
    /// Groups of what was never handed out. Hardly ever is one asked for, and while none is known nothing need be looked
    /// up for it.
    new_groups: usize,
}

/// The beginning of a group.
#[derive(Clone, Debug)]
struct Group {
    entries: BTreeSet<IndexEntry>,
    extent: Extent,
}

impl KnownIndexes {
    /// Takes the beginning of a group as the store has it.
    pub(crate) fn load(&mut self, scan: Scan, entries: Vec<IndexEntry>, extent: Extent) {
        let mut entries: BTreeSet<IndexEntry> = entries.into_iter().collect();
        for (entry, present) in &self.uncommitted {
            if !present {
                entries.remove(entry);
            } else if scan.contains(entry) && extent.reaches(entry) {
                entries.insert(entry.clone());
            }
        }
        self.entries += entries.len();
        let is_new = matches!(scan, Scan::New(_));
        match self.groups.insert(scan, Group { entries, extent }) {
            Some(old) => self.entries -= old.entries.len(),
            None => self.new_groups += usize::from(is_new),
        }
    }

    /// Takes what a decision changed.
    pub(crate) fn apply(&mut self, entry: &IndexEntry, present: bool) {
        for scan in entry.scans().into_iter().flatten() {
            if self.new_groups == 0 && matches!(scan, Scan::New(_)) {
                continue;
            }
            let Some(group) = self.groups.get_mut(&scan) else {
                continue;
            };
            if !present {
                self.entries -= usize::from(group.entries.remove(entry));
            } else if group.extent.reaches(entry) {
                self.entries += usize::from(group.entries.insert(entry.clone()));
            }
        }
        self.uncommitted.push((entry.clone(), present));
    }

    /// The batch is in the store.
    pub(crate) fn committed(&mut self) {
        self.uncommitted.clear();
    }

    /// How many entries are known, and of how many groups something is.
    pub(crate) fn len(&self) -> usize {
        self.entries + self.groups.len()
    }

    /// The first `want` entries of a group with a draft's changes laid over it, or how many must be loaded to know
    /// them.
    pub(crate) fn scan(
        &self,
        scan: &Scan,
        want: usize,
        draft: &IndexDelta,
    ) -> Result<Vec<IndexEntry>, usize> {
        let missing = || {
            let of_batch = self.uncommitted.iter();
            let gone = of_batch.filter(|(entry, present)| !present && scan.contains(entry));
            let given_up = group(draft, scan).filter(|(_, present)| !present);
            want.max(READ_AHEAD) + gone.count() + given_up.count()
        };
        let Some(Group { entries, extent }) = self.groups.get(scan) else {
            return Err(missing());
        };
        let mut found: Vec<&IndexEntry> = entries
            .iter()
            .filter(|entry| draft.get(entry) != Some(&false))
            .take(want)
            .collect();
        let known = found.len();
        let added = group(draft, scan).filter(|(entry, present)| *present && extent.reaches(entry));
        found.extend(added.map(|(entry, _)| entry));
        if found.len() > known {
            found.sort_unstable();
            found.dedup();
        }
        if found.len() < want && *extent != Extent::All {
            return Err(missing());
        }
        Ok(found.into_iter().take(want).cloned().collect())
    }
}

/// What a delta says of a group.
fn group<'a>(
    delta: &'a IndexDelta,
    scan: &'a Scan,
) -> impl Iterator<Item = (&'a IndexEntry, bool)> {
    delta
        .range(scan.first()..)
        .take_while(|(entry, _)| scan.contains(entry))
        .map(|(entry, present)| (entry, *present))
}
