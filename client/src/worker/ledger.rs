//! What this worker holds: leases, deliveries, and what is still to be said
//! about them.
//!
//! Keeps each delivery once, however often it is sent, and knows which of them
//! the server must hear of after a reconnect. It does no I/O and runs no
//! handler, so every rule of it is tested without a server.

mod stopping;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sessiond_proto::v1 as pb;
use tokio::sync::watch;
use tokio::time::Instant;

use super::delivery::Cancellation;
use super::flight::{Flight, FlightKey, Stage, Waiting};
use super::lanes::Lanes;
use super::requested::RequestedCancels;
use super::settles::{Entry, ExtendAnswer, Purpose, Settles, extended, worth_settling};
use super::{Outcome, RelaxedSessions};
use crate::error::Error;

/// Leases in one `hello`: the server's limit.
const RESUME_LEASES_MAX: usize = 1_024;

/// Deliveries of one lease in one `hello`: the server's limit, which no session
/// has more of in flight.
const RESUME_DELIVERIES_MAX: usize = 512;

/// Everything a worker holds.
#[derive(Debug)]
pub(super) struct Ledger {
    leases: HashMap<String, HeldLease>,
    flights: HashMap<FlightKey, Flight>,
    /// The newest hand-out of each message that is in `flights`.
    newest: HashMap<(u64, u64), u64>,
    lanes: Lanes,
    settles: Settles,
    cancels: RequestedCancels,
    relaxed: RelaxedSessions,
    window: u32,
    taking: Taking,
}

/// Whether new deliveries are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taking {
    Yes,
    No,
}

#[derive(Debug)]
struct HeldLease {
    queue_id: u64,
    epoch: u64,
    session: Arc<pb::Session>,
}

/// A delivery whose handler is to be started.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) key: FlightKey,
    pub(super) epoch: u64,
    pub(super) waiting: Box<Waiting>,
    pub(super) session: Option<Arc<pb::Session>>,
    pub(super) cancelled: watch::Receiver<Option<Cancellation>>,
}

// === impl Ledger ===

impl Ledger {
    pub(super) fn new(window: u32, relaxed: RelaxedSessions) -> Self {
        Self {
            leases: HashMap::new(),
            flights: HashMap::new(),
            newest: HashMap::new(),
            lanes: Lanes::new(window),
            settles: Settles::default(),
            cancels: RequestedCancels::default(),
            relaxed,
            window,
            taking: Taking::Yes,
        }
    }

    pub(super) fn holds(&self, session_id: &str) -> bool {
        self.leases.contains_key(session_id)
    }

    /// Whether a handler runs.
    pub(super) fn is_running(&self) -> bool {
        self.lanes.running() > 0
    }

    /// Whether nothing is left to be settled.
    pub(super) fn is_settled(&self) -> bool {
        self.settles.is_empty()
    }

    /// Takes a lease, new or kept.
    ///
    /// # Errors
    ///
    /// [`Error::Protocol`] without a lease or a session.
    pub(super) fn attached(&mut self, attached: pb::Attached) -> Result<Arc<pb::Session>, Error> {
        let (Some(lease), Some(session)) = (attached.lease, attached.session) else {
            return Err(Error::protocol("`attached` without a lease or a session"));
        };
        let session = Arc::new(session);
        let held = HeldLease {
            queue_id: session.queue_id,
            epoch: lease.epoch,
            session: Arc::clone(&session),
        };
        self.leases.insert(session.session_id.clone(), held);
        Ok(session)
    }

    /// Takes a delivery, unless it is here already.
    ///
    /// # Errors
    ///
    /// [`Error::Protocol`] without a message.
    pub(super) fn deliver(&mut self, delivery: pb::Delivery) -> Result<(), Error> {
        let Some(message) = delivery.message else {
            return Err(Error::protocol("a delivery without a message"));
        };
        let key = FlightKey {
            queue_id: message.queue_id,
            delivery_id: delivery.delivery_id,
        };
        if self.taking == Taking::No || self.flights.contains_key(&key) {
            return Ok(());
        }
        self.supersede(message.queue_id, message.seq, key.delivery_id);
        self.lanes.push(&message.session_id, key);
        let deadline = delivery.deadline;
        let flight = Flight {
            session_id: message.session_id.clone(),
            seq: message.seq,
            epoch: delivery.epoch,
            cancel: watch::Sender::new(None),
            stage: Stage::Waiting(Box::new(Waiting {
                message,
                deadline: deadline.and_then(|time| SystemTime::try_from(time).ok()),
            })),
        };
        self.newest
            .insert((key.queue_id, flight.seq), key.delivery_id);
        self.flights.insert(key, flight);
        Ok(())
    }

    /// Takes the next delivery whose handler is to be started.
    pub(super) fn start_next(&mut self) -> Option<Job> {
        let (leases, relaxed, window) = (&self.leases, self.relaxed, self.window);
        let limit = |session_id: &str| match relaxed {
            RelaxedSessions::OneByOne => 1,
            RelaxedSessions::AtOnce => {
                leases
                    .get(session_id)
                    .map_or(1, |held| match held.session.ordering() {
                        pb::Ordering::Relaxed => window,
                        pb::Ordering::Unspecified | pb::Ordering::Strict | pb::Ordering::Serial => {
                            1
                        }
                    })
            }
        };
        let key = self.lanes.start_next(limit)?;
        let flight = self.flights.get_mut(&key)?;
        match std::mem::replace(&mut flight.stage, Stage::Running) {
            Stage::Waiting(waiting) => Some(Job {
                key,
                epoch: flight.epoch,
                waiting,
                session: leases
                    .get(&flight.session_id)
                    .map(|held| Arc::clone(&held.session)),
                cancelled: flight.cancel.subscribe(),
            }),
            Stage::Running | Stage::Settling => None,
        }
    }

    /// A handler is done.
    pub(super) fn finished(&mut self, key: FlightKey, outcome: Outcome) {
        let Some(flight) = self.flights.get_mut(&key) else {
            return;
        };
        self.lanes.finished(&flight.session_id);
        self.cancels.stopped(key);
        let said = worth_settling(outcome, flight.cancel.borrow().as_ref());
        match said {
            Some(outcome) => {
                flight.stage = Stage::Settling;
                let settlement = flight.settlement(key, outcome);
                self.settles.push(Entry {
                    key,
                    settlement,
                    purpose: Purpose::End,
                });
            }
            None => self.forget(key),
        }
    }

    /// A handler wants its lease to hold longer.
    pub(super) fn extend(&mut self, key: FlightKey, by: Duration, answer: ExtendAnswer) {
        let live = self.flights.get(&key).filter(|flight| {
            let held = self.leases.get(&flight.session_id);
            held.is_some_and(|held| held.epoch == flight.epoch)
        });
        let Some(flight) = live else {
            // Who asked may be gone: then nobody wants the answer.
            let _ = answer.send(Err(Error::lease_lost("the lease is somebody else's")));
            return;
        };
        let by = Some(crate::session::to_span(by));
        let outcome = pb::settlement::Outcome::Extend(pb::Extend { by });
        let settlement = flight.settlement(key, outcome);
        self.settles.push(Entry {
            key,
            settlement,
            purpose: Purpose::Extend(answer),
        });
    }

    pub(super) fn has_settle(&self) -> bool {
        self.settles.has_frame()
    }

    /// Whether something that was settled is not said yet.
    pub(super) fn has_unsent(&self) -> bool {
        self.settles.has_unsent()
    }

    pub(super) fn next_settle(&mut self) -> Option<pb::Settle> {
        self.settles.next_frame()
    }

    /// Takes the answer to the oldest settle frame, and returns the ends that
    /// did not count.
    ///
    /// # Errors
    ///
    /// [`Error::Protocol`] for an answer that fits no frame.
    pub(super) fn settled(&mut self, settled: pb::Settled) -> Result<Vec<pb::SettleResult>, Error> {
        let mut void = Vec::new();
        for (entry, result) in self.settles.answered(settled)? {
            match entry.purpose {
                Purpose::Extend(answer) => {
                    let _ = answer.send(extended(&result));
                }
                Purpose::End => {
                    self.forget(entry.key);
                    match result.code() {
                        pb::SettleCode::Ok | pb::SettleCode::AlreadySettled => {}
                        pb::SettleCode::Unspecified
                        | pb::SettleCode::Fenced
                        | pb::SettleCode::StaleDelivery
                        | pb::SettleCode::UnknownMessage => void.push(result),
                    }
                }
            }
        }
        Ok(void)
    }

    pub(super) fn take_cancel_results(&mut self, now: Instant) -> Vec<pb::CancelResult> {
        self.cancels.take_results(now)
    }

    pub(super) fn next_cancel_due(&self) -> Option<Instant> {
        self.cancels.next_due()
    }

    /// The stream broke: what was not answered is to be said again.
    pub(super) fn disconnected(&mut self) {
        self.settles.disconnected();
        self.cancels.forget_all();
    }

    /// What the next stream resumes. What does not fit into a `hello` is given
    /// up: the server detaches it.
    pub(super) fn resume(&mut self) -> Vec<pb::Resume> {
        let mut held: HashMap<&str, Vec<u64>> = HashMap::new();
        for (key, flight) in &self.flights {
            let lease = self.leases.get(&flight.session_id);
            if lease.is_some_and(|lease| lease.epoch == flight.epoch) {
                held.entry(&flight.session_id)
                    .or_default()
                    .push(key.delivery_id);
            }
        }
        let mut resume: Vec<pb::Resume> = Vec::with_capacity(self.leases.len());
        for (session_id, lease) in &self.leases {
            let mut delivery_ids = held.remove(session_id.as_str()).unwrap_or_default();
            delivery_ids.sort_unstable();
            delivery_ids.truncate(RESUME_DELIVERIES_MAX);
            resume.push(pb::Resume {
                session_id: session_id.clone(),
                queue_id: lease.queue_id,
                epoch: lease.epoch,
                delivery_ids,
            });
        }
        // Those with work in progress first: they must not be the ones that do
        // not fit.
        resume.sort_unstable_by(|one, other| {
            let idle = |resume: &pb::Resume| resume.delivery_ids.is_empty();
            (idle(one), &one.session_id).cmp(&(idle(other), &other.session_id))
        });
        for unlisted in resume.drain(RESUME_LEASES_MAX.min(resume.len())..) {
            self.leases.remove(&unlisted.session_id);
        }
        resume
    }

    fn forget(&mut self, key: FlightKey) {
        if let Some(flight) = self.flights.remove(&key) {
            let message = (key.queue_id, flight.seq);
            if self.newest.get(&message) == Some(&key.delivery_id) {
                self.newest.remove(&message);
            }
        }
    }
}

#[cfg(test)]
mod tests;
