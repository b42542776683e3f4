//! The dispatcher: who gets which frame, and which waiting claim looks again.
//!
//! The engine pushes frames here after the commit that decided them. A stream that is gone, or that
//! let its frames pile up to the bound, is closed; its deliveries come back through the stream's own
//! task. Nothing is decided here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sessiond_core::ids::{Namespace, SessionNo, StreamId};
use sessiond_core::reply::{Frame, Wake};
use tokio::sync::{Notify, mpsc};

use crate::limits::STREAM_COMMITS_MAX;

/// Open streams and waiting claims.
#[derive(Debug, Default)]
pub struct Dispatcher {
    streams: Mutex<BTreeMap<StreamId, mpsc::Sender<Vec<Frame>>>>,
    waiting: Mutex<BTreeMap<Interest, Arc<Waiting>>>,
    next_stream: AtomicU64,
}

/// What a waiting claim waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interest {
    /// Work of one session.
    Session(SessionNo),
    /// Work of any session of a namespace.
    Namespace(Namespace),
}

/// Claims that wait for the same thing.
#[derive(Debug, Default)]
struct Waiting {
    notify: Notify,
    claims: AtomicU64,
}

/// One claim's place among those that wait; leaves it when dropped.
#[derive(Debug)]
pub struct Waiter<'d> {
    dispatcher: &'d Dispatcher,
    interest: Interest,
    waiting: Arc<Waiting>,
}

impl Dispatcher {
    /// Registers a worker's stream.
    pub fn open(&self) -> (StreamId, mpsc::Receiver<Vec<Frame>>) {
        let id = self.number();
        let (sender, receiver) = mpsc::channel(STREAM_COMMITS_MAX);
        self.lock_streams().insert(id, sender);
        (id, receiver)
    }

    /// A number that no other stream of this start has.
    pub fn number(&self) -> StreamId {
        StreamId(self.next_stream.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Forgets a stream; frames for it are dropped from here on.
    pub fn close(&self, id: StreamId) {
        self.lock_streams().remove(&id);
    }

    /// How many streams are open.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.lock_streams().len()
    }

    /// Sends the frames of one commit to a stream; gives them back if the stream is gone. A stream whose buffer is full
    /// is cut: its task then returns what it never wrote.
    pub fn push(&self, id: StreamId, frames: Vec<Frame>) -> Result<(), Vec<Frame>> {
        let mut streams = self.lock_streams();
        let Some(sender) = streams.get(&id) else {
            return Err(frames);
        };
        match sender.try_send(frames) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(frames)) => Err(frames),
            Err(mpsc::error::TrySendError::Full(frames)) => {
                tracing::warn!(
                    stream = id.0,
                    "worker stream cut: it does not take its frames"
                );
                streams.remove(&id);
                Err(frames)
            }
        }
    }

    /// Wakes the claims that wait for this work.
    pub fn wake(&self, wake: &Wake) {
        let waiting = self.lock_waiting();
        let interests = [
            Interest::Session(wake.session),
            Interest::Namespace(wake.namespace.clone()),
        ];
        for interest in interests {
            if let Some(waiting) = waiting.get(&interest) {
                waiting.notify.notify_waiters();
            }
        }
    }

    /// Takes a place among those that wait. Take it before looking, or a wake-up may be missed.
    pub fn wait_for(&self, interest: Interest) -> Waiter<'_> {
        let mut waiting = self.lock_waiting();
        let shared = Arc::clone(waiting.entry(interest.clone()).or_default());
        shared.claims.fetch_add(1, Ordering::Relaxed);
        Waiter {
            dispatcher: self,
            interest,
            waiting: shared,
        }
    }

    fn lock_streams(
        &self,
    ) -> std::sync::MutexGuard<'_, BTreeMap<StreamId, mpsc::Sender<Vec<Frame>>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_waiting(&self) -> std::sync::MutexGuard<'_, BTreeMap<Interest, Arc<Waiting>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter<'_> {
    /// Completes at the next wake-up after this call.
    pub fn woken(&self) -> tokio::sync::futures::Notified<'_> {
        self.waiting.notify.notified()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut waiting = self.dispatcher.lock_waiting();
        if self.waiting.claims.fetch_sub(1, Ordering::Relaxed) == 1 {
            waiting.remove(&self.interest);
        }
    }
}
