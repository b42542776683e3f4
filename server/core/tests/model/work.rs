//! Bounds on what the server chooses: which stream is handed what, and who is assigned a free session.
//!
//! Within a session the order is fixed, a window is never exceeded, and nothing idles: no stream has room for a message
//! that its session could hand out, and no worker that serves a session waits beside it.

use std::collections::BTreeMap;

use sessiond_core::decide::Decision;
use sessiond_core::ids::{InstanceId, StreamId};
use sessiond_core::lease::LeaseMode;
use sessiond_core::message::DeliveryMode;
use sessiond_core::presence::SessionFilter;
use sessiond_core::rejection::Rejection;
use sessiond_core::reply::{Delivery, Frame, Push};

use super::marks::Mark;
use super::state::{Fate, Lease, Model, Session, Worker};
use super::told::{Expected, Handed, Told};

/// The frames of a decision that are not yet accounted for.
pub(crate) struct Pushes<'d> {
    left: Vec<&'d Push>,
}

impl<'d> Pushes<'d> {
    pub(crate) fn of(said: Result<&'d Decision, &Rejection>) -> Self {
        let left = match said {
            Ok(decision) => decision.pushes.iter().collect(),
            Err(_) => Vec::new(),
        };
        Self { left }
    }

    /// Takes the frames up to the next session that is given to a stream.
    fn until_attached(&mut self) -> Vec<&'d Push> {
        let attached = |(_, frame): &&Push| matches!(frame, Frame::Attached { .. });
        let end = self
            .left
            .iter()
            .position(attached)
            .unwrap_or(self.left.len());
        self.left.drain(..end).collect()
    }

    /// Compares the frames that remain with what is expected and takes over what was handed out.
    pub(crate) fn settle(self, model: &mut Model, out: &mut Expected) {
        let mut wanted: BTreeMap<StreamId, std::vec::IntoIter<Told>> = BTreeMap::new();
        for (stream, frames) in std::mem::take(&mut out.frames) {
            wanted.insert(stream, frames.into_iter());
        }
        for (stream, frame) in self.left {
            let next = wanted.get_mut(stream);
            let expected = next.as_ref().and_then(|frames| frames.as_slice().first());
            let told = Told::of(frame);
            if expected == Some(&told) {
                next.and_then(Iterator::next);
                if let Frame::Deliveries(deliveries) = frame {
                    deliveries
                        .iter()
                        .for_each(|delivery| model.check_delivery(delivery));
                }
            } else if let Frame::Deliveries(deliveries) = frame {
                model.absorb(*stream, deliveries);
            } else {
                panic!("stream {stream} is told {told:?}, not {expected:?}");
            }
        }
        for (stream, mut rest) in wanted {
            let missing = rest.next();
            assert_eq!(missing, None, "stream {stream} is not told");
        }
    }
}

impl Model {
    /// Takes over what the server handed to a stream, if it was free to.
    fn absorb(&mut self, stream: StreamId, deliveries: &[Delivery]) {
        let mut here = self.workers.iter();
        let found = here.find(|(_, worker)| worker.stream == Some(stream));
        let instance = found.expect("work goes to an open stream only").0.clone();
        let mut last = None;
        for delivery in deliveries {
            let (queue, epoch) = (delivery.message.queue.0, delivery.epoch.0);
            let lease = self
                .leases
                .get(&epoch)
                .expect("work goes out under a lease");
            assert!(
                lease.until.is_none() && lease.instance == instance && lease.queue == queue,
                "work goes to the holder of the session only: {lease:?}"
            );
            let seq = delivery.message.seq.0;
            let next = self.next_in_frame(queue, last);
            assert_eq!(next, Some(seq), "the order of queue {queue}");
            let mode = self.queue(queue).messages[&seq].mode;
            let collected = last == Some(DeliveryMode::Collect);
            self.marks.hit_if(collected, Mark::Collected);
            last = Some(mode);
            self.check_room(&instance, queue, seq);
            let handed = self.hand_out(queue, seq, epoch);
            assert_eq!(Handed::of(delivery), handed, "the hand-out");
            self.check_delivery(delivery);
        }
    }

    fn check_room(&mut self, instance: &InstanceId, queue: u64, seq: u64) {
        let window = self.workers[instance].window;
        let present = self.is_present(&self.workers[instance]);
        assert!(present, "work for a worker that leaves or is silent");
        let (messages, bytes, _) = self.load_of(instance);
        assert!(messages < window.messages, "more messages than {window:?}");
        assert!(window.bytes > 0, "work for a window of no bytes");
        let size = self.queue(queue).messages[&seq].bytes;
        if bytes + size > window.bytes {
            assert_eq!(
                messages, 0,
                "{bytes} + {size} bytes are more than {window:?}"
            );
            self.marks.hit(Mark::Oversize);
        }
    }

    /// A delivery shows the message that was accepted.
    pub(crate) fn check_delivery(&self, delivery: &Delivery) {
        let queue = self.queue(delivery.message.queue.0);
        let message = &queue.messages[&delivery.message.seq.0];
        assert_eq!(
            delivery.message.prompt_number, message.prompt_number,
            "the prompt number"
        );
        if let Some(payload) = &delivery.payload {
            assert_eq!(*payload, message.payload, "the payload");
        }
        let session = self.leases[&delivery.epoch.0].session;
        assert_eq!(
            delivery.session,
            self.session(session).id,
            "whose message it is"
        );
        let deadline = self.lapse_at(delivery.epoch.0) - self.now + self.wall;
        assert_eq!(delivery.deadline.0, deadline, "the deadline");
    }

    /// Whether a worker takes anything: its stream is open, it stays, and it was heard of within a lease's time.
    fn is_present(&self, worker: &Worker) -> bool {
        let heard = self.now < worker.last_seen + self.policy.stream_lease.0;
        worker.stream.is_some() && !worker.leaves && heard
    }

    // === assignment ===

    /// Follows the assignment of free sessions to an instance: the oldest work that it serves, while it takes any.
    pub(crate) fn assign(
        &mut self,
        instance: &InstanceId,
        pushes: &mut Pushes,
        out: &mut Expected,
    ) {
        let before = pushes.until_attached();
        assert!(
            before.is_empty(),
            "an assignment begins with a session: {before:?}"
        );
        while let Some(session) = self.assignable(instance) {
            self.marks.hit(Mark::Assigned);
            let rested = self.workers[instance].rests.contains(&session);
            self.marks.hit_if(rested, Mark::RestOver);
            self.grant(instance, session, out);
            assert!(
                !pushes.left.is_empty(),
                "{session} is not given to {instance}"
            );
            let (stream, frame) = pushes.left.remove(0);
            let wanted = out.frames.remove(stream).unwrap_or_default();
            assert_eq!(vec![Told::of(frame)], wanted, "the assignment");
            for (stream, frame) in pushes.until_attached() {
                let Frame::Deliveries(deliveries) = frame else {
                    panic!("an assignment tells {frame:?}");
                };
                self.absorb(*stream, deliveries);
            }
        }
    }

    /// The free session with the oldest work that the instance serves, if it takes any.
    fn assignable(&self, instance: &InstanceId) -> Option<u64> {
        let worker = self.workers.get(instance)?;
        let means = |session: &Session| {
            let serves = worker.serves.as_ref();
            serves.is_some_and(|filter| matches(filter, session))
                || worker.rests.contains(&session.no)
        };
        let (messages, bytes, sessions) = self.load_of(instance);
        let window = worker.window;
        let takes = self.is_present(worker)
            && messages < window.messages
            && bytes < window.bytes
            && sessions < window.sessions;
        let unserved = self.queues.iter().filter(|queue| {
            let suspended = self.session(queue.owner).suspended.is_some();
            let serving = queue.fate == Fate::Serving && queue.ready() && !suspended;
            serving
                && self.lease_of(queue.owner).is_none()
                && self.may_attach(&self.session(queue.owner).pool)
        });
        let matching = unserved.filter(|queue| means(self.session(queue.owner)));
        let oldest = matching.min_by_key(|queue| {
            let since = queue.oldest().map_or(0, |(_, at)| at);
            (since, self.session(queue.owner).queue)
        });
        takes.then_some(oldest?.owner)
    }

    /// No free session waits beside a worker that serves it.
    pub(crate) fn check_assigned(&self) {
        for (instance, _) in self.workers.iter().filter(|(_, worker)| !worker.broken) {
            let waiting = self.assignable(instance);
            assert_eq!(waiting, None, "{instance} could work on this session");
        }
    }

    // === nothing idles ===

    /// No stream has room for a message that may go out.
    pub(crate) fn check_work_conserving(&mut self) {
        let (mut full, mut full_of_bytes, mut behind) = (false, false, false);
        let mut collects = false;
        for (epoch, lease) in self.leases.iter().filter(|(_, l)| is_streamed(l)) {
            let Some(worker) = self.workers.get(&lease.instance) else {
                continue;
            };
            let Some(seq) = self.next_of(lease.queue) else {
                behind |= self.queue(lease.queue).ready();
                collects |= self.waits_to_collect(lease.queue);
                continue;
            };
            // What could not be written waits for the end of the stream.
            if !self.is_present(worker) || worker.broken {
                continue;
            }
            let (messages, bytes, _) = self.load_of(&lease.instance);
            let size = self.queue(lease.queue).messages[&seq].bytes;
            let window = worker.window;
            let fits = bytes + size <= window.bytes || (messages == 0 && window.bytes > 0);
            assert!(
                messages >= window.messages || !fits,
                "message {seq} of queue {} waits under lease {epoch} of {} with room: {messages} and {bytes} of {window:?}",
                lease.queue,
                lease.instance,
            );
            full |= messages >= window.messages;
            full_of_bytes |= !fits;
        }
        self.marks.hit_if(full, Mark::WindowFull);
        self.marks.hit_if(full_of_bytes, Mark::WindowBytesFull);
        self.marks.hit_if(behind, Mark::BarrierHeld);
        self.marks.hit_if(collects, Mark::CollectWaited);
    }

    /// Queues that a claim could be handed something from, each with its lease.
    pub(crate) fn offers(&self) -> BTreeMap<u64, Option<u64>> {
        let mut offers = BTreeMap::new();
        for queue in self
            .queues
            .iter()
            .filter(|queue| queue.fate == Fate::Serving)
        {
            let lease = self.lease_of(queue.owner);
            let streamed = lease.is_some_and(|epoch| is_streamed(&self.leases[&epoch]));
            let suspended = self.session(queue.owner).suspended.is_some();
            let id = self.session(queue.owner).queue;
            let claimable = lease.is_some() || self.may_attach(&self.session(queue.owner).pool);
            if !streamed && !suspended && claimable && self.next_of(id).is_some() {
                offers.insert(queue.owner, lease);
            }
        }
        offers
    }

    /// A claim that waits hears of everything it could be handed anew.
    pub(crate) fn check_wakes(&self, before: &BTreeMap<u64, Option<u64>>, decision: &Decision) {
        for (session, lease) in self.offers() {
            let is_new = match before.get(&session) {
                None => true,
                Some(before) => before.is_some() && lease.is_none(),
            };
            let woken = decision.wakes.iter().any(|wake| wake.session.0 == session);
            assert!(woken || !is_new, "nobody is woken for session {session}");
        }
    }
}

fn is_streamed(lease: &Lease) -> bool {
    lease.until.is_none() && lease.mode == LeaseMode::Stream
}

pub(crate) fn matches(filter: &SessionFilter, session: &Session) -> bool {
    let key = session.key.as_ref().map_or("", |key| key.as_str());
    let same = |wanted: &Option<String>, has: &str| wanted.as_ref().is_none_or(|w| w == has);
    same(&filter.project, &session.profile.project)
        && same(&filter.pool, session.pool.as_str())
        && filter
            .key_prefix
            .as_ref()
            .is_none_or(|p| session.key.is_some() && key.starts_with(p))
        && filter
            .labels
            .iter()
            .all(|(k, v)| session.profile.labels.get(k) == Some(v))
}
