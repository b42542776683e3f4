//! What a command was answered.

use sessiond_core::drain::DrainReply;
use sessiond_core::explanation::{
    Deadline, DeadlineKind, Effect, Explanation, HoldKind, Stall, StallReason,
};
use sessiond_core::ids::{Epoch, PoolName, QueueId, SessionId};
use sessiond_core::lease::LeaseView;
use sessiond_core::reply::{
    Delivery, EnqueueResult, EnqueueStatus, LeaseProgress, Reply, SettleCode, WorkerView,
};
use sessiond_core::requests::RequestToken;
use sessiond_core::resource as core;
use sessiond_core::rows::MessageTally;
use sessiond_core::session::{EndReason, SessionView};
use sessiond_core::subscription::SubscriptionReply;
use sessiond_core::time::{Span, WallTime};

use super::Handed;
use crate::harness::state::Resource;

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
    Purged(u64),
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
        /// Whether they wait for what a predecessor has outside.
        behind: bool,
        /// How much outside holds it.
        outside: u64,
    },
    Resource {
        session: u64,
        resource: Box<Resource>,
        duplicate: bool,
    },
    /// By which token.
    NodeTaken(u64),
    /// What it acknowledged, under which token, whether it holds the log; then whether it is new, and was asked before.
    Subscription(Option<(u64, u64, bool)>, bool, bool),
    /// Under which token, behind which event.
    Consuming(u64, u64),
    Acked(u64),
    /// Up to where events are deleted.
    Compacted(u64),
    Drain(DrainReply),
    /// Who is here and what they hold, or when leases lapse.
    Listing(Vec<(String, Vec<u64>)>),
}

impl Answer {
    pub(crate) fn of(reply: &Reply) -> Self {
        match reply {
            Reply::Done | Reply::Restored(_) => Self::Done,
            Reply::NodeTaken { epoch } => Self::NodeTaken(epoch.0),
            Reply::Drain(reply) => Self::Drain(reply.clone()),
            Reply::Compacted(through) => Self::Compacted(through.0),
            Reply::Subscription(reply) => subscribed(reply),
            Reply::Opened {
                session,
                created,
                duplicate,
            } => opened(session, *created, *duplicate),
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
            Reply::Purged { messages, .. } => Self::Purged(*messages),
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
            } => claimed(session, lease.as_ref(), deliveries),
            Reply::Settled(results) => Self::Settled(results.iter().map(|r| r.code).collect()),
            Reply::Counted { tally, duplicate } => counted(*tally, *duplicate),
            Reply::LeaseProgress(progress) => progressed(progress),
            Reply::LeaseTimes(times) => Self::Listing(times.iter().map(timed).collect()),
            Reply::Resource {
                session,
                resource,
                duplicate,
            } => declared(session, resource, *duplicate),
            Reply::Held(sessions) => Self::Held(sessions.iter().map(|no| no.0).collect()),
            Reply::Reaped { session, passed } => reaped(session, *passed),
            Reply::Explained(explanation) => explained(explanation),
            Reply::Attached(pools) => Self::Listing(pools.iter().map(attached).collect()),
            Reply::Workers(workers) => Self::Listing(workers.iter().map(listed).collect()),
        }
    }
}

fn subscribed(reply: &SubscriptionReply) -> Answer {
    match reply {
        SubscriptionReply::Changed {
            subscription,
            created,
            duplicate,
        } => {
            let row = subscription.as_ref();
            let shown = row.map(|row| (row.acked.0, row.epoch.0, row.is_active()));
            Answer::Subscription(shown, *created, *duplicate)
        }
        SubscriptionReply::Consuming(row) => Answer::Consuming(row.epoch.0, row.acked.0),
        SubscriptionReply::Acked(revision) => Answer::Acked(revision.0),
    }
}

fn opened(session: &SessionView, created: bool, duplicate: bool) -> Answer {
    Answer::Opened {
        session: session.session.no.0,
        created,
        duplicate,
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

fn declared(session: &SessionView, resource: &core::Resource, duplicate: bool) -> Answer {
    Answer::Resource {
        session: session.session.no.0,
        resource: Box::new(Resource::of(resource)),
        duplicate,
    }
}

fn claimed(session: &SessionId, lease: Option<&LeaseView>, deliveries: &[Delivery]) -> Answer {
    Answer::Claimed {
        session: session.clone(),
        lease: lease.map(|lease| lease.epoch.0),
        deliveries: deliveries.iter().map(Handed::of).collect(),
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
fn reaped(session: &SessionView, passed: Option<(EndReason, WallTime)>) -> Answer {
    Answer::Reaped {
        session: session.session.no.0,
        reason: passed.map(|(reason, _)| reason),
    }
}

/// What workers hold, and the session that stands still for longest.
fn progressed(progress: &LeaseProgress) -> Answer {
    let counted = vec![progress.held, progress.working, progress.stalled];
    let slowest = progress.slowest;
    let slowest = slowest.map(|slowest| vec![slowest.session.0, slowest.moved_at.0]);
    let named = |name: &str, numbers| (name.to_owned(), numbers);
    Answer::Listing(vec![
        named("counted", counted),
        named("slowest", slowest.unwrap_or_default()),
    ])
}

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
    let mut stalls = explanation.stalls.iter();
    let behind = |stall: &Stall| stall.reason == StallReason::PredecessorResources;
    let holds = explanation.holds.iter();
    let outside = holds.filter(|hold| hold.kind == HoldKind::Resources);
    Answer::Explained {
        session: explanation.session.session.no.0,
        due: explanation.deadlines.iter().any(due),
        stalled: explanation.stalls.iter().map(|stall| stall.messages).sum(),
        behind: stalls.any(behind),
        outside: outside.map(|hold| hold.count).sum(),
    }
}
