//! The durable rows under one roof: keys, values, and what a decision asks to have loaded.
//!
//! A row is found by exactly one key and each kind of key has one kind of row; `draft` is the only
//! reader that takes them apart. How rows are encoded and where they lie is the store's business.

use std::sync::Arc;

use bytes::Bytes;

use crate::drain::{Drain, DrainRow};
use crate::event::EventRow;
use crate::ids::{
    Epoch, Namespace, NodeName, PoolName, QueueId, RequestId, ResourceNo, Revision, Seq, SessionId,
    SessionKey, SessionNo, SubscriptionName,
};
use crate::index::Scan;
use crate::key_window::{BlockNo, KeyBlock};
use crate::lease::LeaseRow;
use crate::message::MessageRow;
use crate::node::NodeRow;
use crate::queue::QueueRow;
use crate::resource::ResourcesRow;
use crate::session::{ActivityRow, SessionRow};
use crate::subscription::SubscriptionRow;
use crate::time::{CalendarDay, EngineTime};

/// Where a row is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowKey {
    /// The store-wide counters.
    Counters,
    /// A session's cold row.
    Session(SessionNo),
    /// A session's warm row.
    Activity(SessionNo),
    /// A queue.
    Queue(QueueId),
    /// An unsettled message that was not given up.
    Message(QueueId, Seq),
    /// A message that was given up by itself, not by its session's end.
    DeadLetter(QueueId, Seq),
    /// A payload.
    Payload(QueueId, Seq),
    /// A lease.
    Lease(Epoch),
    /// A key.
    Key(Namespace, SessionKey),
    /// An external session id.
    SessionId(Namespace, SessionId),
    /// Idempotency keys that a queue remembers.
    KeyBlock(QueueId, BlockNo),
    /// A remembered control mutation.
    Request(Namespace, RequestId),
    /// A pool's count.
    Pool(Namespace, PoolName),
    /// An event.
    Event(Revision),
    /// What a session has outside.
    Resources(SessionNo),
    /// Another machine.
    Node(Namespace, NodeName),
    /// The newest drain of the server.
    Drain,
    /// A subscription.
    Subscription(Namespace, SubscriptionName),
}

/// A row, small to move and cheap to clone: what is larger than a few words is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// Under [`RowKey::Counters`].
    Counters(Arc<Counters>),
    /// Under [`RowKey::Session`].
    Session(Arc<SessionRow>),
    /// Under [`RowKey::Activity`].
    Activity(Arc<ActivityRow>),
    /// Under [`RowKey::Queue`].
    Queue(Arc<QueueRow>),
    /// Under [`RowKey::Message`] and [`RowKey::DeadLetter`].
    Message(Arc<MessageRow>),
    /// Under [`RowKey::Payload`].
    Payload(Bytes),
    /// Under [`RowKey::Lease`].
    Lease(Arc<LeaseRow>),
    /// Under [`RowKey::Key`].
    Key(Arc<KeyRow>),
    /// Under [`RowKey::SessionId`].
    SessionId(SessionNo),
    /// Under [`RowKey::KeyBlock`].
    KeyBlock(Arc<KeyBlock>),
    /// Under [`RowKey::Request`].
    Request(Arc<RequestRow>),
    /// Under [`RowKey::Pool`].
    Pool(PoolRow),
    /// Under [`RowKey::Event`].
    Event(Arc<EventRow>),
    /// Under [`RowKey::Resources`].
    Resources(Arc<ResourcesRow>),
    /// Under [`RowKey::Node`].
    Node(Arc<NodeRow>),
    /// Under [`RowKey::Drain`].
    Drain(Arc<DrainRow>),
    /// Under [`RowKey::Subscription`].
    Subscription(Arc<SubscriptionRow>),
}

/// Store-wide counters; written with every commit that has anything to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// The newest event.
    pub revision: Revision,
    /// The newest session.
    pub session: SessionNo,
    /// The newest queue.
    pub queue: QueueId,
    /// The newest fencing token.
    pub epoch: Epoch,
    /// The highest engine time committed.
    pub engine_time: EngineTime,
    /// Control mutations remembered.
    pub requests: u64,
    /// Sessions in state QUEUED.
    pub queued: u64,
    /// Sessions in state ACTIVE.
    pub active: u64,
    /// Sessions in state DRAINING.
    pub draining: u64,
    /// Sessions in state ENDED that are still on record.
    pub ended: u64,
    /// Messages waiting, in all queues of live and draining sessions and held queues.
    pub pending: u64,
    /// Messages handed out.
    pub in_flight: u64,
    /// Messages given up by themselves.
    pub dead_lettered: u64,
    /// Where the calendar of resets stands.
    pub calendar: Calendar,
    /// Up to which revision events were deleted: the log begins behind it.
    pub compacted: Revision,
    /// What all events weigh that were ever written, deleted ones included, in bytes: where the next one begins.
    pub log_bytes: u64,
    /// Nodes on record.
    pub nodes: u64,
    /// Subscriptions on record.
    pub subscriptions: u64,
    /// The drain of the server that is open.
    pub drain: Option<Drain>,
    /// Whether a server serves, or died: one that goes in order takes it back.
    pub serving: bool,
}

/// Where the calendar of resets stands: which of its days have come, and whether the resets of the last one are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    /// The newest day whose time has come; none while there is no calendar.
    pub day: Option<CalendarDay>,
    /// The newest session that the day means, while resets are outstanding.
    pub outstanding: Option<SessionNo>,
}

/// What a key points at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRow {
    /// The session that holds the key now.
    pub live: Option<SessionNo>,
    /// Sessions of the key, newest first, the live one included.
    pub sessions: Vec<SessionNo>,
    /// The queue that waits for the next one.
    pub held: Option<QueueId>,
    /// The one that is no longer live and has resources that are not released.
    pub unreleased: Option<SessionNo>,
}

impl KeyRow {
    /// Whether it points at nothing any more.
    pub(crate) fn is_empty(&self) -> bool {
        let none = self.live.is_none() && self.held.is_none() && self.unreleased.is_none();
        none && self.sessions.is_empty()
    }
}

/// The control mutation that a request id stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestRow {
    /// A hash of what was asked.
    pub body: [u8; 32],
    /// The session it was about; 0, which no session has, if it was about none.
    pub subject: SessionNo,
    /// What the first answer said beside the session: created, or already ended.
    pub flag: bool,
    /// When it was answered.
    pub at: EngineTime,
    /// What the first answer counted, if it was about messages.
    pub tally: Option<MessageTally>,
    /// The resource of the subject that it was about, if it was about one.
    pub resource: Option<ResourceNo>,
}

/// What one call did with the messages it named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageTally {
    /// Requeued or discarded.
    pub done: u64,
    /// Not there, or none of those that the call is about.
    pub not_found: u64,
    /// Left to the worker that has them.
    pub in_flight: u64,
    /// Left because their session is not live and no other was named.
    pub without_session: u64,
    /// Left because the queue they would go to is full.
    pub no_room: u64,
    /// Left because the queue they would go to remembers their names.
    pub duplicates: u64,
    /// Not come to: the call carried as much as it may.
    pub not_reached: u64,
    /// Where its caller goes on.
    pub next: Option<MessageMark>,
}

/// A place among messages, from which a call that looks after many goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageMark {
    /// The queue of the last message that was looked at.
    pub queue: QueueId,
    /// Its seq.
    pub after: Seq,
    /// The first seq of the queue in question that is not meant: it came after the first call.
    pub until: Seq,
}

/// How many sessions count in a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolRow {
    /// Those that have a slot: ACTIVE and DRAINING ones, and ended ones with resources that are not released.
    pub live: u64,
    /// Those of them that are DRAINING.
    pub draining: u64,
    /// QUEUED ones, which have none.
    pub queued: u64,
    /// Ended ones whose resources are about to go.
    pub releasing: u64,
    /// Ended ones of whose resources some did not go.
    pub lingering: u64,
}

/// Something a decision needs to see before it can be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// One row, or that there is none.
    Row(RowKey),
    /// All blocks of idempotency keys of a queue.
    KeyBlocks(QueueId),
    /// The first `limit` entries of a scan.
    Scan {
        /// Which entries.
        scan: Scan,
        /// How many at most.
        limit: usize,
    },
}
