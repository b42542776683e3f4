//! What can happen in a script, how often, and time going by.
//!
//! Everything an act needs it draws from its own salt; what it names, it picks from what the clients know.

use fastrand::Rng;
use sessiond_core::command::{Command, Explain, Reap, Thresholds};
use sessiond_core::ids::{Epoch, IdempotencyKey, QueueId, Seq, SessionId, SessionKey, SessionNo};
use sessiond_core::index::Due;
use sessiond_core::limits::REQUEST_RETENTION;
use sessiond_core::presence::Shortage;
use sessiond_core::time::Span;

use super::script::{Act, WORKERS};
use super::state::Fate;
use super::world::World;

/// Kinds of acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Open,
    Update,
    Touch,
    BeginRequest,
    EndRequest,
    End,
    Reset,
    ResetCircuit,
    Breakdown,
    Probe,
    Purge,
    Calendar,
    Compact,
    Drain,
    Enqueue,
    Claim,
    Settle,
    Requeue,
    Discard,
    Hello,
    Attach,
    Detach,
    Window,
    StreamSettle,
    CancelResult,
    Progress,
    Heartbeat,
    Goodbye,
    Close,
    Receive,
    Stray,
    Sweep,
    Ask,
    Advance,
    Forget,
    Restart,
    Revoke,
    ResetGuard,
    Hang,
    Room,
    Declare,
    Register,
    LetGo,
    Report,
    Releaser,
    Link,
    Plugin,
}

/// How often each happens, relative to the others.
pub(crate) const VERBS: &[(Verb, u32)] = &[
    (Verb::Open, 12),
    (Verb::Update, 4),
    (Verb::Touch, 3),
    (Verb::BeginRequest, 7),
    (Verb::EndRequest, 5),
    (Verb::End, 8),
    (Verb::Reset, 5),
    (Verb::ResetCircuit, 2),
    (Verb::Breakdown, 4),
    (Verb::Probe, 3),
    (Verb::Purge, 3),
    (Verb::Calendar, 1),
    (Verb::Compact, 1),
    (Verb::Drain, 1),
    (Verb::Enqueue, 32),
    (Verb::Claim, 12),
    (Verb::Settle, 10),
    (Verb::Requeue, 9),
    (Verb::Discard, 5),
    (Verb::Hello, 9),
    (Verb::Attach, 12),
    (Verb::Detach, 4),
    (Verb::Window, 4),
    (Verb::StreamSettle, 22),
    (Verb::CancelResult, 5),
    (Verb::Progress, 4),
    (Verb::Heartbeat, 5),
    (Verb::Goodbye, 2),
    (Verb::Close, 3),
    (Verb::Receive, 22),
    (Verb::Stray, 3),
    (Verb::Sweep, 3),
    (Verb::Ask, 3),
    (Verb::Advance, 18),
    (Verb::Forget, 1),
    (Verb::Restart, 2),
    (Verb::Revoke, 2),
    (Verb::ResetGuard, 1),
    (Verb::Hang, 3),
    (Verb::Room, 3),
    (Verb::Declare, 7),
    (Verb::Register, 2),
    (Verb::LetGo, 2),
    (Verb::Report, 3),
    (Verb::Releaser, 5),
    (Verb::Link, 5),
    (Verb::Plugin, 11),
];

/// Instants at which due work is run on a longer way; then the clock jumps, as after a suspend.
const STOPS_MAX: usize = 40;

impl World {
    /// Does one act of a script.
    pub(crate) fn act(&mut self, act: Act) {
        self.rng = Rng::with_seed(act.salt);
        if self.trace.lines.is_some() {
            self.note_line(&format!("{:?}", act.verb));
        }
        match act.verb {
            Verb::Open => self.open(),
            Verb::Update => self.update(),
            Verb::Touch => self.touch(),
            Verb::BeginRequest => self.begin_request(),
            Verb::EndRequest => self.end_request(),
            Verb::End => self.end(),
            Verb::Reset => self.reset(),
            Verb::ResetCircuit => self.reset_circuit(),
            Verb::Breakdown => self.breakdown(),
            Verb::Probe => self.probe(),
            Verb::Purge => self.purge(),
            Verb::Calendar => self.calendar(),
            Verb::Compact => self.compact(),
            Verb::Drain => self.drain(),
            Verb::Enqueue => self.enqueue(),
            Verb::Claim => self.claim(),
            Verb::Settle => self.settle(),
            Verb::Requeue => self.requeue(),
            Verb::Discard => self.discard(),
            Verb::Hello => self.hello(),
            Verb::Attach => self.attach(),
            Verb::Detach => self.detach(),
            Verb::Window => self.window(),
            Verb::StreamSettle => self.stream_settle(),
            Verb::CancelResult => self.cancel_result(),
            Verb::Progress => self.progress(),
            Verb::Heartbeat => self.heartbeat(),
            Verb::Goodbye => self.goodbye(),
            Verb::Close => self.close(),
            Verb::Receive => self.receive(),
            Verb::Stray => self.stray(),
            Verb::Sweep => self.sweep(),
            Verb::Ask => self.ask(),
            Verb::Advance => self.advance(),
            Verb::Forget => self.forget(),
            Verb::Restart => self.crash(),
            Verb::Revoke => self.revoke(),
            Verb::ResetGuard => self.reset_guard(),
            Verb::Hang => self.hang(),
            Verb::Room => self.room(),
            Verb::Declare => self.declare(),
            Verb::Register => self.register(),
            Verb::LetGo => self.let_go(),
            Verb::Report => self.report(),
            Verb::Releaser => self.release_some(),
            Verb::Link => self.link(),
            Verb::Plugin => self.plugin(),
        }
    }

    /// Lets time pass, punctually or in one jump.
    fn advance(&mut self) {
        if self.rng.u32(..10) == 0 {
            self.skew = self.rng.i64(-3_600_000..3_600_000);
        }
        let now = self.engine_ms;
        let next = self.next_event().unwrap_or(now);
        let target = match self.rng.u32(..100) {
            0..30 => now + self.rng.u64(..2_000),
            30..45 => next,
            45..50 => next.saturating_sub(1).max(now),
            50..70 => now + self.rng.u64(1_000..20_000),
            70..82 => now + self.rng.u64(10_000..90_000),
            82..92 => now + self.rng.u64(60_000..4_000_000),
            92..98 => now + self.rng.u64(3_600_000..90_000_000),
            _ => now + self.rng.u64(86_400_000..700_000_000),
        };
        let target = target.max(now);
        let stops = if self.rng.bool() { STOPS_MAX } else { 0 };
        for _ in 0..stops {
            match self.next_event() {
                Some(at) if at <= target => {
                    self.engine_ms = self.engine_ms.max(at);
                    self.run_due();
                }
                _ => break,
            }
        }
        self.engine_ms = target;
        self.run_due();
        if self.rng.bool() {
            self.release_some();
        }
        if self.rng.bool() {
            self.export_some();
        }
    }

    /// The clock stands where a name or a request id is about to be forgotten, and somebody uses it again.
    fn forget(&mut self) {
        if self.rng.bool() {
            let names: Vec<(u64, IdempotencyKey, SessionKey)> = self.remembered_names();
            if let Some((at, name, key)) = self.pick(&names) {
                let early = self.rng.u64(..2);
                self.jump(at + REQUEST_RETENTION.0 - early);
                self.enqueue_again(key, name);
            }
        } else {
            let asked = self.model.requests.iter();
            let asked: Vec<_> = asked
                .map(|(id, request)| (request.at, id.clone()))
                .collect();
            if let Some((at, id)) = self.pick(&asked) {
                let early = self.rng.u64(..2);
                self.jump(at + REQUEST_RETENTION.0 - early);
                self.open_again(id);
            }
        }
    }

    /// Names of messages with their time and a key that leads to their queue.
    fn remembered_names(&self) -> Vec<(u64, IdempotencyKey, SessionKey)> {
        let queues = self.model.queues.iter();
        let reachable = queues.filter(|q| matches!(q.fate, Fate::Serving | Fate::Held { .. }));
        reachable
            .filter_map(|queue| Some((queue, self.model.session(queue.owner).key.clone()?)))
            .flat_map(|(queue, key)| {
                let names = queue.names.iter();
                names.map(move |(name, (_, at))| (*at, name.clone(), key.clone()))
            })
            .collect()
    }

    pub(crate) fn jump(&mut self, to: u64) {
        self.engine_ms = self.engine_ms.max(to);
        self.run_due();
    }

    /// The server dies and comes back.
    fn crash(&mut self) {
        for worker in &mut self.clients.workers {
            worker.old_streams.extend(worker.stream.take());
        }
        self.restart_anew();
        self.run_due();
    }

    /// A timer that fires when it should not.
    fn stray(&mut self) {
        let queue = QueueId(self.rng.u64(1..6));
        let command = match self.rng.u32(..5) {
            0 => Command::Due(Due::Session(SessionNo(self.rng.u64(1..12)))),
            1 => Command::Due(Due::Message(queue, Seq(self.rng.u64(1..9)))),
            2 => Command::Due(Due::Lease(Epoch(self.rng.u64(1..20)))),
            3 => Command::Due(Due::Queue(queue)),
            _ => Command::Lapse(Epoch(self.rng.u64(1..20))),
        };
        self.submit(&command).unwrap();
    }

    /// Somebody sweeps with limits of their own, now and then right after a session was used.
    fn sweep(&mut self) {
        if self.rng.u32(..4) == 0 {
            self.touch();
        }
        let mut threshold = || {
            let span = Span(self.rng.u64(1..600_000));
            self.rng.bool().then_some(span)
        };
        let within = Thresholds {
            idle: threshold(),
            lifetime: threshold(),
        };
        for session in self.live_ids() {
            let reap = Reap {
                namespace: self.namespace.clone(),
                session,
                within,
                actor: self.actor(),
            };
            self.submit(&Command::Reap(reap)).unwrap();
        }
    }

    fn live_ids(&self) -> Vec<SessionId> {
        let sessions = self.model.sessions.iter();
        let live = sessions.filter(|session| session.is_active());
        live.map(|session| session.id.clone()).collect()
    }

    /// The disk has come to be short of room, more often has not.
    fn room(&mut self) {
        let enough = self.rng.u64(2..9);
        let short = self.rng.u32(..3) == 0;
        let shortage = short.then(|| Shortage {
            free: self.rng.u64(..enough),
            mark: enough - 1,
            enough,
        });
        self.submit(&Command::Room(shortage)).unwrap();
    }

    /// Questions that change nothing.
    fn ask(&mut self) {
        let leases = self.store.leases();
        self.submit(&Command::LeaseTimes(leases)).unwrap();
        self.submit(&Command::LeaseProgress).unwrap();
        let instance = self.clients.workers[self.rng.usize(..WORKERS)]
            .instance
            .clone();
        let key = self.worker_key(&instance);
        self.submit(&Command::HeldBy(key)).unwrap();
        let namespace = self.namespace.clone();
        let attached = Command::Attached {
            namespace: namespace.clone(),
        };
        self.submit(&attached).unwrap();
        self.submit(&Command::ListWorkers { namespace }).unwrap();
        let explain = Explain {
            namespace: self.namespace.clone(),
            session: self.some_session(),
        };
        // There may be no such session; then the model says so too.
        let _answer = self.submit(&Command::Explain(explain));
    }
}
