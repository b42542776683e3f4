//! Leases: a worker instance's exclusive hold on one session.
//!
//! The row says who holds what and since when; the clock that renews it lives in `presence`, in
//! memory, so that a renewal costs no write and a restart gives everybody one full lease. At most one
//! lease of a session is current; a superseded one only remembers whose deliveries are still out.

use crate::ids::{Epoch, InstanceId, Namespace, QueueId, SessionNo, WorkerName};
use crate::time::{EngineTime, Span, WallTime};

/// The durable part of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRow {
    /// Its fencing token.
    pub epoch: Epoch,
    /// Isolation boundary of the session.
    pub namespace: Namespace,
    /// The session it was given for.
    pub session: SessionNo,
    /// The queue its deliveries come from.
    pub queue: QueueId,
    /// What the holder calls itself.
    pub worker: WorkerName,
    /// The holder.
    pub instance: InstanceId,
    /// How it was taken.
    pub mode: LeaseMode,
    /// When it was taken, for display.
    pub acquire_time: WallTime,
    /// How long it lasts from each renewal.
    pub duration: Span,
    /// Whether it still holds the session.
    pub standing: LeaseStanding,
    /// The holder was asked to stop what it has in flight: when that comes back without its word.
    pub cancel_by: Option<EngineTime>,
}

/// How a lease was taken, which says how it is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseMode {
    /// By `ClaimMessages`: renewed by the next claim or an `extend`.
    Claim,
    /// On a `Work` stream: renewed by any frame.
    Stream,
}

/// Whether a lease still holds its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseStanding {
    /// It does.
    Current,
    /// The session ended or was replaced; what it has in flight returns then.
    Superseded {
        /// When.
        until: EngineTime,
    },
}

/// A lease as readers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseView {
    /// What the holder calls itself.
    pub worker: WorkerName,
    /// The holder.
    pub instance: InstanceId,
    /// Its fencing token.
    pub epoch: Epoch,
    /// When it was taken.
    pub acquire_time: WallTime,
    /// When it lapses if nothing renews it.
    pub expire_time: WallTime,
}
