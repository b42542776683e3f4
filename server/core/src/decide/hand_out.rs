//! Hand-out: which messages a lease gets next, and when a worker's stream gets them.
//!
//! Messages that interrupt go first, then those that steer, then the others: returned before new, lowest seq first. In
//! a STRICT queue nothing that is behind a returned message in this order goes out before that one is due. What is
//! handed out is counted, and in flight, in the same commit. A stream gets work whenever it has room; leases that wait
//! for room take turns.

use std::ops::Bound;
use std::sync::Arc;

use super::{assign, attached, cancel, release};
use crate::command::Command;
use crate::draft::{Draft, Stop};
use crate::ids::{Epoch, QueueId, Seq};
use crate::index::{IndexEntry, Scan};
use crate::lease::LeaseMode;
use crate::limits::DELIVERY_BYTES_MAX;
use crate::message::{DeliveryMode, Lane, MessageRow, Rank, Standing};
use crate::presence::{Instance, InstanceKey};
use crate::queue::{Disposition, QueueRow};
use crate::reply::{Delivery, Frame, Wake};
use crate::session::{Ordering, SessionRow};

/// How much may be handed out at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) messages: u32,
    pub(super) bytes: u64,
    pub(super) first: First,
}

/// Whether the first message goes out whatever its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// It does: nothing else is in flight, or it could never leave.
    AnySize,
    /// It waits until it fits.
    IfItFits,
}

/// What was handed out and why no more.
#[derive(Debug)]
pub(super) struct HandOut {
    pub(super) deliveries: Vec<Delivery>,
    pub(super) end: HandOutEnd,
}

/// Why a hand-out ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HandOutEnd {
    /// The queue gave what it may, or all the messages that were asked for.
    Given,
    /// The next message did not fit into the bytes that were left.
    Bytes,
    /// The next message belongs into another frame.
    Frame,
}

/// Hands out what fits, under the lease `epoch`.
pub(super) fn hand_out(
    draft: &mut Draft<'_>,
    session: &SessionRow,
    epoch: Epoch,
    room: Room,
) -> Result<HandOut, Stop> {
    if draft.queue_ref(session.queue)?.depth.ready == 0 || cancel::holds_back(draft, epoch)? {
        return Ok(HandOut {
            deliveries: Vec::new(),
            end: HandOutEnd::Given,
        });
    }
    let queue = draft.queue(session.queue)?;
    let bytes_max = room.bytes.min(DELIVERY_BYTES_MAX);
    let deadline = draft.lease_view(epoch)?.expire_time;
    let mut deliveries = Vec::new();
    let mut bytes = 0;
    let mut end = HandOutEnd::Given;
    let next = eligible(draft, session, &queue, room.messages)?;
    draft.know_messages(next.iter().map(|seq| (queue.id, *seq)))?;
    let mut frame = FrameOf::Nothing;
    for seq in next {
        let before = draft
            .message(queue.id, seq)?
            .expect("an indexed message is on record");
        match frame.joined_by(before.mode, queue.depth.in_flight) {
            Ok(joined) => frame = joined,
            Err(cut) => {
                end = cut;
                break;
            }
        }
        let any_size = deliveries.is_empty() && room.first == First::AnySize;
        if !any_size && bytes + before.bytes > bytes_max {
            end = HandOutEnd::Bytes;
            break;
        }
        bytes += before.bytes;
        let mut queue = draft.queue(queue.id)?;
        let delivery_id = queue.next_delivery;
        queue.next_delivery = delivery_id.next();
        draft.put_queue(queue)?;
        let mut message = MessageRow::clone(&before);
        message.latest = Some(delivery_id);
        message.attempt += 1;
        message.standing = Standing::InFlight(epoch);
        let message = Arc::new(message);
        draft.move_message(Some(&before), Some(Arc::clone(&message)))?;
        let charged = i64::try_from(message.bytes).expect("a message is smaller than an exabyte");
        release::charge(draft, epoch, 1, charged);
        deliveries.push(Delivery {
            session: session.id.clone(),
            payload: draft.payload_at_hand(message.queue, seq),
            delivery_id,
            epoch,
            deadline,
            message,
        });
    }
    Ok(HandOut { deliveries, end })
}

/// What a frame has so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FrameOf {
    /// Nothing.
    Nothing,
    /// Messages that are collected, and no others.
    Collected,
    /// Messages that come as they come.
    Others,
}

impl FrameOf {
    /// What it is with one more message, or why it ends before it. Messages that are collected wait until nothing is in
    /// flight, and have a frame of their own.
    fn joined_by(self, mode: DeliveryMode, in_flight: u64) -> Result<Self, HandOutEnd> {
        let collects = match mode {
            DeliveryMode::Collect => !faulty!(CollectMixed),
            DeliveryMode::FollowUp | DeliveryMode::Steer | DeliveryMode::Interrupt => false,
        };
        match (self, collects) {
            (Self::Nothing, true) if in_flight > 0 => Err(HandOutEnd::Given),
            (Self::Nothing | Self::Collected, true) => Ok(Self::Collected),
            (Self::Others, true) => Err(HandOutEnd::Given),
            (Self::Collected, false) => Err(HandOutEnd::Frame),
            (Self::Nothing | Self::Others, false) => Ok(Self::Others),
        }
    }
}

/// The next messages of a queue, as many as may be in flight beside what is.
fn eligible(
    draft: &Draft<'_>,
    session: &SessionRow,
    queue: &QueueRow,
    want: u32,
) -> Result<Vec<Seq>, Stop> {
    if queue.disposition != Disposition::Serving || queue.depth.ready == 0 {
        return Ok(Vec::new());
    }
    let free = u64::from(session.in_flight_max()).saturating_sub(queue.depth.in_flight);
    let want = usize::try_from(free.min(u64::from(want)))
        .expect("a bound of what is in flight fits a usize");
    if want == 0 {
        return Ok(Vec::new());
    }
    let barrier = match session.ordering {
        Ordering::Relaxed => None,
        Ordering::Strict | Ordering::Serial if faulty!(BarrierIgnored) => None,
        Ordering::Strict | Ordering::Serial => first_returned(draft, queue.id)?,
    };
    let ready = draft.scan(&Scan::Ready(queue.id), want)?;
    let Some(barrier) = barrier else {
        return Ok(ready.iter().filter_map(IndexEntry::seq).collect());
    };
    let before = |entry: &IndexEntry| {
        let (lane, seq) = ready_place(entry)?;
        ((lane, seq) < barrier).then_some(seq)
    };
    let first = ready
        .iter()
        .filter(|entry| !matches!(entry, IndexEntry::Ready(_, Rank::New, _)));
    let mut next: Vec<Seq> = first.filter_map(before).collect();
    if next.len() < want {
        // However many were brought back behind the barrier, they do not hide what is before it.
        let new = draft.scan(&Scan::New(queue.id), want - next.len())?;
        next.extend(new.iter().filter_map(before));
    }
    Ok(next)
}

/// The place of a ready message in its queue's order.
fn ready_place(entry: &IndexEntry) -> Option<(Lane, Seq)> {
    let IndexEntry::Ready(_, rank, seq) = entry else {
        return None;
    };
    Some((rank.lane(), *seq))
}

/// The place of the first message that was handed out and waits to be due again.
fn first_returned(draft: &Draft<'_>, queue: QueueId) -> Result<Option<(Lane, Seq)>, Stop> {
    let first = draft.scan(&Scan::Returned(queue), 1)?;
    Ok(match first.first() {
        Some(IndexEntry::Returned(_, lane, seq)) => Some((*lane, *seq)),
        _ => None,
    })
}

/// Sees to it that new work of a queue finds its worker: its holder's stream, a waiting claim, or an
/// instance that wants sessions assigned.
pub(super) fn offer(draft: &mut Draft<'_>, id: QueueId) -> Result<(), Stop> {
    offer_beside(draft, id, None)
}

/// The same, to somebody else than the instance that had it, if there is one.
pub(super) fn offer_beside(
    draft: &mut Draft<'_>,
    id: QueueId,
    last: Option<&InstanceKey>,
) -> Result<(), Stop> {
    let queue = draft.queue_ref(id)?;
    let may_go = queue.disposition == Disposition::Serving && !queue.suspended;
    if !may_go || queue.depth.ready == 0 {
        return Ok(());
    }
    let (lease, owner) = (queue.lease, queue.owner);
    if let Some(epoch) = lease
        && let Some(clock) = draft.clock_ref(epoch)
        && clock.mode == LeaseMode::Stream
    {
        let holder = clock.holder.clone();
        mark_hungry(draft, &holder, epoch);
        return refill(draft, &holder);
    }
    let wake = Wake {
        namespace: queue.namespace.clone(),
        session: owner,
    };
    draft.wakes.push(wake);
    if lease.is_none() {
        let session = draft.session(owner)?;
        let takers = || takers(draft, &session);
        let other = takers().find(|key| last != Some(*key));
        if let Some(instance) = other.or_else(|| takers().next()).cloned() {
            draft.follow_ups.push(Command::Assign { instance, skip: 0 });
        }
    }
    Ok(())
}

/// The instances that serve a session and would hold one more, this decision's changes included.
pub(super) fn takers<'d>(
    draft: &'d Draft<'_>,
    session: &SessionRow,
) -> impl Iterator<Item = &'d InstanceKey> {
    let has_room = attached::has_room(draft, session);
    let here = draft.view.presence.instances_of(&session.namespace);
    let takes = |i: &Instance| i.would_take(session) && draft.is_heard(i);
    here.map(|(key, _)| key)
        .filter(move |key| has_room && draft.instance_ref(key).is_some_and(takes))
}

/// Gives the room that a decision made, by whatever it did, to leases that wait for some and to
/// sessions that wait for a worker.
pub(super) fn fill_freed(draft: &mut Draft<'_>) -> Result<(), Stop> {
    for key in draft.touched_instances() {
        if faulty!(RoomUnfilled) {
            continue;
        }
        refill(draft, &key)?;
        assign::ask_if_freed(draft, &key);
    }
    Ok(())
}

/// Notes that a lease's queue has messages for its holder.
pub(super) fn mark_hungry(draft: &mut Draft<'_>, holder: &InstanceKey, epoch: Epoch) {
    if let Some(instance) = draft.instance_mut(holder) {
        instance.hungry.insert(epoch);
    }
}

/// Fills a stream's window from the leases that wait for room, in turn.
pub(super) fn refill(draft: &mut Draft<'_>, holder: &InstanceKey) -> Result<(), Stop> {
    let Some(instance) = draft.instance_ref(holder) else {
        return Ok(());
    };
    let Some(stream) = instance.stream.filter(|_| draft.is_heard(instance)) else {
        return Ok(());
    };
    let mut in_vain = 0;
    while let Some((epoch, room, waiting)) = next_turn(draft, holder)
        && in_vain < waiting
    {
        let deliveries = serve(draft, holder, epoch, room)?;
        if deliveries.is_empty() {
            // Only one that still waits had its turn in vain: its next message is too large for now.
            let waits = draft
                .instance_ref(holder)
                .is_some_and(|i| i.hungry.contains(&epoch));
            in_vain += u32::from(waits);
        } else {
            in_vain = 0;
            draft.push(stream, Frame::Deliveries(deliveries));
        }
    }
    Ok(())
}

/// The lease whose turn it is, with its share of the room there is, and how many wait.
fn next_turn(draft: &Draft<'_>, holder: &InstanceKey) -> Option<(Epoch, Room, u32)> {
    let instance: &Instance = draft.instance_ref(holder)?;
    let (messages, bytes) = instance.room()?;
    let after = (Bound::Excluded(instance.served), Bound::Unbounded);
    let epoch = instance
        .hungry
        .range(after)
        .next()
        .or_else(|| instance.hungry.first())?;
    let waiting = u32::try_from(instance.hungry.len()).unwrap_or(u32::MAX);
    let room = Room {
        messages: messages.div_ceil(waiting),
        bytes,
        first: if instance.in_flight.messages == 0 {
            First::AnySize
        } else {
            First::IfItFits
        },
    };
    Some((*epoch, room, waiting))
}

fn serve(
    draft: &mut Draft<'_>,
    holder: &InstanceKey,
    epoch: Epoch,
    room: Room,
) -> Result<Vec<Delivery>, Stop> {
    let (no, id) = {
        let lease = draft.lease_ref(epoch)?;
        (lease.session, lease.queue)
    };
    let session = draft.session(no)?;
    let HandOut { deliveries, end } = hand_out(draft, &session, epoch, room)?;
    let given = u32::try_from(deliveries.len()).expect("a frame's deliveries fit a u32");
    // Fewer than its share means that the queue, not the window, has no more to give for now;
    // what changes that offers the queue again.
    let cut = match end {
        HandOutEnd::Bytes | HandOutEnd::Frame => true,
        HandOutEnd::Given => false,
    };
    let starved = cut || given == room.messages && draft.queue_ref(id)?.depth.ready > 0;
    if let Some(instance) = draft.instance_mut(holder) {
        instance.served = epoch;
        if !starved {
            instance.hungry.remove(&epoch);
        }
    }
    Ok(deliveries)
}
