//! Whose turn it is: one lane for each session, so that its deliveries run in
//! the order in which they came.
//!
//! Keeps at most `limit` deliveries of a lane and at most the window of them all
//! running. It knows no messages, only their names.

use std::collections::{HashMap, VecDeque};

use super::flight::FlightKey;

/// The lanes of all sessions.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: HashMap<String, Lane>,
    /// Sessions which may have something to start; one may be named twice.
    candidates: VecDeque<String>,
    running: u32,
    window: u32,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<FlightKey>,
    running: u32,
}

// === impl Lanes ===

impl Lanes {
    pub(super) fn new(window: u32) -> Self {
        Self {
            lanes: HashMap::new(),
            candidates: VecDeque::new(),
            running: 0,
            window,
        }
    }

    /// How many deliveries run.
    pub(super) fn running(&self) -> u32 {
        self.running
    }

    /// Puts a delivery at the end of its lane.
    pub(super) fn push(&mut self, session_id: &str, key: FlightKey) {
        let lane = self.lanes.entry(session_id.to_owned()).or_default();
        lane.waiting.push_back(key);
        self.candidates.push_back(session_id.to_owned());
    }

    /// Takes the next delivery whose turn it is, and counts it as running.
    /// `limit` says how many of a session may run at once.
    pub(super) fn start_next(&mut self, limit: impl Fn(&str) -> u32) -> Option<FlightKey> {
        while self.running < self.window {
            let session_id = self.candidates.pop_front()?;
            let Some(lane) = self.lanes.get_mut(&session_id) else {
                continue;
            };
            if lane.running >= limit(&session_id) {
                continue;
            }
            if let Some(key) = lane.waiting.pop_front() {
                lane.running += 1;
                self.running += 1;
                self.candidates.push_back(session_id);
                return Some(key);
            }
        }
        None
    }

    /// A delivery that ran is done: the next of its lane may start.
    pub(super) fn finished(&mut self, session_id: &str) {
        self.running = self.running.saturating_sub(1);
        if let Some(lane) = self.lanes.get_mut(session_id) {
            lane.running = lane.running.saturating_sub(1);
            if lane.running == 0 && lane.waiting.is_empty() {
                self.lanes.remove(session_id);
            } else {
                self.candidates.push_back(session_id.to_owned());
            }
        }
    }

    /// Removes one delivery that waits.
    pub(super) fn remove(&mut self, session_id: &str, key: FlightKey) {
        if let Some(lane) = self.lanes.get_mut(session_id) {
            lane.waiting.retain(|waiting| *waiting != key);
            if lane.running == 0 && lane.waiting.is_empty() {
                self.lanes.remove(session_id);
            }
        }
    }
}

#[cfg(test)]
mod tests;
