//! Commands about subscriptions, and of whoever consumes them.

use crate::command::RequestTag;
use crate::ids::{Epoch, InstanceId, Revision, StreamId};
use crate::subscription::{EventStart, SubscriptionKey, SubscriptionSettings};

/// Something about one subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionCommand {
    /// Which.
    pub subscription: SubscriptionKey,
    /// What.
    pub step: SubscriptionStep,
}

/// What may be asked of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionStep {
    /// Put it on record, unless it is.
    Create {
        /// How it is to be.
        settings: SubscriptionSettings,
        /// Where it begins; means nothing to one that is on record.
        start: EventStart,
        /// Its name as a mutation.
        request: Option<RequestTag>,
    },
    /// Have it go on from another place, whatever its consumer is about.
    Seek {
        /// From where.
        start: EventStart,
        /// Its name as a mutation.
        request: Option<RequestTag>,
    },
    /// Forget it.
    Delete {
        /// Its name as a mutation.
        request: Option<RequestTag>,
    },
    /// Read for it.
    Consume {
        /// Who.
        consumer: InstanceId,
        /// By which watch.
        stream: StreamId,
        /// Whether another consumer must give way.
        take_over: bool,
    },
    /// The watch of a consumer is gone.
    Left {
        /// Which watch.
        stream: StreamId,
    },
    /// Everything up to an event was handled.
    Ack {
        /// Which event.
        revision: Revision,
        /// The token of whoever says so.
        epoch: Epoch,
        /// How far its consumer was sent the log, as far as the server knows.
        delivered: Revision,
    },
    /// It seems to be too far behind.
    Lagging,
}
