//! The rules of workers' streams in the reference model: what each frame does, short of handing out.
//!
//! Written from the design's rules 10, 14, 17 to 19. What a stream is handed is the server's choice within bounds; see
//! `work` for those.

use std::collections::BTreeSet;

use sessiond_core::command::{Hello, Resume, WorkerCommand, WorkerFrame};
use sessiond_core::ids::{DeliveryId, Epoch, InstanceId, QueueId, Seq, SessionId, SessionRef};
use sessiond_core::lease::LeaseMode;
use sessiond_core::reply::{GoAwayReason, LeaseLostReason};
use sessiond_core::session::Labels;

use super::marks::Mark;
use super::settling::Attempt;
use super::state::{Model, Status, Worker};
use super::told::{Expected, Handed, Refusal, Told};

impl Model {
    pub(crate) fn frame(&mut self, command: &WorkerCommand, out: &mut Expected) {
        let instance = &command.instance.1;
        let own = self.stream_of(instance) == Some(command.stream);
        match &command.frame {
            WorkerFrame::Hello(hello) => self.hello(command, hello, out),
            WorkerFrame::Unsent(unsent) => self.unsent(instance, own, unsent, out),
            WorkerFrame::Closed => {
                if own {
                    self.workers.get_mut(instance).expect("it is here").stream = None;
                }
            }
            WorkerFrame::Attach { .. }
            | WorkerFrame::Detach { .. }
            | WorkerFrame::Window(_)
            | WorkerFrame::Settle(_)
            | WorkerFrame::Progress { .. }
            | WorkerFrame::CancelResult { .. }
            | WorkerFrame::Heartbeat
            | WorkerFrame::Goodbye => {
                if own {
                    let now = self.now;
                    self.workers
                        .get_mut(instance)
                        .expect("it is here")
                        .last_seen = now;
                    self.own_frame(command, out);
                } else {
                    let told = Told::GoAway(GoAwayReason::Replaced);
                    out.tell(Some(command.stream), told);
                }
            }
        }
    }

    fn own_frame(&mut self, command: &WorkerCommand, out: &mut Expected) {
        let instance = &command.instance.1;
        match &command.frame {
            WorkerFrame::Attach { session } => {
                if let Err(refusal) = self.attach(instance, session, out) {
                    out.tell(self.stream_of(instance), Told::AttachFailed(refusal));
                }
            }
            WorkerFrame::Detach { session } => self.detach(instance, session, out),
            WorkerFrame::Window(window) => {
                self.workers.get_mut(instance).expect("it is here").window = *window;
            }
            WorkerFrame::Settle(settlements) => {
                let (codes, touched) = self.settle_all(&command.instance.0, settlements, out);
                out.tell(Some(command.stream), Told::Settled(codes));
                self.after_settle(&touched, out);
            }
            WorkerFrame::Progress {
                session,
                epoch,
                volatile,
            } => {
                self.progress(instance, (session, *epoch), volatile.as_ref(), out);
            }
            WorkerFrame::CancelResult { session, outcome } => {
                self.cancel_result(instance, session, *outcome, out);
            }
            WorkerFrame::Goodbye => self.goodbye(command, out),
            WorkerFrame::Heartbeat
            | WorkerFrame::Hello(_)
            | WorkerFrame::Closed
            | WorkerFrame::Unsent(_) => {}
        }
    }

    fn hello(&mut self, command: &WorkerCommand, hello: &Hello, out: &mut Expected) {
        let instance = &command.instance.1;
        if let Some(old) = self.stream_of(instance) {
            self.marks.hit(Mark::StreamReplaced);
            out.tell(Some(old), Told::GoAway(GoAwayReason::Replaced));
        }
        let worker = Worker {
            stream: Some(command.stream),
            last_seen: self.now,
            window: hello.window,
            serves: hello.serves.clone(),
            leaves: false,
            rests: BTreeSet::new(),
            broken: false,
        };
        self.workers.insert(instance.clone(), worker);
        out.tell(Some(command.stream), Told::Welcome);
        let listed = |epoch: u64| hello.resume.iter().any(|resume| resume.epoch.0 == epoch);
        for epoch in self.leases_of(instance) {
            if self.leases[&epoch].mode == LeaseMode::Stream && !listed(epoch) {
                self.marks.hit(Mark::LeaseUnlisted);
                let had_some = !self.out_under(epoch).is_empty();
                let session = self.leases[&epoch].session;
                self.detach_lease(epoch, out);
                if had_some {
                    self.marks.hit(Mark::RestartCounted);
                    self.count_failure(session, out);
                }
            }
        }
        let mut resumes: Vec<&Resume> = hello.resume.iter().collect();
        resumes.sort_by_key(|resume| resume.epoch);
        for resume in resumes {
            self.resume(instance, resume, out);
        }
    }

    fn resume(&mut self, instance: &InstanceId, resume: &Resume, out: &mut Expected) {
        let (epoch, now) = (resume.epoch.0, self.now);
        let stream = self.stream_of(instance);
        let lease = self
            .leases
            .get_mut(&epoch)
            .filter(|lease| lease.until.is_none() && lease.instance == *instance);
        let Some(lease) = lease else {
            self.marks.hit(Mark::ResumeGone);
            let told = Told::Lost {
                session: resume.session.clone(),
                epoch,
                reason: LeaseLostReason::Lapsed,
                successor: None,
            };
            return out.tell(stream, told);
        };
        let claimed = lease.mode == LeaseMode::Claim;
        if claimed {
            lease.mode = LeaseMode::Stream;
            lease.granted_for = self.policy.stream_lease.0;
        }
        lease.duration = lease.granted_for;
        lease.renewed_at = now;
        lease.unheard = false;
        let session = lease.session;
        self.marks.hit_if(claimed, Mark::ClaimResumed);
        let attached = Told::Attached {
            session,
            epoch,
            voided: Vec::new(),
        };
        out.tell(stream, attached);
        let mut open: Vec<Handed> = self.again(epoch);
        open.retain(|handed| !resume.deliveries.contains(&DeliveryId(handed.delivery)));
        if !open.is_empty() {
            self.marks.hit(Mark::ResumeUnlisted);
            out.tell(stream, Told::Deliveries(open));
        }
        let stopping = self.is_cancelling(epoch);
        self.marks.hit_if(stopping, Mark::CancelToldAgain);
        self.tell_cancel(epoch, out);
    }

    fn attach(
        &mut self,
        instance: &InstanceId,
        asked: &SessionRef,
        out: &mut Expected,
    ) -> Result<(), Refusal> {
        if self.workers[instance].leaves {
            self.marks.hit(Mark::AttachAfterGoodbye);
            return Err(Refusal::WorkerLeft);
        }
        let no = self.find_workable(asked)?;
        if let Some(epoch) = self.own_lease(no, instance)? {
            if self.leases[&epoch].mode == LeaseMode::Stream {
                let told = Told::Attached {
                    session: no,
                    epoch,
                    voided: Vec::new(),
                };
                out.tell(self.stream_of(instance), told);
                return Ok(());
            }
            self.marks.hit(Mark::ClaimAttached);
            self.detach_lease(epoch, out);
        } else {
            self.refuse_attached(no)?;
        }
        self.refuse_suspended(no)?;
        self.grant(instance, no, out);
        Ok(())
    }

    /// Gives a free session to a stream.
    pub(crate) fn grant(&mut self, instance: &InstanceId, session: u64, out: &mut Expected) {
        let duration = self.policy.stream_lease.0;
        let (epoch, voided) = self.acquire(session, instance, LeaseMode::Stream, duration, out);
        let told = Told::Attached {
            session,
            epoch,
            voided,
        };
        out.tell(self.stream_of(instance), told);
    }

    fn progress(
        &mut self,
        instance: &InstanceId,
        (id, named): (&SessionId, Option<Epoch>),
        volatile: Option<&Labels>,
        out: &mut Expected,
    ) {
        let now = self.now;
        let Some(no) = self.held_by(instance, id, named) else {
            let told = Told::Lost {
                session: id.clone(),
                epoch: named.map_or(0, |named| named.0),
                reason: LeaseLostReason::Lapsed,
                successor: None,
            };
            return out.tell(self.stream_of(instance), told);
        };
        if let Some(epoch) = self.lease_of(no) {
            self.leases.get_mut(&epoch).expect("it is held").moved_at = now;
        }
        let session = self.session_mut(no);
        session.last_activity = now;
        if let Some(entries) = volatile {
            session.volatile = (Some(instance.clone()), entries.clone());
        }
    }

    /// The session that a frame is about, if its worker holds it.
    pub(crate) fn held_by(
        &self,
        instance: &InstanceId,
        id: &SessionId,
        named: Option<Epoch>,
    ) -> Option<u64> {
        let found = self.sessions.iter().find(|s| s.id == *id).map(|s| s.no);
        found.filter(|no| {
            let epoch = self.lease_of(*no);
            let meant = epoch.filter(|epoch| named.is_none_or(|named| named.0 == *epoch));
            meant.is_some_and(|epoch| self.leases[&epoch].instance == *instance)
        })
    }

    fn goodbye(&mut self, command: &WorkerCommand, out: &mut Expected) {
        let instance = &command.instance.1;
        self.workers.get_mut(instance).expect("it is here").leaves = true;
        let leases = self.leases_of(instance);
        self.marks
            .hit_if(!leases.is_empty(), Mark::GoodbyeWithLeases);
        for epoch in leases {
            self.detach_lease(epoch, out);
        }
        let told = Told::GoAway(GoAwayReason::Goodbye);
        out.tell(Some(command.stream), told);
    }

    /// Deliveries that were never written to a stream keep their place and cost no attempt. Once the instance is back
    /// on another stream, its hello has settled what becomes of them, but for those under a lease that holds nothing
    /// any more, of which a hello is told nothing.
    fn unsent(
        &mut self,
        instance: &InstanceId,
        own: bool,
        unsent: &[(QueueId, Seq, DeliveryId)],
        out: &mut Expected,
    ) {
        let settled = !own && self.stream_of(instance).is_some();
        self.marks.hit_if(settled, Mark::UnsentIgnored);
        if own && let Some(worker) = self.workers.get_mut(instance) {
            worker.broken = true;
        }
        let mut touched = BTreeSet::new();
        for (queue, seq, delivery) in unsent {
            let Some(epoch) = self.still_out(*queue, *seq, *delivery) else {
                continue;
            };
            let superseded = self.leases[&epoch].until.is_some();
            if !settled || superseded {
                self.marks.hit(Mark::UnsentReturned);
                self.marks.hit_if(settled, Mark::UnsentSuperseded);
                self.give_back(queue.0, seq.0, Attempt::Refunded, Status::Returned, out);
                let messages = &mut self.queue_mut(queue.0).messages;
                messages.get_mut(&seq.0).expect("it was out").latest = None;
                touched.insert(queue.0);
            }
        }
        for queue in touched {
            let owner = self.queue(queue).owner;
            let ended = self.finish_if_drained(owner, out);
            self.marks.hit_if(ended, Mark::DrainedByReturn);
        }
    }

    /// The lease under which a hand-out is still the message's latest and unsettled.
    fn still_out(&self, queue: QueueId, seq: Seq, delivery: DeliveryId) -> Option<u64> {
        let message = self.queue(queue.0).messages.get(&seq.0)?;
        match message.status {
            Status::Out { epoch } if message.latest == Some(delivery.0) => Some(epoch),
            Status::Out { .. }
            | Status::New
            | Status::Deferred { .. }
            | Status::Debounced
            | Status::Returned
            | Status::Paused { .. }
            | Status::Dead(_) => None,
        }
    }
}
