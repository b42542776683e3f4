//! The byte-range locks of a file on a simulated disk: held by handles, conflicting between them.
//!
//! As the kernel has them: shared ones overlap, exclusive ones do not, and those of one handle never conflict.

use std::ops::Bound;

/// The locks that are held.
#[derive(Debug, Default)]
pub(super) struct Locks {
    held: Vec<Lock>,
}

#[derive(Debug)]
struct Lock {
    owner: u64,
    range: Range,
    shared: bool,
}

type Range = (Bound<u64>, Bound<u64>);

impl Locks {
    pub(super) fn take(&mut self, owner: u64, range: Range, shared: bool) -> bool {
        if self.conflicts(owner, range, shared) {
            return false;
        }
        self.held.push(Lock {
            owner,
            range,
            shared,
        });
        true
    }

    pub(super) fn conflicts(&self, owner: u64, range: Range, shared: bool) -> bool {
        self.held.iter().any(|lock| {
            lock.owner != owner && !(lock.shared && shared) && overlap(lock.range, range)
        })
    }

    pub(super) fn release(&mut self, owner: u64, range: Range) {
        self.held
            .retain(|lock| lock.owner != owner || lock.range != range);
    }

    pub(super) fn release_all(&mut self, owner: u64) {
        self.held.retain(|lock| lock.owner != owner);
    }
}

fn overlap(one: Range, other: Range) -> bool {
    let ((start, end), (other_start, other_end)) = (limits(one), limits(other));
    start <= other_end && other_start <= end
}

/// The first and the last byte of a range that is not empty.
fn limits((start, end): Range) -> (u64, u64) {
    let first = match start {
        Bound::Unbounded => 0,
        Bound::Included(first) => first,
        Bound::Excluded(before) => before + 1,
    };
    let last = match end {
        Bound::Unbounded => u64::MAX,
        Bound::Included(last) => last,
        Bound::Excluded(after) => after - 1,
    };
    (first, last)
}
