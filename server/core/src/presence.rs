//! Presence: which worker instances are here, what they have room for, and when leases lapse; which nodes' agents and which
//! consumers of subscriptions are here; and whether the disk has room.
//!
//! This half of the view is memory only. It is empty at start, refilled by recovery with one full
//! lease for every current lease row, and changed only by decisions, in order with everything else.
//! Nothing durable depends on it: losing it costs a worker one reconnect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ids::{Epoch, InstanceId, Namespace, PoolName, SessionNo, StreamId, WorkerName};
use crate::node::NodeKey;
use crate::session::Labels;
use crate::subscription::SubscriptionKey;
use crate::time::{EngineTime, WallTime};

mod lease_clock;

pub use lease_clock::LeaseClock;

/// A worker instance, within its namespace.
pub type InstanceKey = (Namespace, InstanceId);

/// All that is known of who is here.
#[derive(Clone, Debug, Default)]
pub struct Presence {
    instances: BTreeMap<InstanceKey, Instance>,
    clocks: BTreeMap<Epoch, LeaseClock>,
    held: BTreeSet<(InstanceKey, Epoch)>,
    alarms: BTreeSet<(EngineTime, Epoch)>,
    /// Leases that hold sessions of each pool; pools without any are left out.
    attached: BTreeMap<(Namespace, PoolName), u64>,
    shortage: Option<Shortage>,
    /// Of the nodes whose agents are here.
    links: BTreeMap<NodeKey, AgentLink>,
    /// Of the subscriptions that are read for.
    consumers: BTreeMap<SubscriptionKey, Consumer>,
}

/// Who reads for a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// What it calls itself.
    pub instance: InstanceId,
    /// Its watch.
    pub stream: StreamId,
}

/// The link of a node's agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentLink {
    /// Which it is.
    pub stream: StreamId,
    /// When something came by it last.
    pub heard_at: EngineTime,
}

/// That the disk is short of room, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// What was free when it was looked at last.
    pub free: u64,
    /// The low-water mark: with less than this it is short.
    pub mark: u64,
    /// With as much as this free, more than the mark, it is short no longer.
    pub enough: u64,
}

/// One instance that has, or lately had, a `Work` stream. Nearly every frame changes something of it, so a clone shares
/// what does not move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// What it calls itself.
    pub worker: WorkerName,
    /// Its open stream; none while it is away.
    pub stream: Option<StreamId>,
    /// Its last frame.
    pub last_seen: EngineTime,
    /// Its last frame, for display.
    pub last_seen_time: WallTime,
    /// When its stream opened.
    pub connect_time: WallTime,
    /// Its build.
    pub build_id: Arc<str>,
    /// Its labels.
    pub labels: Arc<Labels>,
    /// What it lets in flight.
    pub window: Window,
    /// What it has in flight.
    pub in_flight: Load,
    /// Which sessions it wants assigned; none: only those it attaches to.
    pub serves: Option<Arc<SessionFilter>>,
    /// Sessions that it asked for and was let go of because there was nothing to do; when there is, it gets them back. At
    /// most [`WINDOW_SESSIONS_MAX`](crate::limits::WINDOW_SESSIONS_MAX).
    pub rests: Arc<BTreeSet<SessionNo>>,
    /// Whether it takes new work.
    pub intent: Intent,
    /// Leases whose queue has messages that found no room.
    pub hungry: BTreeSet<Epoch>,
    /// The hungry lease served last, so that the next ones get their turn.
    pub served: Epoch,
}

/// Whether an instance takes new work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// It does.
    Stays,
    /// It said goodbye.
    Leaves,
}

/// What a worker lets in flight on its stream, absolute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Messages.
    pub messages: u32,
    /// Bytes.
    pub bytes: u64,
    /// Sessions held.
    pub sessions: u32,
}

/// What a worker has in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Messages.
    pub messages: u32,
    /// Bytes.
    pub bytes: u64,
    /// Sessions held.
    pub sessions: u32,
}

/// Which sessions a worker or a reader means; an unset part matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// Each of these labels with this value.
    pub labels: Labels,
    /// This project.
    pub project: Option<String>,
    /// Keys that start so.
    pub key_prefix: Option<String>,
    /// This pool.
    pub pool: Option<String>,
}

/// One change of presence, part of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresenceChange {
    /// The instance is as given, or forgotten.
    Instance(InstanceKey, Option<Instance>),
    /// The lease's clock is as given, or stopped.
    Clock(Epoch, Option<LeaseClock>),
    /// The disk is short of room as given, or is not.
    Room(Option<Shortage>),
    /// The node's agent has this link, or none.
    Link(NodeKey, Option<AgentLink>),
    /// The subscription has this consumer, or none.
    Consumer(SubscriptionKey, Option<Consumer>),
}

impl SessionFilter {
    /// Whether a session is meant.
    #[must_use]
    pub fn matches(&self, session: &crate::session::SessionRow) -> bool {
        let labels = &session.profile.labels;
        self.labels.iter().all(|(k, v)| labels.get(k) == Some(v))
            && self
                .project
                .as_ref()
                .is_none_or(|p| *p == session.profile.project)
            && self
                .pool
                .as_ref()
                .is_none_or(|p| p == session.pool.as_str())
            && self.key_prefix.as_ref().is_none_or(|prefix| {
                session
                    .key
                    .as_ref()
                    .is_some_and(|k| k.as_str().starts_with(prefix.as_str()))
            })
    }
}

impl Instance {
    /// How many more messages and bytes it takes, if it takes any.
    #[must_use]
    pub fn room(&self) -> Option<(u32, u64)> {
        self.stream?;
        if self.intent == Intent::Leaves {
            return None;
        }
        let messages = self.window.messages.saturating_sub(self.in_flight.messages);
        let bytes = self.window.bytes.saturating_sub(self.in_flight.bytes);
        // One message always fits an empty window, or a payload above the window would never leave;
        // a window of no bytes is closed all the same.
        let open = self.window.bytes > 0 && (bytes > 0 || self.in_flight.messages == 0);
        (messages > 0 && open).then_some((messages, bytes))
    }

    /// Whether it serves this session and would hold one more.
    #[must_use]
    pub fn would_take(&self, session: &crate::session::SessionRow) -> bool {
        self.takes_sessions() && self.means(session)
    }

    /// Whether it serves this session, or rests from it.
    #[must_use]
    pub fn means(&self, session: &crate::session::SessionRow) -> bool {
        let serves = self.serves.as_ref();
        serves.is_some_and(|filter| filter.matches(session)) || self.rests.contains(&session.no)
    }

    /// Whether there are sessions that it may be given unasked.
    #[must_use]
    pub fn means_some(&self) -> bool {
        self.serves.is_some() || !self.rests.is_empty()
    }

    /// Whether it would hold one more session.
    #[must_use]
    pub fn takes_sessions(&self) -> bool {
        self.room().is_some() && self.in_flight.sessions < self.window.sessions
    }
}

impl Presence {
    /// What is known of an instance.
    #[must_use]
    pub fn instance(&self, key: &InstanceKey) -> Option<&Instance> {
        self.instances.get(key)
    }

    /// All instances, in order of their keys.
    pub fn instances(&self) -> impl Iterator<Item = (&InstanceKey, &Instance)> {
        self.instances.iter()
    }

    /// The instances of one namespace.
    pub fn instances_of(
        &self,
        namespace: &Namespace,
    ) -> impl Iterator<Item = (&InstanceKey, &Instance)> {
        let namespace = namespace.clone();
        self.instances
            .iter()
            .filter(move |((ns, _), _)| *ns == namespace)
    }

    /// The clock of a lease.
    #[must_use]
    pub fn clock(&self, epoch: Epoch) -> Option<&LeaseClock> {
        self.clocks.get(&epoch)
    }

    /// The clocks of all leases that hold a session, in order of their epochs.
    pub fn clocks(&self) -> impl Iterator<Item = &LeaseClock> {
        self.clocks.values()
    }

    /// The leases an instance holds, in order of their epochs.
    #[must_use]
    pub fn leases_of(&self, holder: &InstanceKey) -> Vec<Epoch> {
        self.held
            .range((holder.clone(), Epoch(0))..)
            .take_while(|(key, _)| key == holder)
            .map(|(_, epoch)| *epoch)
            .collect()
    }

    /// How many sessions of a pool workers hold.
    #[must_use]
    pub fn attached(&self, namespace: &Namespace, pool: &PoolName) -> u64 {
        let of_pool = self.attached.get(&(namespace.clone(), pool.clone()));
        of_pool.copied().unwrap_or_default()
    }

    /// The same of all pools of a namespace of which they hold any, by name.
    #[must_use]
    pub fn attached_of(&self, namespace: &Namespace) -> Vec<(PoolName, u64)> {
        let all = self.attached.iter();
        all.filter(|((of, _), _)| of == namespace)
            .map(|((_, pool), count)| (pool.clone(), *count))
            .collect()
    }

    /// How short of room the disk is, if it is.
    #[must_use]
    pub fn shortage(&self) -> Option<Shortage> {
        self.shortage
    }

    /// The link of a node's agent, if it is here.
    #[must_use]
    pub fn link(&self, node: &NodeKey) -> Option<AgentLink> {
        self.links.get(node).copied()
    }

    /// The consumer of a subscription, if it is here.
    #[must_use]
    pub fn consumer(&self, of: &SubscriptionKey) -> Option<&Consumer> {
        self.consumers.get(of)
    }

    /// The earliest lease to look at, and when.
    #[must_use]
    pub fn next_alarm(&self) -> Option<(EngineTime, Epoch)> {
        self.alarms.first().copied()
    }

    /// The leases whose alarm has come, earliest first, at most `limit`.
    #[must_use]
    pub fn due(&self, now: EngineTime, limit: usize) -> Vec<Epoch> {
        self.alarms
            .iter()
            .take_while(|(at, _)| *at <= now)
            .take(limit)
            .map(|(_, epoch)| *epoch)
            .collect()
    }

    /// Applies one change of a decision.
    pub fn apply(&mut self, change: PresenceChange) {
        match change {
            PresenceChange::Instance(key, Some(instance)) => {
                self.instances.insert(key, instance);
            }
            PresenceChange::Instance(key, None) => {
                self.instances.remove(&key);
            }
            PresenceChange::Clock(epoch, clock) => self.set_clock(epoch, clock),
            PresenceChange::Room(shortage) => self.shortage = shortage,
            PresenceChange::Link(node, Some(link)) => {
                self.links.insert(node, link);
            }
            PresenceChange::Link(node, None) => {
                self.links.remove(&node);
            }
            PresenceChange::Consumer(of, Some(consumer)) => {
                self.consumers.insert(of, consumer);
            }
            PresenceChange::Consumer(of, None) => {
                self.consumers.remove(&of);
            }
        }
    }

    fn set_clock(&mut self, epoch: Epoch, clock: Option<LeaseClock>) {
        let Some(clock) = clock else {
            if let Some(old) = self.clocks.remove(&epoch) {
                self.alarms.remove(&(old.alarm, epoch));
                let pool = (old.holder.0.clone(), old.pool);
                self.held.remove(&(old.holder, epoch));
                if let Some(count) = self.attached.get_mut(&pool) {
                    *count -= 1;
                    if *count == 0 {
                        self.attached.remove(&pool);
                    }
                }
            }
            return;
        };
        // Most changes are of what a lease has in flight, and move neither its alarm nor its holder.
        match self.clocks.get_mut(&epoch) {
            Some(old) if old.holder == clock.holder => {
                if old.alarm != clock.alarm {
                    self.alarms.remove(&(old.alarm, epoch));
                    self.alarms.insert((clock.alarm, epoch));
                }
                *old = clock;
            }
            Some(_) | None => {
                self.set_clock(epoch, None);
                self.alarms.insert((clock.alarm, epoch));
                self.held.insert((clock.holder.clone(), epoch));
                let pool = (clock.holder.0.clone(), clock.pool.clone());
                *self.attached.entry(pool).or_default() += 1;
                self.clocks.insert(epoch, clock);
            }
        }
    }
}
