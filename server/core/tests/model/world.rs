//! The engine in miniature: decides commands in batches over a store that answers slowly, and tells the model.
//!
//! It does what the server's engine does and nothing more clever: reads what a decision misses, applies decisions to
//! the view, commits now and then, sends frames only after the commit, runs follow-ups and what is due.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use fastrand::Rng;
use sessiond_core::command::Command;
use sessiond_core::decide::{Decision, Stop, decide};
use sessiond_core::ids::{InstanceId, Namespace, SessionNo, StreamId};
use sessiond_core::limits::Policy;
use sessiond_core::rejection::Rejection;
use sessiond_core::reply::{Delivery, Frame, Push, Reply};
use sessiond_core::time::{EngineTime, Now, WallTime};
use sessiond_core::view::View;

use super::exporting::Export;
use super::marks::Mark;
use super::rows::Care;
use super::script::limit_pools;
use super::state::Model;
use super::store::Store;
use super::{check, rows};

/// Where everything happens.
pub(crate) const NAMESPACE: &str = "n";
/// Where nothing is.
pub(crate) const ELSEWHERE: &str = "elsewhere";

const WALL_START: u64 = 1_700_000_000_000;
const BATCH_MAX: usize = 12;
/// Reads that one decision may ask for; far above what any needs.
const READS_MAX: usize = 4_000;
/// Rounds of due work at one instant; each round may make the next one due.
const DUE_ROUNDS_MAX: usize = 200;
const FOLLOW_UPS_MAX: usize = 200;

/// The whole simulated server with its clients' side of the wire.
pub(crate) struct World {
    pub(crate) model: Model,
    pub(crate) store: Store,
    pub(crate) view: View,
    pub(crate) namespace: Namespace,
    policy: Arc<Policy>,
    pub(crate) engine_ms: u64,
    /// How far the wall clock is off; it may step.
    pub(crate) skew: i64,
    batch_left: usize,
    /// Decisions of the open batch.
    uncommitted: usize,
    outbox: Vec<Push>,
    /// Frames written to open streams and not yet read.
    pub(crate) wire: BTreeMap<StreamId, VecDeque<Frame>>,
    pub(crate) rng: Rng,
    pub(crate) clients: super::script::Clients,
    /// Exports of before.
    pub(crate) exports: VecDeque<Export>,
    /// Sessions of which an export was asked for.
    pub(crate) asked: Vec<SessionNo>,
    /// Commands decided.
    pub(crate) commands: u64,
    pub(crate) trace: Trace,
}

/// What is kept of a run for people and for comparison.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// A running hash of all decisions, when asked for.
    pub(crate) hash: Option<u64>,
    /// The commands and what they did, when asked for.
    pub(crate) lines: Option<Vec<String>>,
}

impl World {
    pub(crate) fn new(policy: Policy, trace: Trace) -> Self {
        let shared = Arc::new(policy.clone());
        Self {
            model: Model::new(policy),
            store: Store::default(),
            view: View::new(Arc::clone(&shared)),
            namespace: Namespace::parse(NAMESPACE).unwrap(),
            policy: shared,
            engine_ms: 1,
            skew: 0,
            batch_left: 1,
            uncommitted: 0,
            outbox: Vec::new(),
            wire: BTreeMap::new(),
            rng: Rng::with_seed(0),
            clients: super::script::Clients::default(),
            exports: VecDeque::new(),
            asked: Vec::new(),
            commands: 0,
            trace,
        }
    }

    pub(crate) fn now(&self) -> Now {
        let wall = WALL_START + self.engine_ms;
        Now {
            engine: EngineTime(self.engine_ms),
            wall: WallTime(wall.saturating_add_signed(self.skew)),
        }
    }

    /// Decides a command and all that follows from it.
    pub(crate) fn submit(&mut self, command: &Command) -> Result<Reply, Rejection> {
        let mut follow_ups = VecDeque::new();
        let said = self.submit_one(command, &mut follow_ups);
        let mut count = 0;
        while let Some(next) = follow_ups.pop_front() {
            count += 1;
            assert!(count < FOLLOW_UPS_MAX, "follow-ups do not end: {next:?}");
            let followed = self.submit_one(&next, &mut follow_ups);
            assert!(followed.is_ok(), "a follow-up is refused: {followed:?}");
        }
        self.model.check_assigned();
        said
    }

    fn submit_one(
        &mut self,
        command: &Command,
        follow_ups: &mut VecDeque<Command>,
    ) -> Result<Reply, Rejection> {
        self.commands += 1;
        let said = self.decide(command);
        self.note(command, &said);
        self.model.step(command, self.now(), said.as_ref());
        let decision = said?;
        check::nothing_pulled_back(&mut self.model, &self.store, &decision.changes);
        self.view.apply(&decision.changes, decision.presence);
        self.store.apply(decision.changes);
        self.outbox.extend(decision.pushes);
        self.asked.extend(decision.exports);
        follow_ups.extend(decision.follow_ups);
        rows::check(&self.model, &self.store, Care::Live);
        check::presence(&self.model, &self.view.presence, &self.namespace);
        self.clients.remember_claim(command, &decision.reply);
        self.uncommitted += 1;
        self.batch_left -= 1;
        if self.batch_left == 0 {
            self.commit();
        }
        match decision.refused {
            Some(rejection) => Err(*rejection),
            None => Ok(decision.reply),
        }
    }

    fn decide(&mut self, command: &Command) -> Result<Decision, Rejection> {
        let now = self.now();
        for _ in 0..READS_MAX {
            match decide(&self.view, command, now) {
                Ok(decision) => return Ok(decision),
                Err(Stop::Rejected(rejection)) => return Err(*rejection),
                Err(Stop::Missing(reads)) => {
                    assert!(!reads.is_empty(), "missing nothing");
                    for read in reads {
                        let more = self.rng.usize(..3);
                        self.store.load(&mut self.view, read, more);
                    }
                }
            }
        }
        panic!("reads without end for {command:?}");
    }

    /// Makes the batch durable and sends what it has to say.
    pub(crate) fn commit(&mut self) {
        if self.uncommitted > 0 {
            rows::check(&self.model, &self.store, Care::All);
        }
        self.uncommitted = 0;
        self.store.commit();
        // What is kept from batch to batch must be as the store has it; what is forgotten is loaded again.
        if self.rng.usize(..4) == 0 {
            self.view.forget_rows();
        } else {
            self.view.committed();
        }
        self.batch_left = self.rng.usize(1..=BATCH_MAX);
        let written = std::mem::take(&mut self.outbox);
        for (stream, frame) in written {
            self.clients.remember(deliveries(&frame));
            if let Some(frames) = self.wire.get_mut(&stream) {
                frames.push_back(frame);
            }
        }
    }

    /// Kills the server between two commits and starts it again. Frames that nobody read are lost.
    pub(crate) fn restart(&mut self) {
        self.commit();
        self.view = View::new(Arc::clone(&self.policy));
        self.wire.clear();
        self.asked.clear();
        self.model.now = self.engine_ms;
        self.model.restart();
        let leases = self.store.leases();
        self.submit(&Command::Restore(leases)).unwrap();
        self.finish_drain();
        self.recover();
        let before = self.model.waiting();
        for pool in self.store.pools_with_waiters() {
            let namespace = self.namespace.clone();
            self.submit(&Command::Admit { namespace, pool }).unwrap();
        }
        let admitted = self.model.waiting() < before;
        self.model.marks.hit_if(admitted, Mark::AdmittedAtRestart);
    }

    /// The same, and now and then somebody changes the limits of the pools meanwhile.
    pub(crate) fn restart_anew(&mut self) {
        self.commit();
        if self.rng.u32(..3) == 0 {
            self.configure();
        }
        self.restart();
    }

    /// Somebody changes the limits of the pools while the server is down.
    fn configure(&mut self) {
        let mut policy = Policy::clone(&self.policy);
        limit_pools(&mut policy, &mut self.rng);
        self.policy = Arc::new(policy.clone());
        self.model.policy = policy;
    }

    /// Runs everything that is due, until nothing is.
    pub(crate) fn run_due(&mut self) {
        for _ in 0..DUE_ROUNDS_MAX {
            self.commit();
            let mut commands: Vec<Command> = self
                .store
                .due(self.engine_ms)
                .into_iter()
                .map(Command::Due)
                .collect();
            let alarms = self
                .view
                .presence
                .due(EngineTime(self.engine_ms), usize::MAX);
            let lapses: Vec<Command> = alarms.into_iter().map(Command::Lapse).collect();
            if self.rng.bool() {
                commands.extend(lapses);
            } else {
                commands.splice(0..0, lapses);
            }
            if commands.is_empty() {
                self.model.now = self.engine_ms;
                return check::nothing_overdue(&self.model, &self.store);
            }
            for command in commands {
                self.submit(&command).unwrap();
            }
        }
        panic!("something is due without end");
    }

    /// When the next thing happens by itself.
    pub(crate) fn next_event(&self) -> Option<u64> {
        let alarm = self.view.presence.next_alarm().map(|(at, _)| at.0);
        let due = self.store.next_due();
        match (alarm, due) {
            (Some(alarm), Some(due)) => Some(alarm.min(due)),
            (alarm, due) => alarm.or(due),
        }
    }

    pub(crate) fn worker_key(&self, instance: &InstanceId) -> (Namespace, InstanceId) {
        (self.namespace.clone(), instance.clone())
    }

    /// Adds a line for people, when somebody wants to read it.
    pub(crate) fn note_line(&mut self, line: &str) {
        if let Some(lines) = &mut self.trace.lines {
            lines.push(line.to_string());
        }
    }

    fn note(&mut self, command: &Command, said: &Result<Decision, Rejection>) {
        if let Some(hash) = &mut self.trace.hash {
            let now = self.engine_ms;
            let text = format!("{now} {command:?} {said:?}");
            for byte in text.bytes() {
                *hash = (*hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        if let Some(lines) = &mut self.trace.lines {
            let answer = match said {
                Ok(decision) => format!("{:?}", super::told::Answer::of(&decision.reply)),
                Err(rejection) => format!("refused: {rejection:?}"),
            };
            lines.push(format!(
                "  at {}: {command:?}\n      {answer}",
                self.engine_ms
            ));
            if let Ok(decision) = said {
                let facts = super::told::events(decision);
                lines.extend(
                    facts
                        .iter()
                        .map(|e| format!("      {:?}", super::told::fact(e))),
                );
                let told = decision.pushes.iter();
                lines.extend(
                    told.map(|(s, f)| format!("      to {s}: {:?}", super::told::Told::of(f))),
                );
            }
        }
    }
}

/// Every delivery in a frame.
pub(crate) fn deliveries(frame: &Frame) -> &[Delivery] {
    match frame {
        Frame::Deliveries(deliveries) => deliveries,
        Frame::Welcome { .. }
        | Frame::Attached { .. }
        | Frame::AttachFailed { .. }
        | Frame::Settled(_)
        | Frame::Cancel { .. }
        | Frame::SessionEnding { .. }
        | Frame::LeaseLost { .. }
        | Frame::GoAway { .. } => &[],
    }
}
