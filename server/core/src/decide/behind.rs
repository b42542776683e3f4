//! Behind: a session that begins while something of the one before it is left outside, and how it goes on.
//!
//! It is QUEUED, but in no line: what it waits for is no slot, so those behind it may pass. Once nothing is left, the slot of
//! its predecessor is its own, if the predecessor gave way to it; any other takes its turn in the line by its age. It waits
//! for as long as it takes, unless its caller said how long. A key has at most one earlier session of which something is
//! left, because none of its later ones is in use before that is gone.

use std::sync::Arc;

use super::slot;
use crate::command::Open;
use crate::draft::{Draft, PoolKey, Stop};
use crate::ids::SessionNo;
use crate::index::{IndexEntry, Scan};
use crate::rows::{Row, RowKey};
use crate::session::{Behind, Lifecycle, PredecessorSlot, SessionRow};

/// How many sessions may wait for the resources of one: its successor, or whoever took that one's place.
const WAITERS_MAX: usize = 2;

/// The session whose resources must be gone before a new one goes on: the one that gives way to it, the one that this
/// one waited for, or an earlier one of the key.
pub(super) fn of_new(
    draft: &Draft<'_>,
    open: &Open,
    pool: &PoolKey,
    old: Option<&SessionRow>,
) -> Result<Option<Behind>, Stop> {
    if faulty!(PredecessorIgnored) {
        return Ok(None);
    }
    let in_pool = old.is_some_and(|old| slot::pool_of(old) == *pool);
    let slot = |passes: bool| match passes && in_pool {
        true => PredecessorSlot::Passes,
        false => PredecessorSlot::Frees,
    };
    if let Some(old) = old {
        let behind = match &old.lifecycle {
            Lifecycle::Queued(wait) => wait.behind.map(|behind| Behind {
                slot: slot(behind.slot == PredecessorSlot::Passes),
                ..behind
            }),
            Lifecycle::Active | Lifecycle::Draining(_) | Lifecycle::Ended(_) => {
                (old.unreleased().count > 0).then_some(Behind {
                    predecessor: old.no,
                    slot: slot(true),
                })
            }
        };
        return Ok(behind);
    }
    let Some(key) = &open.key else {
        return Ok(None);
    };
    let row = draft.key(&open.namespace, key)?;
    Ok(row.unreleased.map(|predecessor| Behind {
        predecessor,
        slot: PredecessorSlot::Frees,
    }))
}

/// Nothing of a session is left outside: whoever waited for that goes on.
pub(super) fn nothing_left(draft: &mut Draft<'_>, no: SessionNo) -> Result<(), Stop> {
    let session = draft.session(no)?;
    if let Some(key) = &session.key {
        let mut row = draft.key(&session.namespace, key)?;
        if row.unreleased == Some(no) {
            row.unreleased = None;
            let place = RowKey::Key(session.namespace.clone(), key.clone());
            // It may have been forgotten by then, with all that came after it.
            if row.is_empty() {
                draft.remove(place);
            } else {
                draft.put(place, Row::Key(row.into()));
            }
        }
    }
    let waiters = draft.scan(&Scan::Behind(no), WAITERS_MAX)?;
    for waiter in waiters.iter().filter_map(IndexEntry::session) {
        let_pass(draft, waiter)?;
    }
    Ok(())
}

/// A session waited for this: it has the slot that was kept for it, or takes its turn in the line.
fn let_pass(draft: &mut Draft<'_>, no: SessionNo) -> Result<(), Stop> {
    let mut session = draft.session(no)?;
    let Lifecycle::Queued(wait) = &mut Arc::make_mut(&mut session).lifecycle else {
        return Ok(());
    };
    let Some(Behind { slot, .. }) = wait.behind.take() else {
        return Ok(());
    };
    let pool = slot::pool_of(&session);
    draft.put_session(session);
    match slot {
        PredecessorSlot::Passes if !faulty!(SlotNotPassed) => slot::admit(draft, no),
        PredecessorSlot::Passes | PredecessorSlot::Frees => {
            draft.lines.insert(pool);
            Ok(())
        }
    }
}
