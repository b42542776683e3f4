//! The draft: one decision in the making, over a view that does not move.
//!
//! It reads its own writes first, then the view; what neither knows becomes a [`Stop::Missing`] and
//! the decision is tried again with more loaded. Putting a row puts its index entries and, for a
//! message, its queue's counters too, so no decision can forget them. Dropping a draft undoes it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::fast::FixedState;
use indexmap::IndexMap;

use crate::change::{Change, Membership};
use crate::command::Command;
use crate::event::EventRow;
use crate::ids::{Epoch, Namespace, PoolName, QueueId, SessionNo, StreamId};
use crate::index::IndexDelta;
use crate::limits::Policy;
use crate::node::NodeKey;
use crate::presence::{
    AgentLink, Consumer, Instance, InstanceKey, LeaseClock, PresenceChange, Shortage,
};
use crate::rejection::Rejection;
use crate::reply::{Frame, Push, Wake};
use crate::rows::{Counters, Read, Row, RowKey};
use crate::subscription::SubscriptionKey;
use crate::time::Now;
use crate::view::View;

pub(crate) mod events;
mod keys;
mod messages;
mod presence;
mod rows;
mod subscriptions;

use keys::AddedKeys;

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

/// Rows that a draft has written, in the order in which it first wrote them. What a caller could make collide is bounded
/// by one request, so the hasher needs no seed.
type Written = IndexMap<RowKey, Option<Row>, FixedState>;

/// A pool within its namespace.
pub(crate) type PoolKey = (Namespace, PoolName);

/// Rows that most decisions write at most; with more the map grows.
const ROWS_USUAL: usize = 12;

/// A decision in the making.
#[derive(Debug)]
pub(crate) struct Draft<'v> {
    pub(crate) view: &'v View,
    pub(crate) now: Now,
    /// All rows that were written but the counters, events and blocks of keys.
    rows: Written,
    /// The counters, once they were written. Nearly every decision moves them several times.
    counters: Option<Counters>,
    /// Idempotency keys that queues are to remember.
    keys: BTreeMap<QueueId, AddedKeys>,
    pub(crate) index: IndexDelta,
    /// In the order of their revisions, which is the order they are told in.
    events: Vec<EventRow>,
    pub(crate) pushes: Vec<Push>,
    pub(crate) wakes: Vec<Wake>,
    pub(crate) follow_ups: Vec<Command>,
    /// Whether resources are to go.
    pub(crate) releases: bool,
    /// Sessions that wait to be exported.
    pub(crate) exports: Vec<SessionNo>,
    /// Messages that it acks.
    pub(crate) acked: u64,
    /// Pools in whose line for slots something changed, or in which a slot was freed that somebody waits for.
    pub(crate) lines: BTreeSet<PoolKey>,
    instances: BTreeMap<InstanceKey, Option<Instance>>,
    clocks: BTreeMap<Epoch, Option<LeaseClock>>,
    /// What the decision says of the disk's room, if that is what it is about.
    room: Option<Option<Shortage>>,
    /// What it says of the link of a node's agent, if that is what it is about.
    link: Option<(NodeKey, Option<AgentLink>)>,
    /// What it says of the consumer of a subscription, if that is what it is about.
    consumer: Option<(SubscriptionKey, Option<Consumer>)>,
    /// Watches of consumers that are over, and what each is told.
    pub(crate) cuts: Vec<(StreamId, Box<Rejection>)>,
}

impl<'v> Draft<'v> {
    pub(crate) fn new(view: &'v View, now: Now) -> Self {
        Self {
            view,
            now,
            rows: Written::with_capacity_and_hasher(ROWS_USUAL, FixedState::default()),
            counters: None,
            keys: BTreeMap::new(),
            index: IndexDelta::new(),
            events: Vec::new(),
            pushes: Vec::new(),
            wakes: Vec::new(),
            follow_ups: Vec::new(),
            releases: false,
            exports: Vec::new(),
            acked: 0,
            lines: BTreeSet::new(),
            instances: BTreeMap::new(),
            clocks: BTreeMap::new(),
            room: None,
            link: None,
            consumer: None,
            cuts: Vec::new(),
        }
    }

    /// Undoes everything so far.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.view, self.now);
    }

    pub(crate) fn policy(&self) -> &'v Arc<Policy> {
        &self.view.policy
    }

    pub(crate) fn push(&mut self, stream: StreamId, frame: Frame) {
        self.pushes.push((stream, frame));
    }

    /// Sends a frame to the instance's stream, if it has one.
    pub(crate) fn push_to(&mut self, key: &InstanceKey, frame: Frame) {
        if let Some(stream) = self.instance_ref(key).and_then(|i| i.stream) {
            self.push(stream, frame);
        }
    }

    /// Whether it would write anything.
    pub(crate) fn writes(&self) -> bool {
        !self.rows.is_empty() || self.counters.is_some()
    }

    /// Everything the draft does, ready to commit.
    pub(crate) fn into_changes(self) -> (Vec<Change>, Vec<PresenceChange>) {
        let mut changes = Vec::with_capacity(self.rows.len() + self.index.len() + 1);
        if let Some(counters) = self.counters {
            let row = Row::Counters(Arc::new(counters));
            changes.push(Change::Row(RowKey::Counters, Some(row)));
        }
        let rows = self.rows.into_iter();
        changes.extend(rows.map(|(key, row)| Change::Row(key, row)));
        changes.extend(self.events.into_iter().map(|event| {
            let key = RowKey::Event(event.revision);
            Change::Row(key, Some(Row::Event(Arc::new(event))))
        }));
        let keys = self.keys.into_iter();
        changes.extend(keys.flat_map(|(queue, added)| added.into_changes(queue)));
        changes.extend(self.index.into_iter().map(|(entry, present)| {
            let membership = if present {
                Membership::In
            } else {
                Membership::Out
            };
            Change::Index(entry, membership)
        }));
        let instances = self
            .instances
            .into_iter()
            .map(|(key, instance)| PresenceChange::Instance(key, instance));
        let clocks = self
            .clocks
            .into_iter()
            .map(|(epoch, clock)| PresenceChange::Clock(epoch, clock));
        let room = self.room.map(PresenceChange::Room);
        let link = self
            .link
            .map(|(node, link)| PresenceChange::Link(node, link));
        let consumer = self
            .consumer
            .map(|(of, consumer)| PresenceChange::Consumer(of, consumer));
        let presence = instances.chain(clocks).chain(room).chain(link);
        let presence = presence.chain(consumer);
        (changes, presence.collect())
    }
}
