//! The clock of a lease: until when its holder has it, and when that must be looked at.
//!
//! What this deliberately does not do: run; whoever decides compares it with the time.

use super::{Instance, InstanceKey, Load};
use crate::ids::{PoolName, QueueId, SessionNo};
use crate::lease::LeaseMode;
use crate::time::{EngineTime, Limit, Span};

/// When a lease was last renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseClock {
    /// Who holds it.
    pub holder: InstanceKey,
    /// Which session.
    pub session: SessionNo,
    /// Its pool, which it never leaves.
    pub pool: PoolName,
    /// Its own last renewal, by claim, attach or extend.
    pub renewed_at: EngineTime,
    /// How long it lasts from each renewal.
    pub duration: Span,
    /// Which queue its deliveries come from.
    pub queue: QueueId,
    /// How it is renewed: by any frame of the holder, or by itself.
    pub mode: LeaseMode,
    /// The last sign that work under it moves: it was taken, a first delivery was handed out, one was settled or extended,
    /// or progress was told. A heartbeat is none.
    pub moved_at: EngineTime,
    /// When recovery gave it a fresh term; it has not been heard of while that term runs.
    pub restored_at: Option<EngineTime>,
    /// What it has in flight.
    pub load: Load,
    /// When it is looked at next.
    pub alarm: EngineTime,
}

impl LeaseClock {
    /// How long its holder may have the session without anything to do. A claim ends by itself.
    #[must_use]
    pub fn rest(&self, limit: Limit) -> Limit {
        match self.mode {
            LeaseMode::Stream => limit,
            LeaseMode::Claim => Limit::Never,
        }
    }

    /// The instant the lease lapses unless something renews it, given its holder.
    #[must_use]
    pub fn lapse_at(&self, holder: Option<&Instance>) -> EngineTime {
        let heard = match self.mode {
            LeaseMode::Stream => holder.map_or(self.renewed_at, |instance| instance.last_seen),
            LeaseMode::Claim => self.renewed_at,
        };
        self.renewed_at.max(heard) + self.duration
    }

    /// How long its holder may have deliveries without getting on. A claim said itself how long it may be silent.
    #[must_use]
    pub fn patience(&self, limit: Limit) -> Limit {
        match (limit, self.mode) {
            (Limit::After(span), LeaseMode::Claim) => Limit::After(span.max(self.duration)),
            (Limit::After(_), LeaseMode::Stream) | (Limit::Never, _) => limit,
        }
    }
}
