//! Release: ends a registered process and all that belongs to it, and says once what came of it.
//!
//! ```text
//! verify ─► gather ─► TERM, CONT ─► wait ─┐      gather ─► STOP what is new ─► KILL ─► wait ─┐
//!             ▲                           │        ▲               cgroup.kill               │
//!             └── grace left, some run ◄──┘        └────────── time left, some run ◄─────────┘
//!                      │ grace over ──────────────►│
//!                      └─ none runs ─► outcome ◄───┴─ none runs, or time over
//! ```
//!
//! "None runs" is believed when two looks in a row say so, for one passes by what is forked while it looks.
//!
//! Invariant: it takes no longer than grace and verification together, but for the looks at all processes and for what
//! the kernel takes to freeze cgroups: up to 100 ms for each of up to 16, each time they are killed. It waits for
//! processes, and for time alone only between two such looks. What this deliberately does not do: remember a release that
//! was cut short. It can be repeated, and finds what is left.
//!
//! What is in a cgroup of the resource is killed by one write to `cgroup.kill` as well, which leaves out nothing that is
//! forked meanwhile.
//!
//! What escapes, where the resource has no such cgroup or a process of root left it: a process that left its group, its
//! session and its parent without the marker, and one that was forked so by a member that ended between two looks.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::deny::Denial;
use crate::identity::{Found, Identity, find};
use crate::marker::Marker;
use crate::sweep::{Step, Sweep};
use crate::terms::{Released, Terms};

/// How long members are waited for until all processes are looked at again: a tree that forks while it ends is seen
/// soon, and a wait of two seconds costs forty looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often is looked before nothing that comes and goes can be told.
const LOOKS_MAX: usize = 8;

/// How often members are frozen without a kill: each time there are new ones only if one was just forked, and what is
/// frozen does not fork.
const FREEZES_MAX: usize = 8;

/// Ends the process, everything in the group and the session it leads, all their descendants, and whatever carries the
/// marker of the terms. Blocks for as long as the terms say.
///
/// With a process that has ended, only what carries the marker is looked for: the numbers of its group and session
/// may have gone to others. A zombie still has its number, so its group and session are released.
pub fn release(identity: &Identity, terms: &Terms) -> Released {
    try_release(identity, terms).unwrap_or_else(Released::Denied)
}

/// Ends whatever carries the marker, without any process to start from. The marker of the terms is not used.
pub fn release_marked(marker: &Marker, terms: &Terms) -> Released {
    let terms = Terms {
        marker: Some(marker.clone()),
        ..terms.clone()
    };
    Sweep::new(&terms)
        .and_then(run)
        .unwrap_or_else(Released::Denied)
}

/// Whether anything is left that a release of the process would end, or may not: what carries the marker of the terms or is
/// in a cgroup of it, and what hangs on the process itself as long as it has its number. When nothing is, its empty cgroups
/// are removed as after a release: what was found gone is released by nobody.
///
/// # Errors
/// Why that cannot be told.
pub fn is_left(identity: Option<&Identity>, terms: &Terms) -> Result<bool, Denial> {
    let found = identity.map(|identity| find(identity, terms.weak));
    let mut sweep = Sweep::new(terms)?;
    match found.transpose()? {
        Some(Found::Alive(pin) | Found::Zombie(pin)) => sweep.add(pin)?,
        Some(Found::OtherBoot | Found::Mismatch | Found::Gone) | None => {}
    }
    let mut waited_for = BTreeSet::new();
    for look in 0..LOOKS_MAX {
        sweep.gather()?;
        if sweep.outcome() != Released::AlreadyGone {
            return Ok(true);
        }
        // What was just forked may have been passed by, so finding nothing once says little.
        let is_unsure = !sweep.unsure().is_subset(&waited_for);
        waited_for.extend(sweep.unsure());
        if look > 0 && !is_unsure {
            sweep.remove_cgroups();
            return Ok(false);
        }
        sweep.wait(Instant::now() + LOOK_EVERY)?;
    }
    Err(Denial::Unverifiable {
        what: "processes come and go too fast".to_owned(),
    })
}

fn try_release(identity: &Identity, terms: &Terms) -> Result<Released, Denial> {
    let found = match find(identity, terms.weak)? {
        Found::Mismatch => return Ok(Released::Mismatch),
        // Started again after a boot it has another number, and its mark.
        Found::OtherBoot | Found::Gone => None,
        Found::Alive(pin) | Found::Zombie(pin) => Some(pin),
    };
    let mut sweep = Sweep::new(terms)?;
    if let Some(pin) = found {
        sweep.add(pin)?;
    }
    run(sweep)
}

/// Ends all members of a sweep; when nothing is left, the cgroups of the resource go too.
pub(crate) fn run(mut sweep: Sweep<'_>) -> Result<Released, Denial> {
    let is_over = ask(&mut sweep)?;
    if !is_over && let Err(denial) = kill(&mut sweep) {
        // What was frozen must not stay so: it can neither go on nor end by itself.
        sweep.bring(Step::Killed)?;
        return Err(denial);
    }
    let released = sweep.outcome();
    if matches!(released, Released::Killed | Released::AlreadyGone) {
        sweep.remove_cgroups();
    }
    Ok(released)
}

/// Asks members to end for as long as the grace lasts; answers whether none runs, by two looks.
fn ask(sweep: &mut Sweep<'_>) -> Result<bool, Denial> {
    let until = Instant::now() + sweep.terms().grace;
    let mut waited_for = BTreeSet::new();
    let mut was_over = false;
    loop {
        sweep.gather()?;
        // Each is waited for once: one that shows no environment may be in the middle of an exec, or have none.
        let is_unsure = !sweep.unsure().is_subset(&waited_for);
        waited_for.extend(sweep.unsure());
        let is_over = sweep.is_over();
        if is_over && was_over && !is_unsure {
            return Ok(true);
        }
        if Instant::now() >= until {
            return Ok(false);
        }
        was_over = is_over;
        sweep.bring(Step::Asked)?;
        sweep.wait(until.min(Instant::now() + LOOK_EVERY))?;
    }
}

/// Kills members until none runs, or the time for it is over. With none it only looks once more.
fn kill(sweep: &mut Sweep<'_>) -> Result<(), Denial> {
    let until = Instant::now() + sweep.terms().verify;
    loop {
        let was_over = sweep.is_over();
        freeze(sweep)?;
        sweep.kill_cgroups();
        sweep.bring(Step::Killed)?;
        sweep.wait(until.min(Instant::now() + LOOK_EVERY))?;
        sweep.gather()?;
        if (sweep.is_over() && was_over) || Instant::now() >= until {
            return Ok(());
        }
    }
}

/// Stops members until no look finds one that is not.
fn freeze(sweep: &mut Sweep<'_>) -> Result<(), Denial> {
    for _ in 0..FREEZES_MAX {
        if sweep.bring(Step::Frozen)? == 0 || sweep.is_full() {
            break;
        }
        sweep.gather()?;
    }
    Ok(())
}
