//! Adoption: this process takes the place of parents that end before their children, and releases all of them.
//!
//! Invariant: nothing that is started below this process gets out from below it, so a release of its children is one of
//! everything, but for what is on the deny list. One child that must not be signalled keeps no other from being ended, and
//! is told. What this deliberately does not do: touch children that were there before, which are whoever's made this
//! process.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Instant;

use crate::deny::Denial;
use crate::fault::{Fault, Row};
use crate::platform::{self, Pin};
use crate::release::run;
use crate::sweep::{Sweep, survivor};
use crate::terms::{PROCESSES_MAX, Released, Survivor, Terms};

/// How often what came to light during a release is released as well. What is frozen starts nothing, so once is usual; a
/// tree of more members than are held at once takes a round for each of their number.
const ROUNDS_MAX: usize = 64;

/// The children that a process had at some time.
#[derive(Clone, Debug, Default)]
pub struct Children(BTreeSet<(i32, u64)>);

/// Makes this process the parent of all below it that lose theirs, until it ends.
///
/// # Errors
///
/// What the kernel refuses; on another platform than Linux, that it is not supported.
pub fn adopt_orphans() -> io::Result<()> {
    platform::adopt_orphans()
}

/// Takes note of all children that have ended, but for `spared`, which somebody else waits for.
///
/// # Errors
///
/// Why the children cannot be looked at.
pub fn reap(spared: Option<u32>) -> Result<(), String> {
    platform::reap(spared).map_err(|fault: Fault| fault.describe())
}

/// The children that this process has now.
///
/// # Errors
///
/// Why they cannot be looked at, and so could not be released either.
pub fn children() -> Result<Children, Denial> {
    let rows = children_but(&Children::default())?;
    let numbers = rows.iter().map(|row| (row.pid, row.start_ticks));
    Ok(Children(numbers.collect()))
}

/// Ends all children of this process but those that were there `before`, with all that descends from them, and whatever
/// carries the marker of the terms. With [`adopt_orphans`] that is everything that was started below this process since.
///
/// Blocks for the grace of the terms, and for their verification as often as something more is found.
pub fn release_children(before: &Children, terms: &Terms) -> Released {
    try_release_children(before, terms).unwrap_or_else(Released::Denied)
}

fn try_release_children(before: &Children, terms: &Terms) -> Result<Released, Denial> {
    let began = Instant::now();
    let (mut signalled, mut left) = (false, BTreeMap::new());
    for round in 0..ROUNDS_MAX {
        // All of them have their grace together.
        let terms = Terms {
            grace: terms.grace.saturating_sub(began.elapsed()),
            ..terms.clone()
        };
        let mut sweep = Sweep::new(&terms)?;
        let some = add_children(&mut sweep, before, &mut left)?;
        if !some && round > 0 {
            break;
        }
        match run(sweep)? {
            Released::Killed => signalled = true,
            Released::AlreadyGone => {}
            Released::TimedOut { survivors } => {
                signalled = true;
                left.extend(survivors.into_iter().map(|one| (one.pid, one)));
            }
            other @ (Released::Mismatch | Released::Denied(_)) => return Ok(other),
        }
    }
    for row in children_but(before)? {
        left.entry(row.pid).or_insert_with(|| survivor(&row, None));
    }
    let survivors: Vec<Survivor> = left.into_values().filter(still_runs).collect();
    Ok(match (survivors.is_empty(), signalled) {
        (false, _) => Released::TimedOut { survivors },
        (true, true) => Released::Killed,
        (true, false) => Released::AlreadyGone,
    })
}

/// Adds children, as many as are held at once; answers whether there were any. Those that must not be signalled are left.
fn add_children(
    sweep: &mut Sweep<'_>,
    before: &Children,
    left: &mut BTreeMap<i32, Survivor>,
) -> Result<bool, Denial> {
    let mut some = false;
    for row in children_but(before)? {
        if sweep.is_full() {
            break;
        }
        if left.contains_key(&row.pid) {
            continue;
        }
        let added = match Pin::take(row.pid) {
            Ok(pin) if pin.is_running() => sweep.add(pin),
            // What it left is a child of ours by now.
            Ok(_) => continue,
            Err(Fault::Gone | Fault::NotAProcess) => continue,
            Err(fault) => Err(fault.into()),
        };
        match added {
            Ok(()) => some = true,
            Err(denial) => drop(left.insert(row.pid, survivor(&row, Some(denial)))),
        }
    }
    Ok(some)
}

/// The children of this process that were not there before, and those among them that have ended and are not reaped.
fn children_but(before: &Children) -> Result<Vec<Row>, Denial> {
    let own = platform::own_row()?.pid;
    let mut rows = platform::rows(PROCESSES_MAX)?;
    let is_new = |row: &Row| !before.0.contains(&(row.pid, row.start_ticks));
    rows.retain(|row| row.parent == own && is_new(row));
    Ok(rows)
}

/// By its pidfd: one whose first thread has ended looks like a zombie and runs.
fn still_runs(survivor: &Survivor) -> bool {
    Pin::take(survivor.pid)
        .is_ok_and(|pin| pin.start_ticks() == survivor.start_ticks && pin.is_running())
}
