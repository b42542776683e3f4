//! Pools: what they allow and how full they are.

use sessiond_core::ids::PoolName;
use sessiond_core::limits::{PoolPolicy, WhenFull};
use sessiond_core::rows::PoolRow;
use sessiond_core::session::SessionRow;
use sessiond_proto::v1 as pb;

use super::time::{duration, limit, timestamp};

/// What there is to say of a pool.
#[derive(Clone, Debug)]
pub(crate) struct PoolFacts<'a> {
    /// Its name.
    pub(crate) pool: &'a PoolName,
    /// Its limits; those of an unconfigured pool if it is none.
    pub(crate) policy: PoolPolicy,
    /// Whether it is configured.
    pub(crate) configured: bool,
    /// How many sessions it has.
    pub(crate) row: PoolRow,
    /// How many of them workers hold.
    pub(crate) attached: u64,
    /// The session whose turn is next.
    pub(crate) next: Option<&'a SessionRow>,
}

/// One pool of ListPools.
pub(crate) fn pool(facts: &PoolFacts<'_>) -> pb::PoolInfo {
    let policy = facts.policy;
    let next = facts.next;
    pb::PoolInfo {
        pool: facts.pool.to_string(),
        live: facts.row.live,
        draining: facts.row.draining,
        queued: facts.row.queued,
        attached: facts.attached,
        max_sessions: policy.max_sessions,
        max_attached: policy.max_attached,
        when_full: when_full(policy.when_full).into(),
        default_wait: policy.default_wait().map(duration),
        emergency_idle: Some(limit(policy.emergency_idle)),
        emergency_age: Some(limit(policy.emergency_age)),
        oldest_waiting_id: next.map_or_else(String::new, |session| session.id.to_string()),
        oldest_waiting_time: next.map(|session| timestamp(session.create_time)),
        configured: facts.configured,
        releasing: facts.row.releasing,
        lingering: facts.row.lingering,
    }
}

fn when_full(when_full: WhenFull) -> pb::WhenFull {
    match when_full {
        WhenFull::Reject => pb::WhenFull::Reject,
        WhenFull::Wait => pb::WhenFull::Wait,
        WhenFull::Evict => pb::WhenFull::Evict,
    }
}
