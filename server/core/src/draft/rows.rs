//! How a draft reads and writes rows.
//!
//! Every kind of row has its reader; whoever puts a row puts its index entries with it. Messages, whose queue's
//! counters move with them, have a file of their own.

use std::sync::Arc;

use super::{Draft, Stop};
use crate::change::Membership;
use crate::deadlines;
use crate::drain::DrainRow;
use crate::event::EventRow;
use crate::ids::{
    Epoch, Namespace, NodeName, PoolName, QueueId, RequestId, Revision, Seq, SessionId, SessionKey,
    SessionNo, SubscriptionName,
};
use crate::index::{
    Entries, IndexEntry, Scan, entries_of_activity, entries_of_lease, entries_of_queue,
    entries_of_resources, entries_of_session,
};
use crate::lease::LeaseRow;
use crate::message::MessageRow;
use crate::node::NodeRow;
use crate::queue::QueueRow;
use crate::resource::ResourcesRow;
use crate::rows::{Counters, KeyRow, PoolRow, Read, RequestRow, Row, RowKey};
use crate::session::{ActivityRow, Lifecycle, SessionRow};
use crate::subscription::SubscriptionRow;
use crate::time::EngineTime;

macro_rules! reader {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $row:ty, ($($arg:ident: $ty:ty),*), $key:expr) => {
        $(#[$doc])*
        pub(crate) fn $name(&self, $($arg: $ty),*) -> Result<Option<&$row>, Stop> {
            match self.row(&$key)? {
                None => Ok(None),
                Some(Row::$variant(row)) => Ok(Some(row)),
                Some(other) => panic!("a key of one kind holds a row of another: {other:?}"),
            }
        }
    };
}

impl Draft<'_> {
    pub(super) fn row(&self, key: &RowKey) -> Result<Option<&Row>, Stop> {
        if let Some(own) = self.rows.get(key) {
            return Ok(own.as_ref());
        }
        match self.view.row(key) {
            Some(known) => Ok(known),
            None => Err(Stop::Missing(vec![Read::Row(key.clone())])),
        }
    }

    reader!(session_row, Session, Arc<SessionRow>, (no: SessionNo), RowKey::Session(no));
    reader!(activity_row, Activity, Arc<ActivityRow>, (no: SessionNo), RowKey::Activity(no));
    reader!(queue_row, Queue, Arc<QueueRow>, (id: QueueId), RowKey::Queue(id));
    reader!(message_row, Message, Arc<MessageRow>, (queue: QueueId, seq: Seq), RowKey::Message(queue, seq));
    reader!(dead_letter_row, Message, Arc<MessageRow>, (queue: QueueId, seq: Seq), RowKey::DeadLetter(queue, seq));
    reader!(lease_row, Lease, Arc<LeaseRow>, (epoch: Epoch), RowKey::Lease(epoch));
    reader!(key_row, Key, Arc<KeyRow>, (ns: &Namespace, key: &SessionKey), RowKey::Key(ns.clone(), key.clone()));
    reader!(id_row, SessionId, SessionNo, (ns: &Namespace, id: &SessionId), RowKey::SessionId(ns.clone(), id.clone()));
    reader!(request_row, Request, Arc<RequestRow>, (ns: &Namespace, id: &RequestId), RowKey::Request(ns.clone(), id.clone()));
    reader!(pool_row, Pool, PoolRow, (ns: &Namespace, pool: &PoolName), RowKey::Pool(ns.clone(), pool.clone()));
    reader!(event_row, Event, Arc<EventRow>, (revision: Revision), RowKey::Event(revision));
    reader!(resources_row, Resources, Arc<ResourcesRow>, (no: SessionNo), RowKey::Resources(no));
    reader!(node_row, Node, Arc<NodeRow>, (ns: &Namespace, name: &NodeName), RowKey::Node(ns.clone(), name.clone()));
    reader!(subscription_row, Subscription, Arc<SubscriptionRow>, (ns: &Namespace, name: &SubscriptionName), RowKey::Subscription(ns.clone(), name.clone()));
    reader!(drain_row, Drain, Arc<DrainRow>, (), RowKey::Drain);
    reader!(counters_row, Counters, Arc<Counters>, (), RowKey::Counters);

    /// A session, to be looked at; whoever changes it takes a copy.
    pub(crate) fn session_if(&self, no: SessionNo) -> Result<Option<Arc<SessionRow>>, Stop> {
        Ok(self.session_row(no)?.cloned())
    }

    /// A session that something on record points at.
    pub(crate) fn session(&self, no: SessionNo) -> Result<Arc<SessionRow>, Stop> {
        Ok(self
            .session_if(no)?
            .expect("a session that a row points at is on record"))
    }

    /// The warm row of a session on record.
    pub(crate) fn activity(&self, no: SessionNo) -> Result<ActivityRow, Stop> {
        let row = self
            .activity_row(no)?
            .expect("every session has its warm row");
        Ok(ActivityRow::clone(row))
    }

    pub(crate) fn queue_if(&self, id: QueueId) -> Result<Option<QueueRow>, Stop> {
        Ok(self.queue_row(id)?.map(|row| QueueRow::clone(row)))
    }

    /// A queue that something on record points at, to be looked at.
    pub(crate) fn queue_ref(&self, id: QueueId) -> Result<&QueueRow, Stop> {
        Ok(self
            .queue_row(id)?
            .expect("a queue that a row points at is on record"))
    }

    /// The same, to be changed.
    pub(crate) fn queue(&self, id: QueueId) -> Result<QueueRow, Stop> {
        self.queue_ref(id).cloned()
    }

    pub(crate) fn message(
        &self,
        queue: QueueId,
        seq: Seq,
    ) -> Result<Option<Arc<MessageRow>>, Stop> {
        Ok(self.message_row(queue, seq)?.cloned())
    }

    pub(crate) fn dead_letter(
        &self,
        queue: QueueId,
        seq: Seq,
    ) -> Result<Option<Arc<MessageRow>>, Stop> {
        Ok(self.dead_letter_row(queue, seq)?.cloned())
    }

    pub(crate) fn lease_if(&self, epoch: Epoch) -> Result<Option<LeaseRow>, Stop> {
        Ok(self.lease_row(epoch)?.map(|row| LeaseRow::clone(row)))
    }

    /// A lease that a session or a delivery points at, to be looked at.
    pub(crate) fn lease_ref(&self, epoch: Epoch) -> Result<&LeaseRow, Stop> {
        Ok(self
            .lease_row(epoch)?
            .expect("a lease that a row points at is on record"))
    }

    /// The same, to be changed.
    pub(crate) fn lease(&self, epoch: Epoch) -> Result<LeaseRow, Stop> {
        self.lease_ref(epoch).cloned()
    }

    pub(crate) fn key(&self, ns: &Namespace, key: &SessionKey) -> Result<KeyRow, Stop> {
        let row = self.key_row(ns, key)?;
        Ok(row.map(|row| KeyRow::clone(row)).unwrap_or_default())
    }

    pub(crate) fn session_id(
        &self,
        ns: &Namespace,
        id: &SessionId,
    ) -> Result<Option<SessionNo>, Stop> {
        Ok(self.id_row(ns, id)?.copied())
    }

    pub(crate) fn request(
        &self,
        ns: &Namespace,
        id: &RequestId,
    ) -> Result<Option<RequestRow>, Stop> {
        Ok(self.request_row(ns, id)?.map(|row| RequestRow::clone(row)))
    }

    pub(crate) fn pool_if(&self, ns: &Namespace, pool: &PoolName) -> Result<Option<PoolRow>, Stop> {
        Ok(self.pool_row(ns, pool)?.copied())
    }

    /// What a session has outside; none if it never had anything.
    pub(crate) fn resources(&self, no: SessionNo) -> Result<Option<ResourcesRow>, Stop> {
        match self.session_if(no)? {
            Some(session) if session.resources.is_some() => {}
            Some(_) | None => return Ok(None),
        }
        Ok(self.resources_row(no)?.map(|row| ResourcesRow::clone(row)))
    }

    pub(crate) fn put_resources(&mut self, row: ResourcesRow) -> Result<(), Stop> {
        let before = match self.rows.get(&RowKey::Resources(row.session)) {
            Some(Some(Row::Resources(own))) => entries_of_resources(own),
            Some(_) => Entries::default(),
            // Whoever adds the first one has seen in the session's row that there was none.
            None => match self.view.row(&RowKey::Resources(row.session)) {
                Some(Some(Row::Resources(known))) => entries_of_resources(known),
                Some(_) | None => Entries::default(),
            },
        };
        self.reindex(&before, entries_of_resources(&row));
        self.put(RowKey::Resources(row.session), Row::Resources(row.into()));
        Ok(())
    }

    pub(crate) fn node(&self, ns: &Namespace, name: &NodeName) -> Result<Option<NodeRow>, Stop> {
        Ok(self.node_row(ns, name)?.map(|row| NodeRow::clone(row)))
    }

    pub(crate) fn put_node(&mut self, row: NodeRow) {
        let key = RowKey::Node(row.namespace.clone(), row.name.clone());
        self.put(key, Row::Node(row.into()));
    }

    pub(crate) fn remove_node(&mut self, ns: &Namespace, name: &NodeName) {
        self.remove(RowKey::Node(ns.clone(), name.clone()));
    }

    pub(crate) fn counters(&self) -> Result<Counters, Stop> {
        match self.counters {
            Some(own) => Ok(own),
            None => Ok(self.counters_row()?.map(|row| **row).unwrap_or_default()),
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

    pub(crate) fn put(&mut self, key: RowKey, row: Row) {
        self.rows.insert(key, Some(row));
    }

    pub(crate) fn remove(&mut self, key: RowKey) {
        self.rows.insert(key, None);
    }

    /// Moves a row's entries from what they were to what they are. What is noted is the difference to the view, no
    /// more: an entry that was taken out and put back has not changed, and one said to be put in was not there.
    pub(crate) fn reindex(&mut self, before: &Entries, after: Entries) {
        let has = |entries: &Entries, entry: &IndexEntry| {
            entries.iter().flatten().any(|other| other == entry)
        };
        for entry in before.iter().flatten() {
            let stale = faulty!(IndexStale) && matches!(entry, IndexEntry::Returned(..));
            if !has(&after, entry) && !stale {
                self.note(entry.clone(), Membership::Out);
            }
        }
        for entry in after.into_iter().flatten() {
            if !has(before, &entry) {
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

    pub(crate) fn put_session(&mut self, row: impl Into<Arc<SessionRow>>) {
        let row = row.into();
        let key = RowKey::Session(row.no);
        // Whoever changes a session has looked at it, so one that is not known is new.
        let before = match self.rows.get(&key) {
            Some(own) => own.as_ref(),
            None => self.view.row(&key).flatten(),
        };
        let before = match before {
            Some(Row::Session(before)) => entries_of_session(before),
            Some(_) | None => Entries::default(),
        };
        self.reindex(&before, entries_of_session(&row));
        self.put(key, Row::Session(row));
    }

    /// Notes in a session's row what the newest event about it is. No index entry says so.
    pub(super) fn stamp_session(&mut self, no: SessionNo, revision: Revision) -> Result<(), Stop> {
        if let Some(Some(Row::Session(own))) = self.rows.get_mut(&RowKey::Session(no)) {
            Arc::make_mut(own).revision = revision;
            return Ok(());
        }
        let mut row = Arc::unwrap_or_clone(self.session(no)?);
        row.revision = revision;
        self.put_session(row);
        Ok(())
    }

    /// Writes the warm row and sees to it that the session's limits are looked at in time.
    pub(crate) fn put_activity(
        &mut self,
        session: &SessionRow,
        mut row: ActivityRow,
    ) -> Result<(), Stop> {
        if session.is_ended() {
            // When it has been on record long enough is not moved by what still happens to its messages.
            return self.put_activity_checked_at(row);
        }
        // A check that comes too early re-arms itself, so it is moved only when it would come too late.
        row.check_at = match (row.check_at, self.next_look(session, &row)?) {
            (Some(armed), Some(next)) => Some(armed.min(next)),
            (None, next) => next,
            // Whoever waits for as long as it takes has no limit ahead, and looks for room all the same.
            (armed @ Some(_), None) if matches!(session.lifecycle, Lifecycle::Queued(_)) => armed,
            (Some(_), None) => None,
        };
        self.put_activity_checked_at(row)
    }

    fn next_look(
        &self,
        session: &SessionRow,
        row: &ActivityRow,
    ) -> Result<Option<EngineTime>, Stop> {
        let policy = self.policy();
        let first = deadlines::next_check(session, row, policy);
        let now = self.now.engine;
        // A queue need not be loaded for limits that are all ahead.
        if !session.is_active() || first.is_none_or(|at| at > now) {
            return Ok(first);
        }
        let depth = self.queue_ref(session.queue)?.depth;
        Ok(deadlines::next_look(session, row, depth, policy, now))
    }

    /// Writes the warm row with the check it names.
    pub(crate) fn put_activity_checked_at(&mut self, row: ActivityRow) -> Result<(), Stop> {
        let before = self.activity_row(row.session)?;
        let before = before.map(|row| entries_of_activity(row));
        self.reindex(&before.unwrap_or_default(), entries_of_activity(&row));
        let key = RowKey::Activity(row.session);
        if let Some(Some(Row::Activity(own))) = self.rows.get_mut(&key) {
            replace(own, row);
        } else {
            self.put(key, Row::Activity(row.into()));
        }
        Ok(())
    }

    pub(crate) fn remove_activity(&mut self, session: SessionNo) -> Result<(), Stop> {
        let before = self.activity_row(session)?;
        let before = before.map(|row| entries_of_activity(row));
        self.reindex(&before.unwrap_or_default(), Entries::default());
        self.remove(RowKey::Activity(session));
        Ok(())
    }

    pub(crate) fn remove_queue(&mut self, id: QueueId) -> Result<(), Stop> {
        let before = self.queue_row(id)?.map(|row| entries_of_queue(row));
        self.reindex(&before.unwrap_or_default(), Entries::default());
        self.remove(RowKey::Queue(id));
        Ok(())
    }

    pub(crate) fn put_queue(&mut self, row: QueueRow) -> Result<(), Stop> {
        let before = self.queue_row(row.id)?.map(|row| entries_of_queue(row));
        self.reindex(&before.unwrap_or_default(), entries_of_queue(&row));
        let key = RowKey::Queue(row.id);
        if let Some(Some(Row::Queue(own))) = self.rows.get_mut(&key) {
            replace(own, row);
        } else {
            self.put(key, Row::Queue(row.into()));
        }
        Ok(())
    }

    pub(crate) fn put_lease(&mut self, row: LeaseRow) -> Result<(), Stop> {
        let before = self.lease_row(row.epoch)?.map(|row| entries_of_lease(row));
        self.reindex(&before.unwrap_or_default(), entries_of_lease(&row));
        self.put(RowKey::Lease(row.epoch), Row::Lease(row.into()));
        Ok(())
    }

    pub(crate) fn remove_lease(&mut self, epoch: Epoch) -> Result<(), Stop> {
        let before = self.lease_row(epoch)?.map(|row| entries_of_lease(row));
        self.reindex(&before.unwrap_or_default(), Entries::default());
        self.remove(RowKey::Lease(epoch));
        Ok(())
    }

    pub(crate) fn put_counters(&mut self, row: Counters) {
        self.counters = Some(row);
    }
}

/// Puts a row in the place of an earlier one of the same draft, without asking for memory.
fn replace<T>(own: &mut Arc<T>, row: T) {
    match Arc::get_mut(own) {
        Some(place) => *place = row,
        None => *own = Arc::new(row),
    }
}
