//! Circuits: kinds of message of one session that failed several times in a row, and what comes of it.
//!
//! A circuit is there only while something failed since the last success of its kind, so a session in which nothing
//! fails carries nothing. Closed, it counts; open, new messages of the kind are skipped until one is let through as a
//! probe. What is pending is handed out all the same, and any success closes it. A circuit that is open stays in force
//! whatever kinds are watched since. What this deliberately does not do: write events, or know messages.

use crate::ids::MessageKind;
use crate::limits::Policy;
use crate::time::EngineTime;

/// The circuits of a session, in order of their kinds; at most one for each kind that is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circuits(Vec<Circuit>);

/// The circuit of one kind, in which something failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circuit {
    /// The kind of message.
    pub kind: MessageKind,
    /// Failures since the last success, at least one.
    pub failures: u32,
    /// What becomes of new messages of the kind.
    pub state: CircuitState,
}

/// What becomes of new messages of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitState {
    /// They are accepted.
    Closed,
    /// They are skipped.
    Open {
        /// From when on the next one is let through as a probe.
        retry_at: EngineTime,
    },
    /// One was let through; the others are skipped.
    Probing {
        /// From when on another one is let through, should nothing be known of the first.
        retry_at: EngineTime,
    },
}

/// Whether a message may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Accepted,
    /// It may not.
    Skipped,
}

/// What a failure made of its circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// It was open before, or stays closed.
    Counted,
    /// It opened.
    Opened {
        /// After so many failures in a row.
        failures: u32,
    },
}

impl Circuits {
    /// Those of a row that was read.
    #[must_use]
    pub fn of(circuits: Vec<Circuit>) -> Self {
        Self(circuits)
    }

    /// All of them, in order of their kinds.
    pub fn iter(&self) -> impl Iterator<Item = &Circuit> {
        self.0.iter()
    }

    /// Whether nothing failed since its last success.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Decides about a new message; the first one after the pause is the probe.
    pub fn admit(&mut self, kind: &MessageKind, now: EngineTime, policy: &Policy) -> Admission {
        let Some(circuit) = self.0.iter_mut().find(|circuit| circuit.kind == *kind) else {
            return Admission::Accepted;
        };
        let retry_at = match circuit.state {
            CircuitState::Closed => return Admission::Accepted,
            CircuitState::Open { retry_at } | CircuitState::Probing { retry_at } => retry_at,
        };
        if now < retry_at {
            return Admission::Skipped;
        }
        if !faulty!(ProbeUnlimited) {
            circuit.state = CircuitState::Probing {
                retry_at: now + policy.circuit_cool_down,
            };
        }
        Admission::Accepted
    }

    /// Counts a failure of a kind that is watched. Enough of them open its circuit; one that comes while a probe is out
    /// starts the pause anew.
    pub fn fail(&mut self, kind: &MessageKind, now: EngineTime, policy: &Policy) -> Failing {
        if !policy.circuit_kinds.contains(kind) {
            return Failing::Counted;
        }
        let place = self.0.binary_search_by(|circuit| circuit.kind.cmp(kind));
        let place = place.unwrap_or_else(|place| {
            let circuit = Circuit {
                kind: kind.clone(),
                failures: 0,
                state: CircuitState::Closed,
            };
            self.0.insert(place, circuit);
            place
        });
        let circuit = &mut self.0[place];
        circuit.failures = circuit.failures.saturating_add(1);
        let retry_at = now + policy.circuit_cool_down;
        match circuit.state {
            CircuitState::Closed if circuit.failures >= policy.circuit_failures => {
                circuit.state = CircuitState::Open { retry_at };
                Failing::Opened {
                    failures: circuit.failures,
                }
            }
            CircuitState::Probing { .. } => {
                circuit.state = CircuitState::Open { retry_at };
                Failing::Counted
            }
            CircuitState::Closed | CircuitState::Open { .. } => Failing::Counted,
        }
    }

    /// Takes away the circuit of a kind: something of it succeeded, or an operator says so.
    pub fn close(&mut self, kind: &MessageKind) -> Option<Circuit> {
        let place = self.0.iter().position(|circuit| circuit.kind == *kind)?;
        Some(self.0.remove(place))
    }
}

impl Circuit {
    /// Whether new messages of its kind are held off.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self.state {
            CircuitState::Closed => false,
            CircuitState::Open { .. } | CircuitState::Probing { .. } => true,
        }
    }
}
