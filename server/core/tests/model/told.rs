//! What a decision says, cut down to what the rules promise: facts, frames, replies, refusals.
//!
//! The model predicts in these words and the decision is translated into them. Times shown to people and texts that
//! only travel through are left out.

use std::collections::BTreeMap;

use sessiond_core::change::Change;
use sessiond_core::decide::Decision;
use sessiond_core::event::{Actor, DRAIN_TIMED_OUT, EventKind, EventRow, WARNING};
use sessiond_core::explanation::{Deadline, DeadlineKind, Effect, Explanation};
use sessiond_core::ids::{Epoch, InstanceId, PoolName, QueueId, SessionId, StreamId};
use sessiond_core::lease::LeaseView;
use sessiond_core::rejection::{Crowd, Liveness, Rejection};
use sessiond_core::reply::{
    CancelReason, Delivery, EnqueueResult, EnqueueStatus, Frame, GoAwayReason, LeaseLostReason,
    Reply, SettleCode, WorkerView,
};
use sessiond_core::requests::RequestToken;
use sessiond_core::rows::{MessageTally, Row};
use sessiond_core::session::{EndReason, Lifecycle, SessionView, Totals};
use sessiond_core::time::{Span, WallTime};

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    Opened(u64),
    Queued(u64),
    Admitted(u64),
    Updated(u64),
    Draining(u64, EndReason),
    Ended(Box<EndFact>),
    Attached(u64, String),
    Detached(u64, String),
    Lost(u64, String),
    /// After so many failures.
    CircuitOpened(u64, String, u32),
    CircuitClosed(u64, String, &'static str),
    /// A worker is let go although it did not ask: who, and why.
    Taken(u64, String, String),
    Stuck(u64, String),
    /// How many failures count.
    Limited(u64, u32),
    /// Which limit, and when it ends the session from now.
    Warning(u64, &'static str, u64),
    DeadLettered {
        session: u64,
        queue: u64,
        seq: u64,
        reason: &'static str,
    },
}

/// The one event that ends a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndFact {
    pub(crate) session: u64,
    pub(crate) reason: EndReason,
    pub(crate) actor: Actor,
    pub(crate) kept: u64,
    pub(crate) discarded: u64,
    pub(crate) successor: Option<SessionId>,
    pub(crate) totals: Totals,
    /// Requests, deliveries and pending messages that the end waited for in vain.
    pub(crate) late: Option<Vec<u64>>,
}

impl Fact {
    pub(crate) fn session(&self) -> u64 {
        match self {
            Self::Opened(no)
            | Self::Queued(no)
            | Self::Admitted(no)
            | Self::Updated(no)
            | Self::Draining(no, _)
            | Self::Attached(no, _)
            | Self::Detached(no, _)
            | Self::Lost(no, _)
            | Self::CircuitOpened(no, ..)
            | Self::CircuitClosed(no, ..)
            | Self::Taken(no, ..)
            | Self::Stuck(no, _)
            | Self::Limited(no, _)
            | Self::Warning(no, ..)
            | Self::DeadLettered { session: no, .. } => *no,
            Self::Ended(end) => end.session,
        }
    }
}

/// One hand-out: queue, seq, delivery, token, attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handed {
    pub(crate) queue: u64,
    pub(crate) seq: u64,
    pub(crate) delivery: u64,
    pub(crate) epoch: u64,
    pub(crate) attempt: u32,
}

impl Handed {
    pub(crate) fn of(delivery: &Delivery) -> Self {
        Self {
            queue: delivery.message.queue.0,
            seq: delivery.message.seq.0,
            delivery: delivery.delivery_id.0,
            epoch: delivery.epoch.0,
            attempt: delivery.message.attempt,
        }
    }
}

/// A frame on a worker's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Welcome,
    Attached {
        session: u64,
        epoch: u64,
        voided: Vec<String>,
    },
    AttachFailed(Refusal),
    Deliveries(Vec<Handed>),
    Settled(Vec<SettleCode>),
    Cancel {
        session: SessionId,
        reason: CancelReason,
        /// None means all of the session.
        deliveries: Vec<u64>,
        deadline: u64,
    },
    Ending(SessionId, EndReason),
    Lost {
        session: SessionId,
        /// Zero when the worker held none.
        epoch: u64,
        reason: LeaseLostReason,
        successor: Option<SessionId>,
    },
    GoAway(GoAwayReason),
}

impl Told {
    pub(crate) fn of(frame: &Frame) -> Self {
        match frame {
            Frame::Welcome { .. } => Self::Welcome,
            Frame::Attached {
                lease,
                session,
                voided_keys,
            } => Self::Attached {
                session: session.session.no.0,
                epoch: lease.epoch.0,
                voided: voided_keys.clone(),
            },
            Frame::AttachFailed { rejection, .. } => Self::AttachFailed(Refusal::of(rejection)),
            Frame::Deliveries(deliveries) => {
                Self::Deliveries(deliveries.iter().map(Handed::of).collect())
            }
            Frame::Settled(results) => Self::Settled(results.iter().map(|r| r.code).collect()),
            Frame::Cancel {
                session,
                reason,
                deliveries,
                deadline,
            } => Self::Cancel {
                session: session.clone(),
                reason: *reason,
                deliveries: deliveries.iter().map(|delivery| delivery.0).collect(),
                deadline: deadline.0,
            },
            Frame::SessionEnding {
                session, reason, ..
            } => Self::Ending(session.clone(), *reason),
            Frame::LeaseLost {
                session,
                epoch,
                reason,
                successor,
            } => Self::Lost {
                session: session.clone(),
                epoch: epoch.0,
                reason: *reason,
                successor: successor.clone(),
            },
            Frame::GoAway { reason } => Self::GoAway(*reason),
        }
    }
}

/// Why not, with the facts a caller decides by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotFound,
    KeyInUse(SessionId, Liveness),
    Queued(SessionId),
    IdInUse(SessionId),
    Ended(SessionId, EndReason, Option<SessionId>),
    Draining(SessionId, EndReason),
    PoolNotFound,
    TooManySessions(Crowd, u64),
    TooManyAttached(u64),
    QueueFull(&'static str, u64),
    /// By which token, and for how long.
    LeaseHeld(u64, u64),
    EtagMismatch,
    RequestIdReused,
    RequestNotFound,
    /// How many failures count, and for how long.
    RestartLimited(u32, u64),
    /// By which token, if any.
    Fenced(Option<u64>),
    TooManyRequests(u64),
    /// The worker said goodbye on this stream.
    WorkerLeft,
    /// None of those that the commands of this test can meet.
    Other(String),
}

impl Refusal {
    pub(crate) fn of(rejection: &Rejection) -> Self {
        match rejection {
            Rejection::SessionNotFound { .. } => Self::NotFound,
            Rejection::SessionKeyInUse { session, state } => {
                Self::KeyInUse(session.clone(), *state)
            }
            Rejection::SessionQueued { session } => Self::Queued(session.clone()),
            Rejection::SessionIdInUse { session } => Self::IdInUse(session.clone()),
            Rejection::SessionEnded {
                session,
                reason,
                successor,
            } => Self::Ended(session.clone(), *reason, successor.clone()),
            Rejection::SessionDraining { session, reason } => {
                Self::Draining(session.clone(), *reason)
            }
            Rejection::PoolNotFound { .. } => Self::PoolNotFound,
            Rejection::TooManySessions { what, limit, .. } => Self::TooManySessions(*what, *limit),
            Rejection::TooManyAttached { limit, .. } => Self::TooManyAttached(*limit),
            Rejection::QueueFull { what, limit, .. } => Self::QueueFull(what, *limit),
            Rejection::LeaseHeld {
                epoch, expires_in, ..
            } => Self::LeaseHeld(epoch.0, expires_in.0),
            Rejection::EtagMismatch { .. } => Self::EtagMismatch,
            Rejection::RequestIdReused { .. } => Self::RequestIdReused,
            Rejection::RequestNotFound { .. } => Self::RequestNotFound,
            Rejection::TooManyRequests { limit, .. } => Self::TooManyRequests(*limit),
            Rejection::RestartLimited {
                failures, retry_in, ..
            } => Self::RestartLimited(*failures, retry_in.0),
            Rejection::LeaseFenced { current, .. } => Self::Fenced(current.map(|epoch| epoch.0)),
            Rejection::WorkerLeft => Self::WorkerLeft,
            Rejection::TooManyLeases { .. } | Rejection::StreamReplaced => {
                Self::Other(format!("{rejection:?}"))
            }
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    Opened {
        session: u64,
        created: bool,
        duplicate: bool,
    },
    Session {
        session: u64,
        already_ended: bool,
        duplicate: bool,
    },
    /// Which session, which lease, and whether it was asked before.
    Revoked(u64, Option<u64>, bool),
    /// Which session, which number, for how long, until when by the wall clock.
    RequestBegun(u64, u64, u64, u64),
    Reset {
        ended: Option<u64>,
        successor: u64,
        duplicate: bool,
    },
    Enqueued {
        session: SessionId,
        queue: u64,
        opened: bool,
        results: Vec<(u64, EnqueueStatus)>,
    },
    Claimed {
        session: SessionId,
        lease: Option<u64>,
        deliveries: Vec<Handed>,
    },
    Settled(Vec<SettleCode>),
    Counted {
        tally: MessageTally,
        duplicate: bool,
    },
    Held(Vec<u64>),
    Reaped {
        session: u64,
        reason: Option<EndReason>,
    },
    Explained {
        session: u64,
        /// Whether its end is due.
        due: bool,
        /// Messages that are said not to move.
        stalled: u64,
    },
    /// Who is here and what they hold, or when leases lapse.
    Listing(Vec<(String, Vec<u64>)>),
}

impl Answer {
    pub(crate) fn of(reply: &Reply) -> Self {
        match reply {
            Reply::Done => Self::Done,
            Reply::Opened {
                session,
                created,
                duplicate,
            } => Self::Opened {
                session: session.session.no.0,
                created: *created,
                duplicate: *duplicate,
            },
            Reply::Session {
                session,
                already_ended,
                duplicate,
            } => Self::Session {
                session: session.session.no.0,
                already_ended: *already_ended,
                duplicate: *duplicate,
            },
            Reply::Revoked {
                session,
                lease,
                duplicate,
            } => revoked(session, lease.as_ref(), *duplicate),
            Reply::Reset {
                ended,
                successor,
                duplicate,
            } => Self::Reset {
                ended: ended.as_ref().map(|ended| ended.session.no.0),
                successor: successor.session.no.0,
                duplicate: *duplicate,
            },
            Reply::RequestBegun {
                session,
                token,
                lease,
                expire_time,
            } => begun(session, *token, *lease, *expire_time),
            Reply::Enqueued {
                session,
                queue,
                opened,
                results,
            } => enqueued(session, *queue, *opened, results),
            Reply::Claimed {
                session,
                lease,
                deliveries,
            } => Self::Claimed {
                session: session.clone(),
                lease: lease.as_ref().map(|lease| lease.epoch.0),
                deliveries: deliveries.iter().map(Handed::of).collect(),
            },
            Reply::Settled(results) => Self::Settled(results.iter().map(|r| r.code).collect()),
            Reply::Counted { tally, duplicate } => counted(*tally, *duplicate),
            Reply::LeaseTimes(times) => Self::Listing(times.iter().map(timed).collect()),
            Reply::Held(sessions) => Self::Held(sessions.iter().map(|no| no.0).collect()),
            Reply::Reaped { session, passed } => Self::Reaped {
                session: session.session.no.0,
                reason: passed.map(|(reason, _)| reason),
            },
            Reply::Explained(explanation) => explained(explanation),
            Reply::Attached(pools) => Self::Listing(pools.iter().map(attached).collect()),
            Reply::Workers(workers) => Self::Listing(workers.iter().map(listed).collect()),
        }
    }
}

fn enqueued(
    session: &SessionId,
    queue: QueueId,
    opened: bool,
    results: &[EnqueueResult],
) -> Answer {
    Answer::Enqueued {
        session: session.clone(),
        queue: queue.0,
        opened,
        results: results.iter().map(|r| (r.seq.0, r.status)).collect(),
    }
}

fn revoked(session: &SessionView, lease: Option<&LeaseView>, duplicate: bool) -> Answer {
    let epoch = lease.map(|lease| lease.epoch.0);
    Answer::Revoked(session.session.no.0, epoch, duplicate)
}

fn begun(session: &SessionView, token: RequestToken, lease: Span, until: WallTime) -> Answer {
    assert_eq!(token.session, session.session.no, "whose request it is");
    Answer::RequestBegun(token.session.0, token.request.0, lease.0, until.0)
}

fn counted(tally: MessageTally, duplicate: bool) -> Answer {
    Answer::Counted { tally, duplicate }
}

/// A pool and how many sessions of it workers hold.
fn attached((pool, count): &(PoolName, u64)) -> (String, Vec<u64>) {
    (pool.to_string(), vec![*count])
}

/// A worker and the leases it holds.
fn listed(worker: &WorkerView) -> (String, Vec<u64>) {
    let epochs = worker.leases.iter().map(|(_, epoch)| epoch.0);
    (worker.key.1.to_string(), epochs.collect())
}

/// A lease and when it lapses.
fn timed((epoch, at): &(Epoch, WallTime)) -> (String, Vec<u64>) {
    (epoch.to_string(), vec![at.0])
}

fn explained(explanation: &Explanation) -> Answer {
    let due = |deadline: &Deadline| {
        // A limit is passed when strictly more time is gone; a grace or a wait is over when it is.
        let over = if matches!(deadline.kind, DeadlineKind::EndGrace | DeadlineKind::Slot) {
            deadline.at <= explanation.now
        } else {
            deadline.at < explanation.now
        };
        let ends = matches!(deadline.effect, Effect::Ends(_));
        ends && over && deadline.spared_by.is_empty()
    };
    Answer::Explained {
        session: explanation.session.session.no.0,
        due: explanation.deadlines.iter().any(due),
        stalled: explanation.stalls.iter().map(|stall| stall.messages).sum(),
    }
}

/// What the model expects of one decision.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    pub(crate) facts: Vec<Fact>,
    pub(crate) frames: BTreeMap<StreamId, Vec<Told>>,
}

impl Expected {
    pub(crate) fn tell(&mut self, stream: Option<StreamId>, told: Told) {
        if let Some(stream) = stream {
            self.frames.entry(stream).or_default().push(told);
        }
    }
}

/// The events a decision writes, in order.
pub(crate) fn events(decision: &Decision) -> Vec<&EventRow> {
    let written = decision.changes.iter().filter_map(|change| match change {
        Change::Row(_, Some(Row::Event(event))) => Some(&**event),
        Change::Row(..) | Change::Index(..) => None,
    });
    written.collect()
}

/// An event in the model's words.
pub(crate) fn fact(event: &EventRow) -> Fact {
    let no = event.session.session.no.0;
    let attribute = |name: &str| event.attributes.get(name).cloned().unwrap_or_default();
    match event.kind {
        EventKind::SessionOpened => Fact::Opened(no),
        EventKind::SessionQueued => Fact::Queued(no),
        EventKind::SessionAdmitted => Fact::Admitted(no),
        EventKind::SessionUpdated => Fact::Updated(no),
        EventKind::SessionDraining => match &event.session.session.lifecycle {
            Lifecycle::Draining(intent) => Fact::Draining(no, intent.reason),
            other @ (Lifecycle::Queued(_) | Lifecycle::Active | Lifecycle::Ended(_)) => {
                panic!("SESSION_DRAINING shows {other:?}")
            }
        },
        EventKind::SessionEnd => match &event.session.session.lifecycle {
            Lifecycle::Ended(end) => Fact::Ended(Box::new(EndFact {
                session: no,
                reason: end.reason,
                actor: event.actor.clone(),
                kept: end.pending_kept,
                discarded: end.pending_discarded,
                successor: end.successor.clone(),
                totals: end.counts.totals,
                late: late(event),
            })),
            other @ (Lifecycle::Queued(_) | Lifecycle::Active | Lifecycle::Draining(_)) => {
                panic!("SESSION_END shows {other:?}")
            }
        },
        EventKind::WorkerAttached => Fact::Attached(no, attribute("instance_id")),
        EventKind::WorkerDetached => match event.attributes.get("reason") {
            Some(reason) => Fact::Taken(no, attribute("instance_id"), reason.clone()),
            None => Fact::Detached(no, attribute("instance_id")),
        },
        EventKind::WorkerStuck => Fact::Stuck(no, attribute("instance_id")),
        EventKind::LimitWarning => {
            let limit = match attribute("limit").as_str() {
                "idle" => "idle",
                "age" => "age",
                other => panic!("a warning is of {other:?}"),
            };
            Fact::Warning(no, limit, attribute("ends_in_ms").parse().unwrap())
        }
        EventKind::RestartLimited => Fact::Limited(no, attribute("failures").parse().unwrap()),
        EventKind::WorkerLost => Fact::Lost(no, attribute("instance_id")),
        EventKind::CircuitOpened => {
            let failures = attribute("failures").parse().expect("a count of failures");
            Fact::CircuitOpened(no, attribute("kind"), failures)
        }
        EventKind::CircuitClosed => {
            let cause = match attribute("cause").as_str() {
                "ack" => "ack",
                "reset" => "reset",
                other => panic!("a circuit is closed by {other:?}"),
            };
            assert_eq!(event.message.is_some(), cause == "ack", "what closed it");
            Fact::CircuitClosed(no, attribute("kind"), cause)
        }
        EventKind::MessageDeadLettered => dead_lettered(no, event, &attribute("reason")),
    }
}

fn dead_lettered(session: u64, event: &EventRow, reason: &str) -> Fact {
    let message = event.message.as_ref().expect("it names its message");
    Fact::DeadLettered {
        session,
        queue: message.queue.0,
        seq: message.seq.0,
        reason: match reason {
            "max_attempts" => "max_attempts",
            "permanent" => "permanent",
            other => panic!("a message is given up for {other:?}"),
        },
    }
}

/// What an end's warning names.
fn late(event: &EventRow) -> Option<Vec<u64>> {
    let warning = event.attributes.get(WARNING)?;
    assert_eq!(warning, DRAIN_TIMED_OUT);
    let names = ["active_requests", "in_flight", "pending"];
    let counts = names.map(|name| event.attributes.get(name).map_or(0, |n| n.parse().unwrap()));
    Some(counts.to_vec())
}

pub(crate) fn text(instance: &InstanceId) -> String {
    instance.as_str().to_owned()
}
