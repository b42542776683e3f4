//! The reference model's whole state: plain records, kept in full, nothing derived.
//!
//! What the rules keep in indexes and counters is found here by looking at everything. A settled message is one that
//! has a number and no record. Nothing in this file decides.

mod derived;
mod resource;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sessiond_core::drain::{Drain, DrainRow};
use sessiond_core::event::{Actor, Cause};
use sessiond_core::ids::{
    CoalesceKey, IdempotencyKey, InstanceId, NodeName, PoolName, RequestId, SessionId, SessionKey,
    StreamId, SubscriptionName,
};
use sessiond_core::lease::LeaseMode;
use sessiond_core::limits::Policy;
use sessiond_core::message::{DeadReason, DeliveryMode};
use sessiond_core::presence::{SessionFilter, Window};
use sessiond_core::rows::{Calendar, MessageTally};
use sessiond_core::session::{
    EndMode, EndReason, Labels, Ordering, PendingPolicy, Profile, Timeouts, Totals, Usage,
};
use sessiond_core::time::Limit;

pub(crate) use self::resource::{Behind, Resource, Standing};
use super::exporting::Handed;
use super::marks::hits::Marks;

/// Everything there is.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) policy: Policy,
    pub(crate) now: u64,
    pub(crate) wall: u64,
    /// By number, from 1.
    pub(crate) sessions: Vec<Session>,
    /// By number, from 1.
    pub(crate) queues: Vec<Queue>,
    pub(crate) leases: BTreeMap<u64, Lease>,
    pub(crate) workers: BTreeMap<InstanceId, Worker>,
    /// The sessions that a key remembers, newest first.
    pub(crate) of_key: BTreeMap<SessionKey, Vec<u64>>,
    /// Queues that wait for the next session of a key.
    pub(crate) held: BTreeMap<SessionKey, u64>,
    pub(crate) requests: BTreeMap<RequestId, Request>,
    pub(crate) nodes: BTreeMap<NodeName, super::nodes::Node>,
    pub(crate) subscriptions: BTreeMap<SubscriptionName, super::subscriptions::Subscription>,
    pub(crate) calendar: Calendar,
    /// The drain of the server that is open.
    pub(crate) drain: Option<Drain>,
    /// Whether a server serves, or died.
    pub(crate) serving: bool,
    /// The newest drain, and what came of it.
    pub(crate) last_drain: Option<DrainRow>,
    pub(crate) last_epoch: u64,
    pub(crate) revision: u64,
    /// Every event that was ever written.
    pub(crate) log: Vec<super::log::Logged>,
    /// Up to where events are deleted.
    pub(crate) compacted: u64,
    /// How much the disk has free and how much it must have, while it is short of room.
    pub(crate) shortage: Option<(u64, u64)>,
    /// What the export is worth that comes with the next command.
    pub(crate) handed: Handed,
    pub(crate) marks: Marks,
}

/// One incarnation.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) no: u64,
    pub(crate) id: SessionId,
    pub(crate) key: Option<SessionKey>,
    pub(crate) pool: PoolName,
    pub(crate) queue: u64,
    pub(crate) state: State,
    pub(crate) profile: Profile,
    pub(crate) timeouts: Timeouts,
    pub(crate) ordering: Ordering,
    pub(crate) max_in_flight: u32,
    pub(crate) predecessor: Option<SessionId>,
    pub(crate) successor: Option<SessionId>,
    pub(crate) created_at: u64,
    /// Since it has its slot.
    pub(crate) active_since: u64,
    pub(crate) last_activity: u64,
    pub(crate) owner_seen: u64,
    pub(crate) touches: u64,
    pub(crate) prompt_number: u32,
    pub(crate) usage: Usage,
    pub(crate) totals: Totals,
    pub(crate) circuits: super::circuits::OfSession,
    pub(crate) volatile: (Option<InstanceId>, Labels),
    /// Uses that did not end, by number: how long each lasts and until when.
    pub(crate) requests: BTreeMap<u64, (u64, u64)>,
    /// How many ever began.
    pub(crate) requests_begun: u64,
    /// When failures of its workers are forgotten.
    pub(crate) failures: Vec<u64>,
    /// What it has outside that is on record, by number.
    pub(crate) resources: Vec<Resource>,
    /// How many were ever declared.
    pub(crate) declared: u64,
    /// Until when no worker gets it.
    pub(crate) suspended: Option<u64>,
    /// The ends by idleness and by age that were warned of.
    pub(crate) warned: [Option<u64>; 2],
    /// The newest event about it.
    pub(crate) revision: u64,
    /// When it ended.
    pub(crate) ended_at: u64,
    /// Once it has ended: when it is looked at whether it has been on record long enough.
    pub(crate) check_at: Option<u64>,
    /// Its rows are gone, and nobody finds it any more.
    pub(crate) purged: bool,
    /// How many SESSION_END events it has; nothing but its purge and that of its messages is written after the first.
    pub(crate) ends: u32,
    pub(crate) closed: bool,
}

/// Where a session is in its life.
#[derive(Clone, Debug)]
pub(crate) enum State {
    Queued(Turn),
    Active,
    Draining(Ending),
    Ended(EndReason),
}

/// A place in the line for a slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// None is for as long as it takes.
    pub(crate) until: Option<u64>,
    pub(crate) place: u64,
    /// What it waits for before it is in the line.
    pub(crate) behind: Option<Behind>,
}

/// An end under way.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    pub(crate) reason: EndReason,
    pub(crate) actor: Actor,
    pub(crate) mode: EndMode,
    pub(crate) deadline: u64,
    pub(crate) pending: PendingPolicy,
}

/// The messages of a session and its successors.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub(crate) owner: u64,
    pub(crate) fate: Fate,
    /// When what was given up with its session is deleted.
    pub(crate) dead_until: Option<u64>,
    /// Since when what is left of it is given up.
    pub(crate) dead_since: u64,
    pub(crate) next_seq: u64,
    pub(crate) next_delivery: u64,
    /// Unsettled and given-up messages.
    pub(crate) messages: BTreeMap<u64, Message>,
    /// Until when messages wait for a pause, if none comes and in any case.
    pub(crate) pause: Option<(u64, u64)>,
    /// Remembered names: seq and when.
    pub(crate) names: BTreeMap<IdempotencyKey, (u64, u64)>,
}

/// What may be done with a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Serving,
    Quiet,
    Held {
        until: u64,
    },
    Dead,
    Discarded,
    /// Its session is gone, and it will be.
    Purged,
    /// It is gone.
    Gone,
}

/// An unsettled or given-up message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) kind: String,
    pub(crate) mode: DeliveryMode,
    pub(crate) coalesce_key: Option<CoalesceKey>,
    pub(crate) status: Status,
    /// Once it was given up by itself: when it is deleted.
    pub(crate) dead_until: Option<u64>,
    pub(crate) attempt: u32,
    pub(crate) latest: Option<u64>,
    pub(crate) cause: Option<Cause>,
    pub(crate) bytes: u64,
    pub(crate) prompt_number: u32,
    pub(crate) enqueued_at: u64,
    pub(crate) payload: Bytes,
    pub(crate) name: Option<IdempotencyKey>,
    /// As the caller said it.
    pub(crate) not_before: Option<u64>,
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Never handed out, or not since its sender's deferral ended.
    New,
    /// Not before its sender's time.
    Deferred { due: u64 },
    /// Came back; goes first.
    Returned,
    /// Came back and pauses.
    Paused { due: u64 },
    /// Held back until its queue has a pause.
    Debounced,
    /// Handed out under a lease.
    Out { epoch: u64 },
    /// Given up by itself.
    Dead(DeadReason),
}

/// A lease, current or superseded.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) session: u64,
    pub(crate) queue: u64,
    pub(crate) instance: InstanceId,
    pub(crate) mode: LeaseMode,
    /// As it was given.
    pub(crate) granted_for: u64,
    /// From each renewal.
    pub(crate) duration: u64,
    pub(crate) renewed_at: u64,
    /// When work under it moved last.
    pub(crate) moved_at: u64,
    /// Nothing was heard of its holder since the server started.
    pub(crate) unheard: bool,
    /// Set when it no longer holds its session: when its deliveries come back.
    pub(crate) until: Option<u64>,
    /// Set when its worker was asked to stop: when its deliveries come back. Of no effect once all are settled.
    pub(crate) cancel_by: Option<u64>,
}

/// A worker instance that has or had a stream.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    pub(crate) stream: Option<StreamId>,
    pub(crate) last_seen: u64,
    pub(crate) window: Window,
    pub(crate) serves: Option<SessionFilter>,
    pub(crate) leaves: bool,
    /// Sessions it asked for and was let go of.
    pub(crate) rests: BTreeSet<u64>,
    /// Something could not be written to its stream, whose end is about to be said.
    pub(crate) broken: bool,
}

/// A remembered control mutation.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) body: [u8; 32],
    pub(crate) subject: u64,
    pub(crate) flag: bool,
    pub(crate) at: u64,
    pub(crate) tally: Option<MessageTally>,
    /// The resource of the subject that it was about.
    pub(crate) resource: Option<u64>,
}

impl Model {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            policy,
            now: 0,
            wall: 0,
            sessions: Vec::new(),
            queues: Vec::new(),
            leases: BTreeMap::new(),
            workers: BTreeMap::new(),
            of_key: BTreeMap::new(),
            held: BTreeMap::new(),
            requests: BTreeMap::new(),
            calendar: Calendar::default(),
            drain: None,
            last_drain: None,
            serving: false,
            nodes: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            last_epoch: 0,
            revision: 0,
            log: Vec::new(),
            compacted: 0,
            shortage: None,
            handed: Handed::default(),
            marks: Marks::default(),
        }
    }

    pub(crate) fn session(&self, no: u64) -> &Session {
        &self.sessions[place(no)]
    }

    pub(crate) fn session_mut(&mut self, no: u64) -> &mut Session {
        &mut self.sessions[place(no)]
    }

    pub(crate) fn queue(&self, id: u64) -> &Queue {
        &self.queues[place(id)]
    }

    pub(crate) fn queue_mut(&mut self, id: u64) -> &mut Queue {
        &mut self.queues[place(id)]
    }

    /// Until when what is given up now is kept.
    pub(crate) fn dead_until(&self) -> Option<u64> {
        match self.policy.dead_letter_retention {
            Limit::After(span) => Some(self.now + span.0),
            Limit::Never => None,
        }
    }

    /// The current lease of a session.
    pub(crate) fn lease_of(&self, session: u64) -> Option<u64> {
        let current = self
            .leases
            .iter()
            .rev()
            .find(|(_, lease)| lease.until.is_none() && lease.session == session);
        current.map(|(epoch, _)| *epoch)
    }

    /// The current leases of an instance.
    pub(crate) fn leases_of(&self, instance: &InstanceId) -> Vec<u64> {
        self.leases
            .iter()
            .filter(|(_, lease)| lease.until.is_none() && lease.instance == *instance)
            .map(|(epoch, _)| *epoch)
            .collect()
    }

    /// The session that holds a key.
    pub(crate) fn live_of(&self, key: &SessionKey) -> Option<u64> {
        self.sessions
            .iter()
            .rev()
            .find(|s| s.key.as_ref() == Some(key) && s.is_live())
            .map(|s| s.no)
    }

    /// What a stream has in flight: messages, bytes, sessions.
    pub(crate) fn load_of(&self, instance: &InstanceId) -> (u32, u64, u32) {
        let mut load = (0, 0, 0);
        for (epoch, lease) in &self.leases {
            let counts = lease.until.is_none()
                && lease.instance == *instance
                && lease.mode == LeaseMode::Stream;
            if !counts {
                continue;
            }
            load.2 += 1;
            for message in self.queue(lease.queue).messages.values() {
                if message.status == (Status::Out { epoch: *epoch }) {
                    load.0 += 1;
                    load.1 += message.bytes;
                }
            }
        }
        load
    }

    /// The stream to which an instance's frames go.
    pub(crate) fn stream_of(&self, instance: &InstanceId) -> Option<StreamId> {
        self.workers.get(instance).and_then(|worker| worker.stream)
    }
}

fn place(number: u64) -> usize {
    usize::try_from(number - 1).expect("numbers are small here")
}
