//! Subscriptions: durable places in the log, each acknowledged by the plugin that reads from it.
//!
//! Invariant: one that is active keeps every event behind what it acknowledged, and what it acknowledged only grows but for
//! a seek. One consumer at a time reads for it, under a fencing token; what any other acknowledges counts for nothing. One
//! that falls too far behind is stale: it holds nothing, and goes on only from a place that somebody names. What this
//! deliberately does not do: say whether its consumer is here, which is presence; or know which events its filter means,
//! which whoever sends them does.

use std::sync::Arc;

use bytes::Bytes;

use crate::event::EventRow;
use crate::ids::{Epoch, InstanceId, Namespace, Revision, SessionId, SubscriptionName};
use crate::time::{EngineTime, Span, WallTime};

/// A subscription, within its namespace.
pub type SubscriptionKey = (Namespace, SubscriptionName);

/// What is on record of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionRow {
    /// Where.
    pub namespace: Namespace,
    /// What it is called.
    pub name: SubscriptionName,
    /// What its maker asked for.
    pub settings: SubscriptionSettings,
    /// Everything up to here was acknowledged.
    pub acked: Revision,
    /// The same, up to the end of a decision: what is behind here is kept, so that no decision is kept in part.
    pub holds_after: Revision,
    /// Whether it holds the log.
    pub standing: SubscriptionStanding,
    /// The fencing token of its consumer; of none yet, or after a seek, one that nobody has.
    pub epoch: Epoch,
    /// Who consumed it last under this token.
    pub consumer: Option<InstanceId>,
    /// When it was made.
    pub create_time: WallTime,
}

/// What the maker of a subscription asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionSettings {
    /// Which events its consumer gets: the filter as its maker gave it, encoded. It means nothing here.
    pub filter: Bytes,
    /// Whether the deletion of a session waits for its acknowledgement.
    pub required: bool,
    /// How far it may be behind.
    pub max_lag: MaxLag,
}

/// How far a subscription may be behind; with either one passed it is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxLag {
    /// How old the oldest event may be that it did not acknowledge.
    pub age: Span,
    /// How much those events may weigh together.
    pub bytes: u64,
}

/// Whether a subscription holds the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionStanding {
    /// It does.
    Active,
    /// It fell too far behind.
    Stale {
        /// When that was found.
        time: WallTime,
    },
}

/// Where a subscription begins, or goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventStart {
    /// Behind the newest event.
    Now,
    /// With the oldest that is kept.
    Oldest,
    /// Behind this one.
    After(Revision),
}

/// What is answered to what is asked of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionReply {
    /// It was made, moved or deleted.
    Changed {
        /// As it is now, or was when it was deleted; none if an earlier call with the same request id deleted it.
        subscription: Option<Arc<SubscriptionRow>>,
        /// Whether this call made it.
        created: bool,
        /// Whether an earlier call with the same request id did it.
        duplicate: bool,
    },
    /// It may be read for.
    Consuming(Arc<SubscriptionRow>),
    /// Up to where everything is acknowledged now.
    Acked(Revision),
}

/// What a subscription is in the way of, or cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionRejection {
    /// No such subscription is on record.
    NotFound {
        /// What was asked for.
        name: SubscriptionName,
    },
    /// It exists with other settings.
    Exists {
        /// Which.
        name: SubscriptionName,
        /// Which of them differ.
        differing: Vec<&'static str>,
    },
    /// Another consumer reads for it.
    Held {
        /// Which.
        name: SubscriptionName,
        /// Who does.
        holder: InstanceId,
        /// Under which token.
        epoch: Epoch,
    },
    /// The token is not that of its consumer.
    Fenced {
        /// Which.
        name: SubscriptionName,
        /// What was given.
        given: Epoch,
        /// What counts.
        current: Epoch,
    },
    /// It fell too far behind.
    Stale {
        /// Which.
        name: SubscriptionName,
        /// What it acknowledged.
        acked: Revision,
        /// The oldest event that is kept.
        oldest: Revision,
    },
    /// What was to be acknowledged was not sent to its consumer.
    NotDelivered {
        /// Which revision that is.
        revision: Revision,
        /// How far it was sent.
        delivered: Revision,
    },
    /// It is to begin where the log is deleted.
    Compacted {
        /// Behind which event.
        after: Revision,
        /// The oldest event that is kept.
        oldest: Revision,
        /// The newest.
        newest: Revision,
    },
    /// It is to begin behind what was not written yet.
    Ahead {
        /// The oldest event that is kept.
        oldest: Revision,
        /// The newest.
        newest: Revision,
    },
    /// A required one has not acknowledged all that happened to a session, which stays for it.
    Unheard {
        /// Which session.
        session: SessionId,
        /// The subscription that is furthest behind.
        name: SubscriptionName,
        /// For how long it is waited for yet.
        waits: Span,
    },
    /// As many are on record as may be.
    TooMany {
        /// The limit.
        limit: u64,
    },
}

impl SubscriptionRow {
    /// Its name in full.
    #[must_use]
    pub fn key(&self) -> SubscriptionKey {
        (self.namespace.clone(), self.name.clone())
    }

    /// Whether it holds the log.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.standing == SubscriptionStanding::Active
    }
}

impl MaxLag {
    /// Whether a subscription is too far behind whose first event that it did not acknowledge is this one, in a log that
    /// weighs so much.
    #[must_use]
    pub fn is_passed(self, first: &EventRow, now: EngineTime, log_bytes: u64) -> bool {
        // Of an event that does not say when it was nobody knows how old it is.
        let aged = first.at != EngineTime(0) && now.since(first.at) > self.age;
        aged || log_bytes - first.offset > self.bytes
    }
}

impl SubscriptionRejection {
    /// That a subscription fell too far behind.
    #[must_use]
    pub(crate) fn stale(row: &SubscriptionRow, oldest: Revision) -> Self {
        Self::Stale {
            name: row.name.clone(),
            acked: row.acked,
            oldest,
        }
    }
}

impl SubscriptionSettings {
    /// The names of the settings in which another differs.
    #[must_use]
    pub(crate) fn differing(&self, other: &Self) -> Vec<&'static str> {
        let compared = [
            ("filter", self.filter == other.filter),
            ("required", self.required == other.required),
            ("max_lag", self.max_lag.age == other.max_lag.age),
            ("max_lag_bytes", self.max_lag.bytes == other.max_lag.bytes),
        ];
        let differing = compared.into_iter().filter(|(_, same)| !same);
        differing.map(|(name, _)| name).collect()
    }
}
