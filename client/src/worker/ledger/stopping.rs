//! How deliveries are stopped: by a lost lease, a cancel, a newer hand-out, or
//! the end of the worker.
//!
//! Keeps one rule for all of them: what waits is given up without a word, what
//! runs is told, and what is done already is settled as it is.

use sessiond_proto::v1 as pb;
use tokio::time::Instant;

use super::{Ledger, Taking};
use crate::worker::Outcome;
use crate::worker::delivery::Cancellation;
use crate::worker::flight::{Flight, FlightKey, Stage};
use crate::worker::requested::result;

impl Ledger {
    /// A session is not this worker's any longer. What waits is given up, what
    /// runs is told to stop.
    pub(in crate::worker) fn lease_lost(&mut self, lost: &pb::LeaseLost) {
        let held = self.leases.get(&lost.session_id);
        // A late word about an old lease says nothing about the present one.
        let current = |epoch: u64| lost.epoch == 0 || epoch <= lost.epoch;
        if held.is_some_and(|held| current(held.epoch)) {
            self.leases.remove(&lost.session_id);
        }
        self.cancels.forget_session(&lost.session_id);
        let why = Cancellation::LeaseLost {
            reason: lost.reason(),
            successor_id: lost.successor_id.clone(),
        };
        let about = |flight: &Flight| flight.session_id == lost.session_id && current(flight.epoch);
        self.stop(about, &why);
    }

    /// The server wants work to stop. Returns the result if it is known.
    pub(in crate::worker) fn cancel(
        &mut self,
        cancel: &pb::Cancel,
        now: Instant,
    ) -> Option<pb::CancelResult> {
        let about = |flight: &Flight, key: FlightKey| {
            flight.session_id == cancel.session_id
                && (cancel.delivery_ids.is_empty()
                    || cancel.delivery_ids.contains(&key.delivery_id))
        };
        let why = Cancellation::Requested {
            reason: cancel.reason(),
        };
        let (mut running, mut waiting) = (Vec::new(), Vec::new());
        for (key, flight) in self
            .flights
            .iter()
            .filter(|(key, flight)| about(flight, **key))
        {
            match flight.stage {
                Stage::Waiting(_) => waiting.push(*key),
                Stage::Running => running.push(*key),
                Stage::Settling => {}
            }
        }
        let outcome = match (running.is_empty(), waiting.is_empty()) {
            (true, true) => Some(pb::CancelOutcome::Finished),
            (true, false) => Some(pb::CancelOutcome::Stopped),
            (false, _) => None,
        };
        self.stop_keys(running.iter().chain(&waiting), &why);
        match outcome {
            Some(outcome) => Some(result(&cancel.session_id, outcome)),
            None => {
                self.cancels.open(cancel, running, now);
                None
            }
        }
    }

    /// Takes nothing new, and gives up what waits: it goes back with the leases.
    pub(in crate::worker) fn stop_taking(&mut self) {
        self.taking = Taking::No;
        let waiting: Vec<FlightKey> = self
            .flights
            .iter()
            .filter(|(_, flight)| matches!(flight.stage, Stage::Waiting(_)))
            .map(|(key, _)| *key)
            .collect();
        self.stop_keys(waiting.iter(), &Cancellation::Stopping);
    }

    /// Tells every handler to stop.
    pub(in crate::worker) fn cancel_all(&mut self) {
        self.stop(|_| true, &Cancellation::Stopping);
    }

    /// Forgets the deliveries whose handlers were dropped.
    pub(in crate::worker) fn drop_running(&mut self) {
        let running: Vec<FlightKey> = self
            .flights
            .iter()
            .filter(|(_, flight)| matches!(flight.stage, Stage::Running))
            .map(|(key, _)| *key)
            .collect();
        for key in running {
            self.finished(key, Outcome::Abandoned);
        }
    }

    /// An older hand-out of the same message counts no longer.
    pub(super) fn supersede(&mut self, queue_id: u64, seq: u64, delivery_id: u64) {
        let Some(older) = self.newest.get(&(queue_id, seq)).copied() else {
            return;
        };
        if older < delivery_id {
            let key = FlightKey {
                queue_id,
                delivery_id: older,
            };
            self.stop_keys([key].iter(), &Cancellation::Superseded);
        }
    }

    fn stop(&mut self, about: impl Fn(&Flight) -> bool, why: &Cancellation) {
        let keys: Vec<FlightKey> = self
            .flights
            .iter()
            .filter(|(_, flight)| about(flight))
            .map(|(key, _)| *key)
            .collect();
        self.stop_keys(keys.iter(), why);
    }

    fn stop_keys<'a>(&mut self, keys: impl Iterator<Item = &'a FlightKey>, why: &Cancellation) {
        for key in keys {
            let Some(flight) = self.flights.get(key) else {
                continue;
            };
            match flight.stage {
                Stage::Waiting(_) => {
                    self.lanes.remove(&flight.session_id, *key);
                    self.forget(*key);
                }
                Stage::Running => flight.cancel(why.clone()),
                Stage::Settling => {}
            }
        }
    }
}
