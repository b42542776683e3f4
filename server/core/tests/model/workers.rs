//! Simulated workers: they behave well, badly, late, twice and out of order, and remember everything they were handed.

use std::collections::VecDeque;

use sessiond_core::command::{CancelOutcome, Command, Hello, Resume, WorkerCommand, WorkerFrame};
use sessiond_core::ids::{DeliveryId, Epoch, QueueId, Seq, StreamId, WorkerName};
use sessiond_core::presence::{SessionFilter, Window};
use sessiond_core::reply::Frame;
use sessiond_core::session::Labels;

use super::script::WORKERS;
use super::world::{World, deliveries};

impl World {
    pub(crate) fn say(&mut self, worker: usize, stream: StreamId, frame: WorkerFrame) {
        let instance = self.clients.workers[worker].instance.clone();
        let command = WorkerCommand {
            instance: self.worker_key(&instance),
            stream,
            frame,
        };
        self.submit(&Command::Worker(command)).unwrap();
    }

    /// The worker's stream, or now and then one it had before.
    fn a_stream(&mut self, worker: usize) -> Option<StreamId> {
        let old = self.clients.workers[worker].old_streams.clone();
        if self.rng.u32(..15) == 0
            && let Some(stream) = self.pick(&old)
        {
            return Some(stream);
        }
        self.clients.workers[worker].stream
    }

    pub(crate) fn a_worker(&mut self) -> usize {
        self.rng.usize(..WORKERS)
    }

    /// A worker with a stream, if there is one.
    fn a_connected(&mut self) -> Option<(usize, StreamId)> {
        let first = self.a_worker();
        for offset in 0..WORKERS {
            let worker = (first + offset) % WORKERS;
            if let Some(stream) = self.a_stream(worker) {
                return Some((worker, stream));
            }
        }
        None
    }

    fn a_window(&mut self) -> Window {
        Window {
            messages: match self.rng.u32(..12) {
                0 => 0,
                1..4 => 1,
                4..9 => self.rng.u32(2..6),
                _ => 16,
            },
            bytes: match self.rng.u32(..8) {
                0 => 0,
                1..4 => self.rng.u64(200..2_500),
                _ => 1 << 20,
            },
            sessions: self.rng.u32(..5),
        }
    }

    fn a_filter(&mut self) -> Option<SessionFilter> {
        let mut filter = SessionFilter::default();
        match self.rng.u32(..8) {
            0..3 => return None,
            3..5 => {}
            5 => filter.project = Some("a".to_owned()),
            6 => filter.key_prefix = Some("k1".to_owned()),
            _ => filter.pool = Some("small".to_owned()),
        }
        Some(filter)
    }

    // === the stream's life ===

    pub(crate) fn hello(&mut self) {
        let worker = self.a_worker();
        if self.clients.workers[worker].stream.is_some() && self.rng.u32(..3) > 0 {
            return;
        }
        let resume = self.resume_list(worker);
        let stream = StreamId(self.clients.next_stream);
        self.clients.next_stream += 1;
        let hello = Hello {
            worker: WorkerName::parse("worker").unwrap(),
            build_id: String::new(),
            labels: Labels::new(),
            window: self.a_window(),
            serves: self.a_filter(),
            resume,
        };
        let client = &mut self.clients.workers[worker];
        let old = client.stream.replace(stream);
        client.old_streams.extend(old);
        self.wire.insert(stream, VecDeque::new());
        self.say(worker, stream, WorkerFrame::Hello(Box::new(hello)));
        if let Some(old) = old {
            self.drop_stream(worker, old);
        }
    }

    /// What the worker says it still has: all of it, a part, or things it never had.
    fn resume_list(&mut self, worker: usize) -> Vec<Resume> {
        if self.rng.u32(..4) == 0 {
            self.clients.workers[worker].in_hand.clear();
            self.clients.workers[worker].leases.clear();
            return Vec::new();
        }
        let leases = self.clients.workers[worker].leases.clone();
        let mut list: Vec<Resume> = Vec::new();
        for (epoch, session) in leases {
            let in_hand = self.clients.workers[worker].in_hand.iter();
            let mut held: Vec<DeliveryId> = in_hand
                .filter(|held| held.epoch == epoch)
                .map(|held| held.delivery)
                .collect();
            if self.rng.u32(..4) == 0 {
                held.pop();
            }
            if self.rng.u32(..6) > 0 {
                list.push(Resume {
                    session,
                    epoch,
                    deliveries: held,
                });
            }
        }
        if self.rng.u32(..10) == 0 {
            let session = self.some_id();
            let epoch = Epoch(self.rng.u64(1..20));
            if list.iter().all(|resume| resume.epoch != epoch) {
                list.push(Resume {
                    session,
                    epoch,
                    deliveries: Vec::new(),
                });
            }
        }
        list
    }

    /// A stream is gone: what was not read of it is lost on its way, or was never written and is said to be so.
    pub(crate) fn drop_stream(&mut self, worker: usize, stream: StreamId) {
        self.commit();
        let left = self.wire.remove(&stream).unwrap_or_default();
        let unsent: Vec<(QueueId, Seq, DeliveryId)> = left
            .iter()
            .flat_map(deliveries)
            .map(|d| (d.message.queue, d.message.seq, d.delivery_id))
            .collect();
        let closed_first = self.rng.bool();
        if closed_first {
            self.say(worker, stream, WorkerFrame::Closed);
        }
        if !unsent.is_empty() && self.rng.u32(..3) > 0 {
            self.say(worker, stream, WorkerFrame::Unsent(unsent));
        }
        if !closed_first {
            self.say(worker, stream, WorkerFrame::Closed);
        }
    }

    pub(crate) fn close(&mut self) {
        let worker = self.a_worker();
        if let Some(stream) = self.clients.workers[worker].stream.take() {
            self.clients.workers[worker].old_streams.push(stream);
            self.drop_stream(worker, stream);
        }
    }

    pub(crate) fn goodbye(&mut self) {
        let worker = self.a_worker();
        if let Some(stream) = self.clients.workers[worker].stream {
            self.say(worker, stream, WorkerFrame::Goodbye);
        }
    }

    /// Reads some of what was written to a stream.
    pub(crate) fn receive(&mut self) {
        let worker = self.a_worker();
        self.commit();
        let client = &mut self.clients.workers[worker];
        let Some(frames) = client.stream.and_then(|stream| self.wire.get_mut(&stream)) else {
            return;
        };
        let count = self.rng.usize(..=frames.len());
        for frame in frames.drain(..count) {
            match &frame {
                Frame::Deliveries(deliveries) => client.receive(deliveries),
                Frame::Attached { lease, session, .. } => {
                    let entry = (lease.epoch, session.session.id.clone());
                    if !client.leases.contains(&entry) {
                        client.leases.push(entry);
                    }
                }
                Frame::LeaseLost { session, .. } => {
                    client.leases.retain(|(_, id)| id != session);
                }
                Frame::Welcome { .. }
                | Frame::Cancel { .. }
                | Frame::AttachFailed { .. }
                | Frame::Settled(_)
                | Frame::SessionEnding { .. }
                | Frame::GoAway { .. } => {}
            }
        }
    }

    // === frames ===

    pub(crate) fn attach(&mut self) {
        let Some((worker, stream)) = self.a_connected() else {
            return;
        };
        let session = self.some_session();
        self.say(worker, stream, WorkerFrame::Attach { session });
    }

    pub(crate) fn detach(&mut self) {
        let Some((worker, stream)) = self.a_connected() else {
            return;
        };
        let leases = self.clients.workers[worker].leases.clone();
        let session = match self.pick(&leases) {
            Some((_, id)) if self.rng.u32(..4) > 0 => id,
            _ => self.some_id(),
        };
        self.say(worker, stream, WorkerFrame::Detach { session });
    }

    pub(crate) fn window(&mut self) {
        if let Some((worker, stream)) = self.a_connected() {
            let window = self.a_window();
            self.say(worker, stream, WorkerFrame::Window(window));
        }
    }

    pub(crate) fn heartbeat(&mut self) {
        if let Some((worker, stream)) = self.a_connected() {
            self.say(worker, stream, WorkerFrame::Heartbeat);
        }
    }

    pub(crate) fn progress(&mut self) {
        let Some((worker, stream)) = self.a_connected() else {
            return;
        };
        let leases = self.clients.workers[worker].leases.clone();
        let (held, session) = match self.pick(&leases) {
            Some((epoch, id)) => (Some(epoch), id),
            None => (None, self.some_id()),
        };
        // Now and then a lease that is gone, or never was.
        let epoch = match self.rng.u32(..4) {
            0 => None,
            1 => Some(Epoch(self.rng.u64(1..8))),
            _ => held,
        };
        let volatile = match self.rng.u32(..4) {
            0 => None,
            1 => Some(Labels::new()),
            _ => Some([("model".to_owned(), worker.to_string())].into()),
        };
        let progress = WorkerFrame::Progress {
            session,
            epoch,
            volatile,
        };
        self.say(worker, stream, progress);
    }

    /// An answer to a cancel, asked for or not.
    pub(crate) fn cancel_result(&mut self) {
        let Some((worker, stream)) = self.a_connected() else {
            return;
        };
        let leases = self.clients.workers[worker].leases.clone();
        let stopping = leases.iter().find(|(epoch, _)| {
            let known = self.model.leases.contains_key(&epoch.0);
            known && self.model.is_cancelling(epoch.0)
        });
        let stopping = stopping.map(|(_, id)| id.clone());
        let session = match stopping {
            Some(id) if self.rng.u32(..6) > 0 => id,
            _ => self.some_id(),
        };
        let outcome = match self.rng.u32(..4) {
            0 => CancelOutcome::Finished,
            1 => CancelOutcome::Failed,
            _ => CancelOutcome::Stopped,
        };
        self.say(
            worker,
            stream,
            WorkerFrame::CancelResult { session, outcome },
        );
    }

    pub(crate) fn stream_settle(&mut self) {
        if let Some((worker, stream)) = self.a_connected() {
            let settlements = self.settlements(worker);
            if !settlements.is_empty() {
                self.say(worker, stream, WorkerFrame::Settle(settlements));
            }
        }
    }
}
