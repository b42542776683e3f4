//! The numbers that stand for the variants of the core's enums.
//!
//! Each number is a promise: it is on disk. A variant that goes leaves its number behind, unused; a new one takes the
//! next. Zero is never given, for it is what an absent field reads as. The numbers of `Rank` and `Lane` also order keys.

use sessiond_core::drain::{DrainSessions, WarningCode};
use sessiond_core::event::{ActorKind, EventKind};
use sessiond_core::lease::LeaseMode;
use sessiond_core::message::{DeadReason, Lane, Rank, Turn};
use sessiond_core::resource::{LingeringCause, ReleaseOutcome};
use sessiond_core::session::{EndMode, EndReason, Ordering, PendingPolicy, PredecessorSlot};

use crate::row::DecodeError;

/// An enum whose variants have numbers on disk.
pub(crate) trait Numbered: Copy {
    /// The number of the variant.
    fn number(self) -> u32;

    /// The variant of the number.
    fn of_number(number: u32) -> Result<Self, DecodeError>;
}

macro_rules! numbers {
    ($($name:ident ($what:literal) { $($variant:ident = $number:literal),+ $(,)? })+) => {
        $(impl Numbered for $name {
            fn number(self) -> u32 {
                match self {
                    $(Self::$variant => $number,)+
                }
            }

            fn of_number(number: u32) -> Result<Self, DecodeError> {
                match number {
                    $($number => Ok(Self::$variant),)+
                    _ => Err(DecodeError::UnknownNumber { what: $what, number }),
                }
            }
        })+
    };
}

numbers! {
    Ordering ("the ordering") {
        Strict = 1,
        Serial = 2,
        Relaxed = 3,
    }
    EndMode ("the end mode") {
        Immediate = 1,
        Graceful = 2,
        AfterPending = 3,
    }
    PendingPolicy ("the pending policy") {
        Keep = 1,
        Discard = 2,
    }
    EndReason ("the end reason") {
        Completed = 1,
        Failed = 2,
        Deleted = 3,
        Admin = 4,
        Reset = 5,
        Replaced = 6,
        Compacted = 7,
        Scheduled = 8,
        Shutdown = 9,
        Restart = 10,
        Idle = 11,
        Expired = 12,
        Evicted = 13,
        Capacity = 14,
        OwnerLost = 15,
        WorkerStuck = 16,
        RestartLimit = 17,
        Crashed = 18,
    }
    LeaseMode ("the lease mode") {
        Claim = 1,
        Stream = 2,
    }
    Rank ("the rank") {
        Interrupt = 1,
        Steer = 2,
        Returned = 3,
        New = 4,
    }
    Lane ("the lane") {
        Interrupt = 1,
        Steer = 2,
        Ordinary = 3,
    }
    Turn ("the turn") {
        Keeps = 1,
        Waives = 2,
    }
    DeadReason ("the reason of a dead letter") {
        MaxAttempts = 1,
        Permanent = 2,
    }
    EventKind ("the kind of an event") {
        SessionOpened = 1,
        SessionUpdated = 2,
        SessionDraining = 3,
        SessionEnd = 4,
        WorkerAttached = 5,
        WorkerDetached = 6,
        WorkerLost = 7,
        MessageDeadLettered = 8,
        CircuitOpened = 70,
        CircuitClosed = 71,
        WorkerStuck = 80,
        RestartLimited = 81,
        LimitWarning = 82,
        SessionQueued = 40,
        SessionAdmitted = 41,
        SessionPurged = 50,
        SessionReleased = 90,
        ResourceReleased = 91,
        ResourceLingering = 92,
        SubscriptionStale = 96,
        ServerDraining = 97,
        ServerDrainCancelled = 98,
        MessagesRequeued = 99,
        MessagesDiscarded = 100,
    }
    ActorKind ("the kind of an actor") {
        Api = 1,
        Worker = 2,
        Reaper = 3,
        Recovery = 4,
        Drain = 5,
        Agent = 6,
    }
    PredecessorSlot ("the fate of a slot") {
        Passes = 1,
        Frees = 2,
    }
    LingeringCause ("the cause of a resource that is left") {
        Denied = 1,
        TimedOut = 2,
        NodeAway = 3,
    }
    DrainSessions ("whether sessions end") {
        End = 1,
        Keep = 2,
    }
    WarningCode ("the code of a warning") {
        SessionDrainTimeout = 1,
        ResourcesUnreleased = 2,
        SessionEndDrain = 3,
    }
    ReleaseOutcome ("the outcome of a release") {
        Killed = 1,
        AlreadyGone = 2,
        Mismatch = 3,
        Forced = 4,
    }
}
