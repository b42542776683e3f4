//! Release: how a lease stops holding its session.
//!
//! A superseded lease no longer holds the session, but what it has in flight stays settleable and is
//! handed out again only when the worker detaches or one lease duration is over. A returned lease
//! gives everything back at once and leaves no row. What this deliberately does not do: say whether an attempt counts,
//! or hand anything out.

use std::sync::Arc;

use super::let_go;
use super::returned::{self, Return};
use crate::draft::{Draft, Stop};
use crate::ids::Epoch;
use crate::index::{IndexEntry, Scan};
use crate::lease::{LeaseMode, LeaseRow, LeaseStanding};
use crate::limits::MAX_IN_FLIGHT_MAX;
use crate::message::MessageRow;
use crate::presence::Load;
use crate::reply::{Frame, LeaseLostReason};
use crate::session::SessionRow;

/// Ends the hold of a session's lease; its deliveries stay out.
pub(super) fn supersede(
    draft: &mut Draft<'_>,
    session: &SessionRow,
    reason: LeaseLostReason,
) -> Result<(), Stop> {
    let Some(epoch) = session.lease else {
        return Ok(());
    };
    let mut lease = draft.lease(epoch)?;
    let holder = (lease.namespace.clone(), lease.instance.clone());
    draft.push_to(
        &holder,
        Frame::LeaseLost {
            session: session.id.clone(),
            epoch,
            reason,
            successor: session.successor.clone(),
        },
    );
    unhold(draft, &lease)?;
    if in_flight(draft, &lease, 1)?.is_empty() {
        return draft.remove_lease(epoch);
    }
    lease.cancel_by = None;
    if faulty!(SupersededEarly) {
        lease.standing = LeaseStanding::Superseded {
            until: draft.now.engine,
        };
        let actor = crate::event::Actor::reaper();
        return give_back(draft, &lease, &Return::refunded(actor));
    }
    lease.standing = LeaseStanding::Superseded {
        until: draft.now.engine + lease.duration,
    };
    draft.put_lease(lease)
}

/// Ends a lease and gives everything it has in flight back to the queue.
pub(super) fn give_back(draft: &mut Draft<'_>, lease: &LeaseRow, how: &Return) -> Result<(), Stop> {
    if lease.standing == LeaseStanding::Current {
        unhold(draft, lease)?;
    }
    for message in in_flight(draft, lease, MAX_IN_FLIGHT_MAX as usize)? {
        returned::give_back(draft, &message, how)?;
    }
    draft.remove_lease(lease.epoch)
}

/// The messages a lease has in flight, in order of seq.
pub(super) fn in_flight(
    draft: &Draft<'_>,
    lease: &LeaseRow,
    want: usize,
) -> Result<Vec<Arc<MessageRow>>, Stop> {
    let entries = draft.scan(&Scan::InFlight(lease.queue, lease.epoch), want)?;
    entries
        .iter()
        .filter_map(IndexEntry::seq)
        .map(|seq| {
            let row = draft.message(lease.queue, seq)?;
            Ok(row.expect("an indexed message is on record"))
        })
        .collect()
}

/// Sees to it that what leases have in flight is known, and asks for all that is not at once.
pub(super) fn know_in_flight<'a>(
    draft: &Draft<'_>,
    leases: impl Iterator<Item = &'a LeaseRow>,
) -> Result<(), Stop> {
    let (mut missing, mut known) = (Vec::new(), Vec::new());
    for lease in leases {
        let scan = Scan::InFlight(lease.queue, lease.epoch);
        match draft.scan(&scan, MAX_IN_FLIGHT_MAX as usize) {
            Ok(entries) => {
                let seqs = entries.iter().filter_map(IndexEntry::seq);
                known.extend(seqs.map(|seq| (lease.queue, seq)));
            }
            Err(Stop::Missing(reads)) => missing.extend(reads),
            Err(rejected @ Stop::Rejected(_)) => return Err(rejected),
        }
    }
    if !missing.is_empty() {
        return Err(Stop::Missing(missing));
    }
    draft.know_messages(known.into_iter())
}

/// What a lease has to carry that has these in flight.
pub(super) fn load(open: &[Arc<MessageRow>]) -> Load {
    Load {
        messages: u32::try_from(open.len()).expect("what is in flight fits a u32"),
        bytes: open.iter().map(|message| message.bytes).sum(),
        sessions: 0,
    }
}

/// Adds to, or takes from, what a lease and its holder have in flight.
pub(super) fn charge(draft: &mut Draft<'_>, epoch: Epoch, messages: i32, bytes: i64) {
    let Some(mut clock) = draft.clock(epoch) else {
        return;
    };
    if clock.load.messages == 0 && messages > 0 {
        // Its holder had nothing to get on with before.
        clock.moved_at = draft.now.engine;
    }
    let shift = |load: &mut Load| {
        load.messages = load.messages.saturating_add_signed(messages);
        load.bytes = load.bytes.saturating_add_signed(bytes);
    };
    shift(&mut clock.load);
    if clock.mode == LeaseMode::Stream
        && let Some(instance) = draft.instance_mut(&clock.holder)
    {
        shift(&mut instance.in_flight);
    }
    draft.set_clock(epoch, Some(clock));
}

/// Notes that work under a lease moves.
pub(super) fn moved(draft: &mut Draft<'_>, epoch: Epoch) {
    let now = draft.now.engine;
    if let Some(clock) = draft.clock_mut(epoch).filter(|_| !faulty!(SettleUnmoved)) {
        clock.moved_at = now;
    }
}

/// Takes the lease off its session, its queue and its holder.
fn unhold(draft: &mut Draft<'_>, lease: &LeaseRow) -> Result<(), Stop> {
    let mut session = Arc::unwrap_or_clone(draft.session(lease.session)?);
    session.lease = None;
    draft.put_session(session);
    let_go::of_lease(draft, lease.session, lease.epoch)?;
    let mut queue = draft.queue(lease.queue)?;
    queue.lease = None;
    draft.put_queue(queue)?;
    if let Some(clock) = draft.clock(lease.epoch) {
        if clock.mode == LeaseMode::Stream
            && let Some(instance) = draft.instance_mut(&clock.holder)
        {
            let load = &mut instance.in_flight;
            load.messages = load.messages.saturating_sub(clock.load.messages);
            load.bytes = load.bytes.saturating_sub(clock.load.bytes);
            load.sessions = load.sessions.saturating_sub(1);
            instance.hungry.remove(&lease.epoch);
        }
        draft.set_clock(lease.epoch, None);
        forget_absent(draft, &clock.holder);
    }
    Ok(())
}

/// Forgets an instance that has neither a stream nor a lease.
pub(super) fn forget_absent(draft: &mut Draft<'_>, holder: &crate::presence::InstanceKey) {
    let gone = draft
        .instance_ref(holder)
        .is_some_and(|i| i.stream.is_none());
    if gone && draft.leases_of(holder).is_empty() {
        draft.set_instance(holder.clone(), None);
    }
}
