//! The draft: one decision in the making, over a view that does not move.
//!
//! It reads its own writes first, then the view; what neither knows becomes a [`Stop::Missing`] and
//! the decision is tried again with more loaded. Putting a row puts its index entries and, for a
//! message, its queue's counters too, so no decision can forget them. Dropping a draft undoes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::change::{Change, Membership};
use crate::command::Command;
use crate::deadlines;
use crate::ids::{
    Epoch, IdempotencyKey, Namespace, PoolName, QueueId, RequestId, Revision, Seq, SessionId,
    SessionKey, SessionNo, StreamId,
};
use crate::index::{
    IndexDelta, IndexEntry, Scan, entries_of_activity, entries_of_lease, entries_of_message,
    entries_of_queue,
};
use crate::lease::LeaseRow;
use crate::limits::Policy;
use crate::message::{MessageRow, Standing};
use crate::presence::{Instance, InstanceKey, LeaseClock, PresenceChange};
use crate::queue::{Depth, Disposition, QueueRow};
use crate::rejection::Rejection;
use crate::reply::{Frame, Push, Wake};
use crate::rows::{Counters, IdempotencyRow, KeyRow, PoolRow, Read, RequestRow, Row, RowKey};
use crate::session::{ActivityRow, SessionRow};
use crate::time::{EngineTime, Now};
use crate::view::View;

pub(crate) mod events;

/// Why a decision stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The answer is no.
    Rejected(Box<Rejection>),
    /// Load these and decide again.
    Missing(Vec<Read>),
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(Box::new(rejection))
    }
}

/// A decision in the making.
#[derive(Debug)]
pub(crate) struct Draft<'v> {
    pub(crate) view: &'v View,
    pub(crate) now: Now,
    pub(crate) rows: BTreeMap<RowKey, Option<Row>>,
    pub(crate) index: IndexDelta,
    pub(crate) events: Vec<Revision>,
    pub(crate) pushes: Vec<Push>,
    pub(crate) wakes: Vec<Wake>,
    pub(crate) follow_ups: Vec<Command>,
    instances: BTreeMap<InstanceKey, Option<Instance>>,
    clocks: BTreeMap<Epoch, Option<LeaseClock>>,
}

macro_rules! reader {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $row:ty, ($($arg:ident: $ty:ty),*), $key:expr) => {
        $(#[$doc])*
        pub(crate) fn $name(&self, $($arg: $ty),*) -> Result<Option<$row>, Stop> {
            match self.row($key)? {
                None => Ok(None),
                Some(Row::$variant(row)) => Ok(Some(row.clone())),
                Some(other) => panic!("a key of one kind holds a row of another: {other:?}"),
            }
        }
    };
}

impl<'v> Draft<'v> {
    pub(crate) fn new(view: &'v View, now: Now) -> Self {
        Self {
            view,
            now,
            rows: BTreeMap::new(),
            index: IndexDelta::new(),
            events: Vec::new(),
            pushes: Vec::new(),
            wakes: Vec::new(),
            follow_ups: Vec::new(),
            instances: BTreeMap::new(),
            clocks: BTreeMap::new(),
        }
    }

    /// Undoes everything so far.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.view, self.now);
    }

    pub(crate) fn policy(&self) -> &Arc<Policy> {
        &self.view.policy
    }

    // === reading rows ===

    fn row(&self, key: RowKey) -> Result<Option<&Row>, Stop> {
        if let Some(own) = self.rows.get(&key) {
            return Ok(own.as_ref());
        }
        match self.view.row(&key) {
            Some(known) => Ok(known),
            None => Err(Stop::Missing(vec![Read::Row(key)])),
        }
    }

    reader!(shared_session, Session, Arc<SessionRow>, (no: SessionNo), RowKey::Session(no));
    reader!(activity_if, Activity, ActivityRow, (no: SessionNo), RowKey::Activity(no));
    reader!(queue_if, Queue, QueueRow, (id: QueueId), RowKey::Queue(id));
    reader!(message, Message, Arc<MessageRow>, (queue: QueueId, seq: Seq), RowKey::Message(queue, seq));
    reader!(dead_letter, Message, Arc<MessageRow>, (queue: QueueId, seq: Seq), RowKey::DeadLetter(queue, seq));
    reader!(lease_if, Lease, LeaseRow, (epoch: Epoch), RowKey::Lease(epoch));
    reader!(key_if, Key, KeyRow, (ns: &Namespace, key: &SessionKey), RowKey::Key(ns.clone(), key.clone()));
    reader!(session_id, SessionId, SessionNo, (ns: &Namespace, id: &SessionId), RowKey::SessionId(ns.clone(), id.clone()));
    reader!(idempotency, Idempotency, IdempotencyRow, (queue: QueueId, key: &IdempotencyKey), RowKey::Idempotency(queue, key.clone()));
    reader!(request, Request, RequestRow, (ns: &Namespace, id: &RequestId), RowKey::Request(ns.clone(), id.clone()));
    reader!(pool_if, Pool, PoolRow, (ns: &Namespace, pool: &PoolName), RowKey::Pool(ns.clone(), pool.clone()));
    reader!(counters_if, Counters, Counters, (), RowKey::Counters);

    /// A session, to be looked at or changed.
    pub(crate) fn session_if(&self, no: SessionNo) -> Result<Option<SessionRow>, Stop> {
        Ok(self.shared_session(no)?.map(Arc::unwrap_or_clone))
    }

    /// A session that something on record points at.
    pub(crate) fn session(&self, no: SessionNo) -> Result<SessionRow, Stop> {
        Ok(self
            .session_if(no)?
            .expect("a session that a row points at is on record"))
    }

    /// The warm row of a session on record.
    pub(crate) fn activity(&self, no: SessionNo) -> Result<ActivityRow, Stop> {
        Ok(self
            .activity_if(no)?
            .expect("every session has its warm row"))
    }

    /// A queue that something on record points at.
    pub(crate) fn queue(&self, id: QueueId) -> Result<QueueRow, Stop> {
        Ok(self
            .queue_if(id)?
            .expect("a queue that a row points at is on record"))
    }

    /// A lease that a session or a delivery points at.
    pub(crate) fn lease(&self, epoch: Epoch) -> Result<LeaseRow, Stop> {
        Ok(self
            .lease_if(epoch)?
            .expect("a lease that a row points at is on record"))
    }

    pub(crate) fn key(&self, ns: &Namespace, key: &SessionKey) -> Result<KeyRow, Stop> {
        Ok(self.key_if(ns, key)?.unwrap_or_default())
    }

    pub(crate) fn counters(&self) -> Result<Counters, Stop> {
        Ok(self.counters_if()?.unwrap_or_default())
    }

    /// The payload, if this batch wrote it.
    pub(crate) fn payload_at_hand(&self, queue: QueueId, seq: Seq) -> Option<Bytes> {
        let key = RowKey::Payload(queue, seq);
        let row = match self.rows.get(&key) {
            Some(own) => own.as_ref(),
            None => self.view.row(&key).flatten(),
        };
        match row {
            Some(Row::Payload(bytes)) => Some(bytes.clone()),
            _ => None,
        }
    }

    /// The first `want` entries of a group.
    pub(crate) fn scan(&self, scan: &Scan, want: usize) -> Result<Vec<IndexEntry>, Stop> {
        self.view
            .indexes
            .scan(scan, want, &self.index)
            .map_err(|limit| {
                Stop::Missing(vec![Read::Scan {
                    scan: scan.clone(),
                    limit,
                }])
            })
    }

    // === writing rows ===

    pub(crate) fn put(&mut self, key: RowKey, row: Row) {
        self.rows.insert(key, Some(row));
    }

    pub(crate) fn remove(&mut self, key: RowKey) {
        self.rows.insert(key, None);
    }

    /// Moves a row's entries from what they were to what they are. What is noted is the difference to the view, no
    /// more: an entry that was taken out and put back has not changed, and one said to be put in was not there.
    pub(crate) fn reindex(&mut self, before: Vec<IndexEntry>, after: Vec<IndexEntry>) {
        let kept: Vec<IndexEntry> = before
            .iter()
            .filter(|entry| after.contains(entry))
            .cloned()
            .collect();
        for entry in before {
            let stale = faulty!(IndexStale) && matches!(entry, IndexEntry::Returned(..));
            if !kept.contains(&entry) && !stale {
                self.note(entry, Membership::Out);
            }
        }
        for entry in after {
            if !kept.contains(&entry) {
                self.note(entry, Membership::In);
            }
        }
    }

    fn note(&mut self, entry: IndexEntry, membership: Membership) {
        let present = membership == Membership::In;
        if self.index.get(&entry) == Some(&!present) {
            self.index.remove(&entry);
        } else {
            self.index.insert(entry, present);
        }
    }

    pub(crate) fn put_session(&mut self, row: SessionRow) {
        self.put(RowKey::Session(row.no), Row::Session(row.into()));
    }

    /// Writes the warm row and sees to it that the session's limits are looked at in time.
    pub(crate) fn put_activity(
        &mut self,
        session: &SessionRow,
        mut row: ActivityRow,
    ) -> Result<(), Stop> {
        // A check that comes too early re-arms itself, so it is moved only when it would come too late.
        row.check_at = match (row.check_at, self.next_look(session, &row)?) {
            (Some(armed), Some(next)) => Some(armed.min(next)),
            (None, next) => next,
            (Some(_), None) => None,
        };
        self.put_activity_checked_at(row)
    }

    fn next_look(
        &self,
        session: &SessionRow,
        row: &ActivityRow,
    ) -> Result<Option<EngineTime>, Stop> {
        let first = session.next_check(row);
        let now = self.now.engine;
        // A queue need not be loaded for limits that are all ahead.
        if !session.is_active() || first.is_none_or(|at| at > now) {
            return Ok(first);
        }
        let depth = self.queue(session.queue)?.depth;
        Ok(deadlines::next_look(session, row, depth, now))
    }

    /// Writes the warm row with the check it names.
    pub(crate) fn put_activity_checked_at(&mut self, row: ActivityRow) -> Result<(), Stop> {
        let before = self.activity_if(row.session)?;
        self.reindex(
            before.as_ref().map(entries_of_activity).unwrap_or_default(),
            entries_of_activity(&row),
        );
        self.put(RowKey::Activity(row.session), Row::Activity(row));
        Ok(())
    }

    pub(crate) fn put_queue(&mut self, row: QueueRow) -> Result<(), Stop> {
        let before = self.queue_if(row.id)?;
        self.reindex(
            before.as_ref().map(entries_of_queue).unwrap_or_default(),
            entries_of_queue(&row),
        );
        self.put(RowKey::Queue(row.id), Row::Queue(row));
        Ok(())
    }

    pub(crate) fn put_lease(&mut self, row: LeaseRow) -> Result<(), Stop> {
        let before = self.lease_if(row.epoch)?;
        self.reindex(
            before.as_ref().map(entries_of_lease).unwrap_or_default(),
            entries_of_lease(&row),
        );
        self.put(RowKey::Lease(row.epoch), Row::Lease(row));
        Ok(())
    }

    pub(crate) fn remove_lease(&mut self, epoch: Epoch) -> Result<(), Stop> {
        let before = self.lease_if(epoch)?;
        self.reindex(
            before.as_ref().map(entries_of_lease).unwrap_or_default(),
            Vec::new(),
        );
        self.remove(RowKey::Lease(epoch));
        Ok(())
    }

    pub(crate) fn put_counters(&mut self, row: Counters) {
        self.put(RowKey::Counters, Row::Counters(row));
    }

    /// Writes or removes a message and moves its queue's counters with it. `before` is the row as it
    /// stood, `after` as it stands; a given-up message moves to the dead letters.
    pub(crate) fn move_message(
        &mut self,
        before: Option<&MessageRow>,
        after: Option<Arc<MessageRow>>,
    ) -> Result<(), Stop> {
        let any = before
            .or(after.as_deref())
            .expect("a message is moved from or to somewhere");
        let (id, seq) = (any.queue, any.seq);
        let mut queue = self.queue(id)?;
        let mut counters = self.counters()?;
        let was = before.map(|row| (row.standing, row.bytes));
        let is = after.as_ref().map(|row| (row.standing, row.bytes));
        if let Some((standing, bytes)) = was {
            let leaks =
                faulty!(DiscardLeaks) && matches!(queue.disposition, Disposition::Discarded { .. });
            *gauge(&mut queue.depth, standing) -= u64::from(!leaks);
            shift_total(&mut counters, queue.disposition, standing, |n| n - 1);
            if !is_dead(standing) {
                queue.depth.bytes -= bytes;
            }
        }
        if let Some((standing, bytes)) = is {
            *gauge(&mut queue.depth, standing) += 1;
            shift_total(&mut counters, queue.disposition, standing, |n| n + 1);
            if !is_dead(standing) {
                queue.depth.bytes += bytes;
            }
        }
        self.put_counters(counters);
        self.reindex(
            before.map(entries_of_message).unwrap_or_default(),
            after.as_deref().map(entries_of_message).unwrap_or_default(),
        );
        self.place(was.map(|(s, _)| s), id, seq, after);
        self.refresh_oldest(&mut queue, seq)?;
        self.put_queue(queue)
    }

    /// Changes what may be done with a queue's messages; the totals follow.
    pub(crate) fn dispose(
        &mut self,
        mut queue: QueueRow,
        disposition: Disposition,
    ) -> Result<(), Stop> {
        let mut counters = self.counters()?;
        let depth = queue.depth;
        let pending = depth.ready + depth.waiting;
        match queue.disposition {
            Disposition::Dead { .. } => counters.dead_lettered -= depth.unsettled(),
            Disposition::Discarded { .. } => {}
            Disposition::Serving | Disposition::Quiet | Disposition::Held { .. } => {
                counters.pending -= pending;
                counters.in_flight -= depth.in_flight;
            }
        }
        match disposition {
            Disposition::Dead { .. } => counters.dead_lettered += depth.unsettled(),
            Disposition::Discarded { .. } => {}
            Disposition::Serving | Disposition::Quiet | Disposition::Held { .. } => {
                counters.pending += pending;
                counters.in_flight += depth.in_flight;
            }
        }
        self.put_counters(counters);
        queue.disposition = disposition;
        self.put_queue(queue)
    }

    fn place(
        &mut self,
        was: Option<Standing>,
        id: QueueId,
        seq: Seq,
        after: Option<Arc<MessageRow>>,
    ) {
        if let Some(standing) = was {
            let key = if is_dead(standing) {
                RowKey::DeadLetter(id, seq)
            } else {
                RowKey::Message(id, seq)
            };
            self.remove(key);
        }
        match after {
            Some(row) if is_dead(row.standing) => {
                self.put(RowKey::DeadLetter(id, seq), Row::Message(row));
            }
            Some(row) => self.put(RowKey::Message(id, seq), Row::Message(row)),
            None => self.remove(RowKey::Payload(id, seq)),
        }
    }

    /// Keeps `oldest` the lowest unsettled seq after `touched` came or went.
    fn refresh_oldest(&mut self, queue: &mut QueueRow, touched: Seq) -> Result<(), Stop> {
        let later = queue.oldest.is_some_and(|(oldest, _)| oldest < touched);
        if later || faulty!(OldestStale) {
            return Ok(());
        }
        queue.oldest = match self.scan(&Scan::Pending(queue.id), 1)?.first() {
            Some(IndexEntry::Pending(_, seq)) => {
                let row = self
                    .message(queue.id, *seq)?
                    .expect("an indexed message is on record");
                Some((*seq, row.enqueued_at))
            }
            _ => None,
        };
        Ok(())
    }

    // === presence ===

    pub(crate) fn instance(&self, key: &InstanceKey) -> Option<Instance> {
        self.instance_ref(key).cloned()
    }

    pub(crate) fn instance_ref(&self, key: &InstanceKey) -> Option<&Instance> {
        match self.instances.get(key) {
            Some(own) => own.as_ref(),
            None => self.view.presence.instance(key),
        }
    }

    /// The instances that this decision changed.
    pub(crate) fn touched_instances(&self) -> Vec<InstanceKey> {
        self.instances.keys().cloned().collect()
    }

    pub(crate) fn set_instance(&mut self, key: InstanceKey, instance: Option<Instance>) {
        self.instances.insert(key, instance);
    }

    pub(crate) fn clock(&self, epoch: Epoch) -> Option<LeaseClock> {
        match self.clocks.get(&epoch) {
            Some(own) => own.clone(),
            None => self.view.presence.clock(epoch).cloned(),
        }
    }

    pub(crate) fn set_clock(&mut self, epoch: Epoch, clock: Option<LeaseClock>) {
        self.clocks.insert(epoch, clock);
    }

    /// Whether an instance was heard of within a lease's time; one that was not is handed nothing.
    pub(crate) fn is_heard(&self, instance: &Instance) -> bool {
        self.now.engine < instance.last_seen + self.policy().stream_lease
    }

    /// The instant a lease lapses unless something renews it.
    pub(crate) fn lapse_at(&self, clock: &LeaseClock) -> EngineTime {
        clock.lapse_at(self.instance(&clock.holder).as_ref())
    }

    /// The leases an instance holds, this decision's included.
    pub(crate) fn leases_of(&self, holder: &InstanceKey) -> Vec<Epoch> {
        let mut epochs = self.view.presence.leases_of(holder);
        epochs.retain(|epoch| self.clocks.get(epoch) != Some(&None));
        for (epoch, clock) in &self.clocks {
            if clock.as_ref().is_some_and(|c| c.holder == *holder) && !epochs.contains(epoch) {
                epochs.push(*epoch);
            }
        }
        epochs
    }

    // === speaking ===

    pub(crate) fn push(&mut self, stream: StreamId, frame: Frame) {
        self.pushes.push((stream, frame));
    }

    /// Sends a frame to the instance's stream, if it has one.
    pub(crate) fn push_to(&mut self, key: &InstanceKey, frame: Frame) {
        if let Some(stream) = self.instance(key).and_then(|i| i.stream) {
            self.push(stream, frame);
        }
    }

    /// Everything the draft does, ready to commit.
    pub(crate) fn into_changes(self) -> (Vec<Change>, Vec<PresenceChange>) {
        let rows = self
            .rows
            .into_iter()
            .map(|(key, row)| Change::Row(key, row));
        let index = self.index.into_iter().map(|(entry, present)| {
            let membership = if present {
                Membership::In
            } else {
                Membership::Out
            };
            Change::Index(entry, membership)
        });
        let instances = self
            .instances
            .into_iter()
            .map(|(key, instance)| PresenceChange::Instance(key, instance));
        let clocks = self
            .clocks
            .into_iter()
            .map(|(epoch, clock)| PresenceChange::Clock(epoch, clock));
        (
            rows.chain(index).collect(),
            instances.chain(clocks).collect(),
        )
    }
}

fn is_dead(standing: Standing) -> bool {
    matches!(standing, Standing::Dead { .. })
}

fn gauge(depth: &mut Depth, standing: Standing) -> &mut u64 {
    match standing {
        Standing::Ready(_) => &mut depth.ready,
        Standing::Waiting { .. } => &mut depth.waiting,
        Standing::InFlight(_) => &mut depth.in_flight,
        Standing::Dead { .. } => &mut depth.dead,
    }
}

/// Moves the store-wide total that counts a message of this standing in a queue of this disposition.
fn shift_total(
    counters: &mut Counters,
    disposition: Disposition,
    standing: Standing,
    shift: impl Fn(u64) -> u64,
) {
    let total = match (disposition, standing) {
        (_, Standing::Dead { .. }) | (Disposition::Dead { .. }, _) => &mut counters.dead_lettered,
        (Disposition::Discarded { .. }, _) => return,
        (_, Standing::Ready(_) | Standing::Waiting { .. }) => &mut counters.pending,
        (_, Standing::InFlight(_)) => &mut counters.in_flight,
    };
    *total = shift(*total);
}
