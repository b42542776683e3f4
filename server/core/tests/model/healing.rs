//! The end of some runs: everything is well, and what is pending must get done.
//!
//! Safety alone is met by a server that does nothing; this is the part that such a server fails.

use std::collections::VecDeque;

use sessiond_core::command::{Hello, Outcome, Settlement, WorkerFrame};
use sessiond_core::ids::{StreamId, WorkerName};
use sessiond_core::presence::{SessionFilter, Window};
use sessiond_core::session::{Labels, Usage};

use super::script::{Held, WORKERS};
use super::state::{Fate, Queue, Session};
use super::world::{World, deliveries};

/// Time between two heartbeats of a worker that is well.
const HEAL_STEP_MS: u64 = 10_000;
/// Heartbeats within which everything is done: leases lapse and pauses end in a fraction of it, suspensions last for the
/// longest window of these tests, and a message that is deferred to a time of day waits for as long as the clock was set
/// back.
const HEAL_ROUNDS_MAX: usize = 600;

impl World {
    /// Everything is well from here on: one worker that serves every session, reads all and settles all. Whatever is
    /// pending gets done, whoever held it before.
    pub(crate) fn heal(&mut self) {
        self.finish_drain();
        for worker in 0..WORKERS {
            if let Some(stream) = self.clients.workers[worker].stream.take() {
                self.drop_stream(worker, stream);
            }
        }
        let stream = StreamId(self.clients.next_stream);
        self.clients.workers[0].stream = Some(stream);
        self.wire.insert(stream, VecDeque::new());
        let hello = Hello {
            worker: WorkerName::parse("worker").unwrap(),
            build_id: String::new(),
            labels: Labels::new(),
            window: Window {
                messages: 1_000,
                bytes: 1 << 30,
                sessions: 1_000,
            },
            serves: Some(SessionFilter::default()),
            resume: Vec::new(),
        };
        self.say(0, stream, WorkerFrame::Hello(Box::new(hello)));
        for _ in 0..HEAL_ROUNDS_MAX {
            self.release_all();
            self.settle_everything(stream);
            let serving = |queue: &&Queue| queue.fate == Fate::Serving;
            let mut queues = self.model.queues.iter().filter(serving);
            if queues.all(|queue| queue.unsettled() == 0) && self.is_nothing_left() {
                return;
            }
            self.give_back_idle(stream);
            self.engine_ms += HEAL_STEP_MS;
            self.say(0, stream, WorkerFrame::Heartbeat);
            self.run_due();
        }
        panic!("work is left although a worker serves all of it");
    }

    /// Nothing is to go, so no session keeps a slot that it is not in use for, and none waits behind another.
    fn is_nothing_left(&mut self) -> bool {
        self.commit();
        let gone = self.store.to_release().is_empty();
        let mut sessions = self.model.sessions.iter();
        let kept = sessions.any(|s| s.is_left() || s.behind().is_some());
        assert!(
            !gone || !self.model.sessions.iter().any(Session::is_left),
            "a slot is kept for nothing"
        );
        gone && !kept
    }

    /// A worker that is well keeps no session that has nothing for it: others of the pool may wait for their turn.
    fn give_back_idle(&mut self, stream: StreamId) {
        let instance = self.clients.workers[0].instance.clone();
        for epoch in self.model.leases_of(&instance) {
            let lease = &self.model.leases[&epoch];
            if self.model.queue(lease.queue).unsettled() == 0 {
                let session = self.model.session(lease.session).id.clone();
                self.say(0, stream, WorkerFrame::Detach { session });
            }
        }
    }

    fn settle_everything(&mut self, stream: StreamId) {
        loop {
            self.commit();
            let frames = self.wire.get_mut(&stream).expect("it is open");
            let handed: Vec<Held> = frames
                .drain(..)
                .flat_map(|frame| deliveries(&frame).iter().map(Held::of).collect::<Vec<_>>())
                .collect();
            if handed.is_empty() {
                return;
            }
            let usage = Usage::default();
            let ack = |held: Held| Settlement {
                queue: held.queue,
                seq: held.seq,
                delivery_id: held.delivery,
                epoch: held.epoch,
                outcome: Outcome::Ack { usage },
            };
            let settlements = handed.into_iter().map(ack).collect();
            self.say(0, stream, WorkerFrame::Settle(settlements));
        }
    }
}
