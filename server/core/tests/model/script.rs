//! Scripts: what a seed makes happen, as a list that can be cut.
//!
//! Each act has its own source of chance, so that leaving one out changes the others as little as possible. What the
//! clients know is kept here: what they were handed, on which stream, and which names they gave.

use fastrand::Rng;
use sessiond_core::command::Command;
use sessiond_core::ids::{
    DeliveryId, Epoch, InstanceId, PoolName, QueueId, Seq, SessionId, SessionKey, StreamId,
};
use sessiond_core::limits::{Policy, PoolOverrides, PoolPolicy, WhenFull, WorkerCost};
use sessiond_core::reply::{Delivery, Reply};
use sessiond_core::requests::RequestToken;
use sessiond_core::resource::ResourceToken;
use sessiond_core::time::{Limit, Span};

use super::verbs::{VERBS, Verb};

/// Commands of a script before follow-ups and timers.
pub(crate) const ACTS: usize = 260;

/// Worker instances.
pub(crate) const WORKERS: usize = 4;

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Act {
    pub(crate) verb: Verb,
    pub(crate) salt: u64,
}

/// What a seed stands for.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) policy: Policy,
    pub(crate) acts: Vec<Act>,
    /// Whether everything is well at the end, and must get done.
    pub(crate) heals: bool,
}

impl Script {
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let policy = policy(&mut rng);
        let total: u32 = VERBS.iter().map(|(_, weight)| weight).sum();
        // Some seeds leave verbs out, so that long stretches without them are met too.
        let muted: Vec<Verb> = VERBS
            .iter()
            .filter(|(verb, _)| *verb != Verb::Open && rng.u32(..8) == 0)
            .map(|(verb, _)| *verb)
            .collect();
        let mut acts = Vec::with_capacity(ACTS);
        while acts.len() < ACTS {
            let mut at = rng.u32(..total);
            let (verb, _) = VERBS
                .iter()
                .find(|(_, weight)| match at.checked_sub(*weight) {
                    Some(rest) => {
                        at = rest;
                        false
                    }
                    None => true,
                })
                .expect("the weights add up");
            if !muted.contains(verb) {
                acts.push(Act {
                    verb: *verb,
                    salt: rng.u64(..),
                });
            }
        }
        let heals = rng.u32(..4) == 0;
        Self {
            policy,
            acts,
            heals,
        }
    }
}

/// Bounds small enough to be met.
fn policy(rng: &mut Rng) -> Policy {
    let mut policy = Policy {
        queue_messages_max: rng.u64(3..24),
        queue_bytes_max: rng.u64(2_000..12_000),
        max_attempts: rng.u32(1..=4),
        circuit_failures: rng.u32(1..=3),
        cancel_grace: Span(rng.u64(1..20_000)),
        circuit_cool_down: Span::seconds(rng.u64(1..60)),
        ..Policy::default()
    };
    if rng.bool() {
        policy.owner_timeout = Limit::After(Span::seconds(rng.u64(30..7_200)));
    }
    if rng.bool() {
        policy.max_lifetime = Limit::After(Span::seconds(rng.u64(1_800..86_400)));
    }
    if rng.u32(..4) == 0 {
        policy.idle_timeout = Limit::Never;
    }
    if rng.bool() {
        policy.retry_pause_first = Span(rng.u64(1..5_000));
        policy.retry_pause_max = Span(rng.u64(policy.retry_pause_first.0..20_000));
        policy.defer_pause = Span::seconds(rng.u64(1..120));
    }
    if rng.bool() {
        policy.cleanup_interval = Span::seconds(rng.u64(1..600));
    }
    let costs = [WorkerCost::Keep, WorkerCost::Keep, WorkerCost::End];
    policy.stuck_after = Limit::After(Span::seconds(rng.u64(20..400)));
    policy.worker_idle = Limit::After(Span::seconds(rng.u64(10..200)));
    policy.warning_lead = match rng.u32(..4) {
        0 => Limit::Never,
        _ => Limit::After(Span::seconds(rng.u64(1..400))),
    };
    policy.on_stuck = costs[rng.usize(..costs.len())];
    policy.restart_limit = rng.u32(1..=4);
    policy.restart_window = Span::seconds(rng.u64(60..1_200));
    policy.on_restart_limit = costs[rng.usize(..costs.len())];
    limit_pools(&mut policy, rng);
    let mut retention = || match rng.u32(..6) {
        0 => Limit::Never,
        1..4 => Limit::After(Span::seconds(rng.u64(60..90_000))),
        _ => Limit::After(Span::seconds(rng.u64(86_400..800_000))),
    };
    policy.session_retention = retention();
    policy.dead_letter_retention = retention();
    policy.export_before_purge = rng.bool();
    policy
}

/// Other limits of the pools: some their own, some those of all.
pub(crate) fn limit_pools(policy: &mut Policy, rng: &mut Rng) {
    policy.all_pools = pool_policy(rng);
    for name in ["default", "small"] {
        let of = pool_policy(rng);
        let overrides = PoolOverrides {
            max_sessions: rng.bool().then_some(of.max_sessions),
            max_attached: rng.bool().then_some(of.max_attached),
            when_full: rng.bool().then_some(of.when_full),
            wait: rng.bool().then_some(of.wait),
            emergency_idle: rng.bool().then_some(of.emergency_idle),
            emergency_age: rng.bool().then_some(of.emergency_age),
        };
        policy
            .pools
            .insert(PoolName::parse(name).unwrap(), overrides);
    }
}

/// Limits that few sessions meet.
fn pool_policy(rng: &mut Rng) -> PoolPolicy {
    let limit = |rng: &mut Rng, span: std::ops::Range<u64>| match rng.u32(..4) {
        0 => Limit::Never,
        _ => Limit::After(Span::seconds(rng.u64(span))),
    };
    PoolPolicy {
        max_sessions: (rng.u32(..12) > 0).then(|| rng.u64(1..=5)),
        max_attached: (rng.u32(..3) == 0).then(|| rng.u64(1..4)),
        when_full: match rng.u32(..5) {
            0 => WhenFull::Reject,
            1 => WhenFull::Wait,
            _ => WhenFull::Evict,
        },
        wait: match rng.u32(..3) {
            0 => Limit::After(Span::seconds(rng.u64(1..120))),
            _ => Limit::Never,
        },
        emergency_idle: limit(rng, 20..1_000),
        emergency_age: limit(rng, 200..10_000),
    }
}

/// A delivery as a client remembers it.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) session: SessionId,
    pub(crate) queue: QueueId,
    pub(crate) seq: Seq,
    pub(crate) delivery: DeliveryId,
    pub(crate) epoch: Epoch,
}

impl Held {
    pub(crate) fn of(delivery: &Delivery) -> Self {
        Self {
            session: delivery.session.clone(),
            queue: delivery.message.queue,
            seq: delivery.message.seq,
            delivery: delivery.delivery_id,
            epoch: delivery.epoch,
        }
    }
}

/// One simulated worker instance.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) instance: InstanceId,
    /// Its stream, as it believes.
    pub(crate) stream: Option<StreamId>,
    /// Streams it had before.
    pub(crate) old_streams: Vec<StreamId>,
    /// Leases it was told of.
    pub(crate) leases: Vec<(Epoch, SessionId)>,
    /// Deliveries it has and did not settle.
    pub(crate) in_hand: Vec<Held>,
}

/// The clients' side.
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) workers: Vec<Client>,
    /// Every delivery that was ever made, for replay.
    pub(crate) past: Vec<Held>,
    /// Every session there was.
    pub(crate) sessions: Vec<SessionId>,
    /// Every request that was begun or renewed, with its session by key and by id.
    pub(crate) requests: Vec<(Option<SessionKey>, SessionId, RequestToken)>,
    /// Every resource that was declared.
    pub(crate) resources: Vec<ResourceToken>,
    pub(crate) next_stream: u64,
    pub(crate) next_name: u64,
}

impl Default for Clients {
    fn default() -> Self {
        let client = |number: usize| Client {
            instance: InstanceId::parse(format!("w{number}")).unwrap(),
            stream: None,
            old_streams: Vec::new(),
            leases: Vec::new(),
            in_hand: Vec::new(),
        };
        Self {
            workers: (0..WORKERS).map(client).collect(),
            past: Vec::new(),
            sessions: Vec::new(),
            requests: Vec::new(),
            resources: Vec::new(),
            next_stream: 1,
            next_name: 1,
        }
    }
}

impl Clients {
    pub(crate) fn name(&mut self) -> u64 {
        self.next_name += 1;
        self.next_name
    }

    /// Notes what was written to a stream; whether anybody reads it is another matter.
    pub(crate) fn remember(&mut self, deliveries: &[Delivery]) {
        self.past.extend(deliveries.iter().map(Held::of));
    }

    /// Notes what a claim was answered; the answer may be lost on its way all the same.
    pub(crate) fn remember_claim(&mut self, command: &Command, reply: &Reply) {
        let opened = match reply {
            Reply::Opened { session, .. } => Some(&session.session.id),
            Reply::Reset { successor, .. } => Some(&successor.session.id),
            Reply::Enqueued { session, .. } => Some(session),
            Reply::Resource {
                session, resource, ..
            } => {
                let token = resource.token(session.session.no);
                if !self.resources.contains(&token) {
                    self.resources.push(token);
                }
                None
            }
            Reply::RequestBegun { session, token, .. } => {
                let key = session.session.key.clone();
                let id = session.session.id.clone();
                self.requests.push((key, id, *token));
                None
            }
            Reply::Done
            | Reply::Session { .. }
            | Reply::Revoked { .. }
            | Reply::Purged { .. }
            | Reply::Claimed { .. }
            | Reply::Settled(_)
            | Reply::Counted { .. }
            | Reply::Compacted(_)
            | Reply::Subscription(_)
            | Reply::Drain(_)
            | Reply::Restored(_)
            | Reply::LeaseProgress(_)
            | Reply::LeaseTimes(_)
            | Reply::Attached(_)
            | Reply::Held(_)
            | Reply::Explained(_)
            | Reply::Reaped { .. }
            | Reply::NodeTaken { .. }
            | Reply::Workers(_) => None,
        };
        if let Some(id) = opened.filter(|id| !self.sessions.contains(id)) {
            self.sessions.push(id.clone());
        }
        let (Command::Claim(claim), Reply::Claimed { deliveries, .. }) = (command, reply) else {
            return;
        };
        let held: Vec<Held> = deliveries.iter().map(Held::of).collect();
        self.past.extend(held.iter().cloned());
        let mut workers = self.workers.iter_mut();
        if let Some(worker) = workers.find(|worker| worker.instance == claim.instance) {
            for held in held {
                if !worker.leases.iter().any(|(epoch, _)| *epoch == held.epoch) {
                    worker.leases.push((held.epoch, held.session.clone()));
                }
                worker.take(held);
            }
        }
    }
}

impl Client {
    pub(crate) fn take(&mut self, held: Held) {
        let known = |h: &Held| h.queue == held.queue && h.delivery == held.delivery;
        if !self.in_hand.iter().any(known) {
            self.in_hand.push(held);
        }
    }

    /// Reads deliveries from its stream.
    pub(crate) fn receive(&mut self, deliveries: &[Delivery]) {
        for delivery in deliveries {
            self.take(Held::of(delivery));
        }
    }
}
