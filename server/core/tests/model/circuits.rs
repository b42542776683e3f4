//! The rules of circuits in the reference model: which messages are skipped, what opens and what closes.
//!
//! Written from the design's rule 21.

use std::collections::BTreeMap;

use sessiond_core::circuit::{CircuitState, Circuits};
use sessiond_core::command::{NackKind, ResetCircuit, ResetTarget};
use sessiond_core::limits::Policy;

use super::finding::session_answer;
use super::marks::Mark;
use super::sessions::Verdict;
use super::state::{Model, State};
use super::told::{Expected, Fact};

/// The circuits of a session by kind, while something failed.
pub(crate) type OfSession = BTreeMap<String, Circuit>;

/// Failures of one kind since its last success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Circuit {
    pub(crate) failures: u32,
    /// Set while it is open.
    pub(crate) open: Option<Open>,
}

/// An open circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    /// From when on one message is let through.
    pub(crate) retry_at: u64,
    /// One was let through before.
    pub(crate) probing: bool,
}

/// What becomes of a new message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    Plain,
    Probe,
    SecondProbe,
    Skipped,
}

/// Lets a message in, or not.
pub(crate) fn admit(circuits: &mut OfSession, kind: &str, now: u64, policy: &Policy) -> Admitted {
    let Some(open) = circuits.get_mut(kind).and_then(|c| c.open.as_mut()) else {
        return Admitted::Plain;
    };
    if now < open.retry_at {
        return Admitted::Skipped;
    }
    open.retry_at = now + policy.circuit_cool_down.0;
    if std::mem::replace(&mut open.probing, true) {
        Admitted::SecondProbe
    } else {
        Admitted::Probe
    }
}

/// Panics when a session's circuits are not what the model says.
pub(crate) fn check(is: &Circuits, wanted: &OfSession) {
    let is: Vec<(String, Circuit)> = is
        .iter()
        .map(|circuit| {
            let open = match circuit.state {
                CircuitState::Closed => None,
                CircuitState::Open { retry_at } => Some((retry_at, false)),
                CircuitState::Probing { retry_at } => Some((retry_at, true)),
            };
            let open = open.map(|(retry_at, probing)| Open {
                retry_at: retry_at.0,
                probing,
            });
            let failures = circuit.failures;
            (circuit.kind.as_str().to_owned(), Circuit { failures, open })
        })
        .collect();
    let wanted: Vec<(String, Circuit)> = wanted.clone().into_iter().collect();
    assert_eq!(is, wanted, "the circuits");
}

impl Model {
    /// Whether a message may come into a session; the circuit remembers its probe.
    pub(crate) fn lets_in(&mut self, session: u64, kind: &str) -> bool {
        let (now, policy) = (self.now, self.policy.clone());
        let circuits = &mut self.session_mut(session).circuits;
        let admitted = admit(circuits, kind, now, &policy);
        self.marks
            .hit_if(admitted == Admitted::Probe, Mark::CircuitProbed);
        self.marks
            .hit_if(admitted == Admitted::SecondProbe, Mark::CircuitProbedAgain);
        self.marks
            .hit_if(admitted == Admitted::Skipped, Mark::CircuitSkipped);
        admitted != Admitted::Skipped
    }

    /// A nack counts against its kind, unless it says that nothing failed.
    pub(crate) fn circuit_failed(
        &mut self,
        queue: u64,
        kind: &str,
        nack: NackKind,
        out: &mut Expected,
    ) {
        let watched = self.policy.circuit_kinds.iter().any(|k| k.as_str() == kind);
        if nack == NackKind::Defer || !watched {
            return;
        }
        let no = self.queue(queue).owner;
        let retry_at = self.now + self.policy.circuit_cool_down.0;
        let enough = self.policy.circuit_failures;
        let circuits = &mut self.session_mut(no).circuits;
        let circuit = circuits.entry(kind.to_owned()).or_insert(Circuit {
            failures: 0,
            open: None,
        });
        circuit.failures += 1;
        let failures = circuit.failures;
        match &mut circuit.open {
            Some(open) if open.probing => {
                *open = Open {
                    retry_at,
                    probing: false,
                };
                self.marks.hit(Mark::CircuitProbeFailed);
            }
            Some(_) => {}
            None if failures >= enough => {
                circuit.open = Some(Open {
                    retry_at,
                    probing: false,
                });
                self.marks.hit(Mark::CircuitOpened);
                out.facts
                    .push(Fact::CircuitOpened(no, kind.to_owned(), failures));
            }
            None => {}
        }
    }

    /// An ack closes the circuit of its kind, while its session is not over.
    pub(crate) fn circuit_succeeded(&mut self, owner: u64, kind: &str, out: &mut Expected) {
        if matches!(self.session(owner).state, State::Ended(_)) {
            return;
        }
        let closed = self.session_mut(owner).circuits.remove(kind);
        if closed.is_some_and(|circuit| circuit.open.is_some()) {
            self.marks.hit(Mark::CircuitClosed);
            out.facts
                .push(Fact::CircuitClosed(owner, kind.to_owned(), "ack"));
        }
    }

    pub(crate) fn reset_circuit(&mut self, reset: &ResetCircuit, out: &mut Expected) -> Verdict {
        if let Some(request) = self.earlier(reset.request.as_ref())? {
            return Ok(session_answer(request.subject, false, true));
        }
        let no = self.find_in_use(&reset.session)?;
        match &reset.target {
            ResetTarget::Kind(kind) => {
                let closed = self.session_mut(no).circuits.remove(kind.as_str());
                if closed.is_some_and(|circuit| circuit.open.is_some()) {
                    self.marks.hit(Mark::CircuitReset);
                    out.facts
                        .push(Fact::CircuitClosed(no, kind.as_str().to_owned(), "reset"));
                }
            }
            ResetTarget::RestartGuard => self.reset_guard(no),
        }
        self.remember(reset.request.as_ref(), no, false);
        Ok(session_answer(no, false, false))
    }
}
