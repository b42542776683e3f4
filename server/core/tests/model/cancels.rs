//! The rules of INTERRUPT in the reference model: what is stopped, what waits meanwhile, how it comes back.
//!
//! Written from the design's rules 16, 18 and 22.

use sessiond_core::command::CancelOutcome;
use sessiond_core::ids::{InstanceId, SessionId};
use sessiond_core::lease::LeaseMode;
use sessiond_core::message::DeliveryMode;
use sessiond_core::reply::CancelReason;

use super::marks::Mark;
use super::settling::Attempt;
use super::state::{Model, Status};
use super::told::{Expected, Told};

/// Who says that the stopped work comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Back {
    /// The worker: a later ack does not count.
    Stopped,
    /// Nobody, or a worker that could not stop: it does, until the message is handed out again.
    Regardless,
}

impl Model {
    /// Whether a lease has something in flight that is to be stopped.
    pub(crate) fn is_cancelling(&self, epoch: u64) -> bool {
        self.leases[&epoch].cancel_by.is_some() && !self.out_under(epoch).is_empty()
    }

    /// A message of the queue interrupts from now on.
    pub(crate) fn interrupt(&mut self, queue: u64, out: &mut Expected) {
        let Some(epoch) = self.lease_of(self.queue(queue).owner) else {
            return;
        };
        let again = self.is_cancelling(epoch);
        self.marks.hit_if(again, Mark::InterruptedAgain);
        if again || self.out_under(epoch).is_empty() {
            return;
        }
        self.marks.hit(Mark::Interrupted);
        let by = self.now + self.policy.cancel_grace.0;
        self.leases.get_mut(&epoch).expect("it is held").cancel_by = Some(by);
        self.tell_cancel(epoch, out);
    }

    /// The holder's stream hears what to stop.
    pub(crate) fn tell_cancel(&mut self, epoch: u64, out: &mut Expected) {
        let lease = self.leases[&epoch].clone();
        if !self.is_cancelling(epoch) || lease.mode == LeaseMode::Claim {
            return;
        }
        let by = lease.cancel_by.expect("it is being stopped");
        let deliveries = self.again(epoch).into_iter();
        let told = Told::Cancel {
            session: self.session(lease.session).id.clone(),
            reason: CancelReason::Interrupt,
            deliveries: deliveries.map(|handed| handed.delivery).collect(),
            deadline: by.wrapping_sub(self.now).wrapping_add(self.wall),
        };
        out.tell(self.stream_of(&lease.instance), told);
    }

    /// What was to be stopped goes back to its place, uncounted; the lease stays.
    pub(crate) fn take_back(&mut self, epoch: u64, back: Back, out: &mut Expected) {
        let queue = self.leases[&epoch].queue;
        for seq in self.out_under(epoch) {
            self.give_back(queue, seq, Attempt::Refunded, Status::Returned, out);
            if back == Back::Stopped {
                let message = self.queue_mut(queue).messages.get_mut(&seq);
                message.expect("it was out").latest = None;
            }
        }
        self.leases.get_mut(&epoch).expect("it is held").cancel_by = None;
        let owner = self.queue(queue).owner;
        let ended = self.finish_if_drained(owner, out);
        self.marks.hit_if(ended, Mark::DrainedByReturn);
    }

    pub(crate) fn cancel_result(
        &mut self,
        instance: &InstanceId,
        session: &SessionId,
        outcome: CancelOutcome,
        out: &mut Expected,
    ) {
        let Some(no) = self.held_by(instance, session, None) else {
            return;
        };
        let epoch = self.lease_of(no).expect("it is held");
        let some = self.is_cancelling(epoch);
        if !some {
            self.leases.get_mut(&epoch).expect("it is held").cancel_by = None;
            return;
        }
        match outcome {
            CancelOutcome::Stopped => {
                self.marks.hit(Mark::CancelStopped);
                self.take_back(epoch, Back::Stopped, out);
            }
            CancelOutcome::Failed => {
                self.marks.hit(Mark::CancelFailed);
                self.take_back(epoch, Back::Regardless, out);
            }
            CancelOutcome::Finished => self.marks.hit(Mark::CancelFinished),
        }
    }

    /// A message that is available for the first time stops what is in flight, if that is how it was sent.
    pub(crate) fn available(&mut self, queue: u64, seq: u64, out: &mut Expected) {
        if self.queue(queue).messages[&seq].mode == DeliveryMode::Interrupt {
            self.interrupt(queue, out);
        }
    }
}
