//! Consumers: which watches read for which subscriptions, how far each was sent the log, and how it is told that it is over.
//!
//! Invariants: a watch is told once, and by the decision that ended it; one that ends by itself is reported to the engine,
//! whatever it is dropped by. How far a consumer was sent the log is known for the newest token that had a watch since this
//! start; of an older one it is known that it cannot be further than the log was at the start. What this deliberately does
//! not do: decide who reads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sessiond_core::command::Command;
use sessiond_core::command::subscription::{SubscriptionCommand, SubscriptionStep};
use sessiond_core::ids::{Epoch, Revision, StreamId};
use sessiond_core::rejection::Rejection;
use sessiond_core::rows::Counters;
use sessiond_core::subscription::{SubscriptionKey, SubscriptionRow};
use tokio::sync::{mpsc, oneshot};

use crate::engine::Handle;

/// The watches of all consumers.
#[derive(Clone, Debug)]
pub struct Consumers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The watches that are open.
    open: Mutex<BTreeMap<StreamId, Open>>,
    /// Of subscriptions that had a consumer since this start.
    sent: Mutex<BTreeMap<SubscriptionKey, Sent>>,
    /// Watches that are over: at most as many as there were.
    left: mpsc::UnboundedSender<(SubscriptionKey, StreamId)>,
    /// The newest event when the server started, and the newest token.
    at_start: (Revision, Epoch),
}

/// A watch that is open.
#[derive(Debug)]
struct Open {
    /// What it reads for, once it has it.
    reads: Option<(SubscriptionKey, Epoch)>,
    /// How it is told that it is over.
    over: oneshot::Sender<Box<Rejection>>,
}

/// How far the consumer under a token was sent the log.
#[derive(Debug)]
struct Sent {
    epoch: Epoch,
    delivered: Delivered,
}

/// Watches that are over, to be reported.
#[derive(Debug)]
pub(crate) struct Left(mpsc::UnboundedReceiver<(SubscriptionKey, StreamId)>);

/// The place of one watch. Once it is dropped, its subscription has no consumer, unless another one took over.
#[derive(Debug)]
pub(crate) struct Seat {
    consumers: Consumers,
    subscription: SubscriptionKey,
    stream: StreamId,
    over: oneshot::Receiver<Box<Rejection>>,
    delivered: Delivered,
}

/// How far one consumer was sent the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delivered(Arc<AtomicU64>);

impl Consumers {
    /// Nobody reads yet, from a store that has come so far.
    pub(crate) fn new(counters: &Counters) -> (Self, Left) {
        let (left, receiver) = mpsc::unbounded_channel();
        let shared = Shared {
            open: Mutex::default(),
            sent: Mutex::default(),
            left,
            at_start: (counters.revision, counters.epoch),
        };
        (Self(Arc::new(shared)), Left(receiver))
    }

    /// A place for a watch that is about to ask for the subscription: it can be told that it is over from here on.
    pub(crate) fn seat(&self, subscription: SubscriptionKey, stream: StreamId) -> Seat {
        let (sender, over) = oneshot::channel();
        let open = Open {
            reads: None,
            over: sender,
        };
        lock(&self.0.open).insert(stream, open);
        Seat {
            consumers: self.clone(),
            subscription,
            stream,
            over,
            delivered: Delivered::default(),
        }
    }

    /// Tells a watch that it is over, and why.
    pub(crate) fn cut(&self, stream: StreamId, why: Box<Rejection>) {
        if let Some(open) = lock(&self.0.open).remove(&stream) {
            // It may have ended by itself.
            drop(open.over.send(why));
        }
    }

    /// Whether the consumer under a token has a watch open.
    pub(crate) fn is_read(&self, subscription: &SubscriptionKey, epoch: Epoch) -> bool {
        let open = lock(&self.0.open);
        let mut reads = open.values().filter_map(|open| open.reads.as_ref());
        reads.any(|(of, token)| of == subscription && *token == epoch)
    }

    /// How far the consumer under a token was sent the log, as far as this server knows.
    pub(crate) fn sent(&self, subscription: &SubscriptionKey, epoch: Epoch) -> Revision {
        let sent = lock(&self.0.sent);
        let known = sent.get(subscription).filter(|sent| sent.epoch == epoch);
        known.map_or_else(
            || self.sent_before(epoch),
            |sent| Revision(sent.delivered.0.load(Ordering::Acquire)),
        )
    }

    /// How far the consumer under a token may have been sent the log by an earlier run of the server.
    fn sent_before(&self, epoch: Epoch) -> Revision {
        let (newest, newest_token) = self.0.at_start;
        if epoch <= newest_token {
            newest
        } else {
            Revision(0)
        }
    }

    /// Forgets a subscription that is deleted.
    pub(crate) fn forget(&self, subscription: &SubscriptionKey) {
        lock(&self.0.sent).remove(subscription);
    }
}

impl Seat {
    /// The engine gave it the subscription.
    pub(crate) fn begin(&mut self, row: &SubscriptionRow) {
        if let Some(open) = lock(&self.consumers.0.open).get_mut(&self.stream) {
            open.reads = Some((self.subscription.clone(), row.epoch));
        }
        let mut sent = lock(&self.consumers.0.sent);
        let before = sent.get(&self.subscription);
        if before.is_some_and(|before| before.epoch > row.epoch) {
            // It has lost it again by now, and is told so.
            return;
        }
        match before.filter(|before| before.epoch == row.epoch) {
            // What it was sent by an earlier watch it may acknowledge yet.
            Some(before) => self.delivered = before.delivered.clone(),
            None => {
                let known = row.acked.max(self.consumers.sent_before(row.epoch));
                self.delivered = Delivered(Arc::new(AtomicU64::new(known.0)));
                let (epoch, delivered) = (row.epoch, self.delivered.clone());
                sent.insert(self.subscription.clone(), Sent { epoch, delivered });
            }
        }
    }

    /// Where it is noted how far it was sent the log.
    pub(crate) fn delivered(&self) -> Delivered {
        self.delivered.clone()
    }

    /// Completes once it is over, with why.
    pub(crate) async fn over(&mut self) -> Box<Rejection> {
        match (&mut self.over).await {
            Ok(why) => why,
            // Only what is cut loses its sender, and it is told before.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Delivered {
    /// It is sent the log up to here.
    pub(crate) fn through(&self, through: Revision) {
        self.0.fetch_max(through.0, Ordering::AcqRel);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.consumers.0.open).remove(&self.stream);
        // Nobody reports it only when the process is already going down.
        let left = (self.subscription.clone(), self.stream);
        drop(self.consumers.0.left.send(left));
    }
}

/// Reports watches that are over, until the engine has ended.
pub(crate) async fn run(mut left: Left, engine: Handle) {
    loop {
        let next = tokio::select! {
            () = engine.ended() => return,
            next = left.0.recv() => next,
        };
        let Some((subscription, stream)) = next else {
            return;
        };
        let step = SubscriptionStep::Left { stream };
        let command = SubscriptionCommand { subscription, step };
        let told = engine.tell(vec![Command::Subscription(command)]).await;
        if told.is_err() {
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
