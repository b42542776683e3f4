//! The limits that an operator sets, with what they are when nobody does, and those of each pool.
//!
//! Invariant: a pool that says nothing of its own has what all pools have. What this deliberately does not do: judge
//! whether limits contradict one another; the configuration does.

use std::collections::BTreeMap;

use crate::ids::{MessageKind, PoolName};
use crate::time::{Limit, Span};

/// The limits an operator sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Payload bytes of one message; real tool results reach 740 KB.
    pub message_bytes_max: u64,
    /// Unsettled messages of one queue.
    pub queue_messages_max: u64,
    /// Unsettled bytes of one queue.
    pub queue_bytes_max: u64,
    /// Hand-outs before a message becomes a dead letter.
    pub max_attempts: u32,
    /// Pause after the first nack with RETRY that names none; doubled with each attempt.
    pub retry_pause_first: Span,
    /// Longest pause of that kind; not less than the first.
    pub retry_pause_max: Span,
    /// Pause after a nack with DEFER that names none.
    pub defer_pause: Span,
    /// Lease of a worker on a `Work` stream.
    pub stream_lease: Span,
    /// Lease of a claim that names none.
    pub claim_lease: Span,
    /// Idle limit of a session that names none.
    pub idle_timeout: Limit,
    /// Age limit of a session that names none.
    pub max_lifetime: Limit,
    /// Owner limit of a session that names none.
    pub owner_timeout: Limit,
    /// How soon the limits of a session are looked at again while its use protects it from them.
    pub cleanup_interval: Span,
    /// What all pools have that say nothing of their own.
    pub all_pools: PoolPolicy,
    /// Pools that may be named, each with what it has of its own.
    pub pools: BTreeMap<PoolName, PoolOverrides>,
    /// How long a session stays on record after its end.
    pub session_retention: Limit,
    /// Whether a session is deleted only with the proof that an export has all that it has.
    pub export_before_purge: bool,
    /// How long a dead letter is kept.
    pub dead_letter_retention: Limit,
    /// Grace of a GRACEFUL end.
    pub end_grace: Span,
    /// Grace of an AFTER_PENDING end.
    pub after_pending_grace: Span,
    /// How long a worker may take to stop what an INTERRUPT stops, before it is handed out again all the same.
    pub cancel_grace: Span,
    /// Kinds of message that have a circuit, at most [`super::CIRCUIT_KINDS_MAX`]. An open circuit drops what is sent: right
    /// for work that the next message of its kind makes up for, wrong for what is sent once. So by default only
    /// `summarize` has one.
    pub circuit_kinds: std::collections::BTreeSet<MessageKind>,
    /// Failures in a row that open a circuit, at most [`super::CIRCUIT_FAILURES_MAX`].
    pub circuit_failures: u32,
    /// How long an open circuit skips messages before it lets one through, at most [`super::CIRCUIT_COOL_DOWN_MAX`].
    pub circuit_cool_down: Span,
    /// How long a worker may hold deliveries without progress; a claim's lease at least.
    pub stuck_after: Limit,
    /// How long a worker's stream keeps a session of which it has nothing to do.
    pub worker_idle: Limit,
    /// How long before an end by idleness or age a warning is written: a tenth of the limit, and this at most. Off: none
    /// is written.
    pub warning_lead: Limit,
    /// What a stuck worker costs.
    pub on_stuck: WorkerCost,
    /// How often the workers of a session may fail within [`Policy::restart_window`]; at most [`super::RESTART_LIMIT_MAX`].
    pub restart_limit: u32,
    /// How long a failure counts.
    pub restart_window: Span,
    /// What one failure too many costs.
    pub on_restart_limit: WorkerCost,
}

/// What workers that fail cost their session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerCost {
    /// The lease; the session goes on.
    Keep,
    /// The session: it ends.
    End,
}

/// The limits of one pool; they count for each namespace by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolPolicy {
    /// Sessions that may have a slot at once; none: any number.
    pub max_sessions: Option<u64>,
    /// Sessions that workers may hold at once; none: any number.
    pub max_attached: Option<u64>,
    /// What becomes of an open that finds no slot.
    pub when_full: WhenFull,
    /// How long an open waits that does not say, if the pool lets it.
    pub wait: Limit,
    /// Sessions that are idle for longer give their slots up when none is left.
    pub emergency_idle: Limit,
    /// Sessions that are older give theirs up when that is not enough.
    pub emergency_age: Limit,
}

/// What one pool has of its own; the rest is as for all pools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolOverrides {
    /// See [`PoolPolicy::max_sessions`].
    pub max_sessions: Option<Option<u64>>,
    /// See [`PoolPolicy::max_attached`].
    pub max_attached: Option<Option<u64>>,
    /// See [`PoolPolicy::when_full`].
    pub when_full: Option<WhenFull>,
    /// See [`PoolPolicy::wait`].
    pub wait: Option<Limit>,
    /// See [`PoolPolicy::emergency_idle`].
    pub emergency_idle: Option<Limit>,
    /// See [`PoolPolicy::emergency_age`].
    pub emergency_age: Option<Limit>,
}

/// What becomes of an open that finds no slot, once the emergency sweep found none either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It is refused unless it says how long it would wait.
    Reject,
    /// It waits.
    Wait,
    /// The session that is idle for longest gives its slot up; with none idle it waits.
    Evict,
}

impl Default for PoolPolicy {
    fn default() -> Self {
        Self {
            max_sessions: Some(1_000),
            max_attached: None,
            when_full: WhenFull::Reject,
            wait: Limit::After(Span::seconds(60)),
            emergency_idle: Limit::After(Span::seconds(300)),
            emergency_age: Limit::After(Span::seconds(3_600)),
        }
    }
}

impl PoolPolicy {
    /// How long an open waits that does not say; none if it is refused.
    #[must_use]
    pub fn default_wait(&self) -> Option<Span> {
        match (self.when_full, self.wait) {
            (WhenFull::Wait | WhenFull::Evict, Limit::After(wait)) => Some(wait),
            (WhenFull::Wait | WhenFull::Evict, Limit::Never) | (WhenFull::Reject, _) => None,
        }
    }
}

impl Policy {
    /// The limits of a pool. One that is configured no more and still has sessions has those that all pools have.
    #[must_use]
    pub fn pool(&self, name: &PoolName) -> PoolPolicy {
        let own = self.pools.get(name).copied().unwrap_or_default();
        let all = &self.all_pools;
        PoolPolicy {
            max_sessions: own.max_sessions.unwrap_or(all.max_sessions),
            max_attached: own.max_attached.unwrap_or(all.max_attached),
            when_full: own.when_full.unwrap_or(all.when_full),
            wait: own.wait.unwrap_or(all.wait),
            emergency_idle: own.emergency_idle.unwrap_or(all.emergency_idle),
            emergency_age: own.emergency_age.unwrap_or(all.emergency_age),
        }
    }

    /// Writes down for every pool what it has from all pools.
    pub fn settle_pools(&mut self) {
        let names: Vec<PoolName> = self.pools.keys().cloned().collect();
        for name in names {
            let of = self.pool(&name);
            let settled = PoolOverrides {
                max_sessions: Some(of.max_sessions),
                max_attached: Some(of.max_attached),
                when_full: Some(of.when_full),
                wait: Some(of.wait),
                emergency_idle: Some(of.emergency_idle),
                emergency_age: Some(of.emergency_age),
            };
            self.pools.insert(name, settled);
        }
    }

    /// The limits of the pool of a session that names none.
    #[must_use]
    pub fn default_pool(&self) -> PoolPolicy {
        self.pool(&default_pool())
    }
}

/// The name of the pool of a session that names none.
fn default_pool() -> PoolName {
    PoolName::parse(DEFAULT_POOL).expect("the default pool's name is an id")
}

/// The pool of a session that names none.
pub const DEFAULT_POOL: &str = "default";

/// The kind of message that asks for a summary.
pub const SUMMARIZE: &str = "summarize";

impl Default for Policy {
    fn default() -> Self {
        let summarize = MessageKind::parse(SUMMARIZE).expect("it is the name of a kind");
        Self {
            message_bytes_max: 8 * 1024 * 1024,
            queue_messages_max: 100_000,
            queue_bytes_max: 1024 * 1024 * 1024,
            max_attempts: 3,
            retry_pause_first: Span::seconds(1),
            retry_pause_max: Span::seconds(8),
            defer_pause: Span::seconds(30),
            stream_lease: Span::seconds(15),
            claim_lease: Span::seconds(60),
            idle_timeout: Limit::After(Span::seconds(3_600)),
            max_lifetime: Limit::After(Span::seconds(86_400)),
            owner_timeout: Limit::Never,
            cleanup_interval: Span::seconds(60),
            all_pools: PoolPolicy::default(),
            pools: [(default_pool(), PoolOverrides::default())].into(),
            session_retention: Limit::After(Span::seconds(7 * 86_400)),
            export_before_purge: false,
            dead_letter_retention: Limit::After(Span::seconds(7 * 86_400)),
            end_grace: Span::seconds(5),
            after_pending_grace: Span::seconds(600),
            cancel_grace: Span::seconds(5),
            circuit_kinds: [summarize].into(),
            circuit_failures: 3,
            circuit_cool_down: Span::seconds(300),
            stuck_after: Limit::After(Span::seconds(300)),
            worker_idle: Limit::After(Span::seconds(180)),
            warning_lead: Limit::After(Span::seconds(300)),
            on_stuck: WorkerCost::Keep,
            restart_limit: 10,
            restart_window: Span::seconds(600),
            on_restart_limit: WorkerCost::Keep,
        }
    }
}
