//! The events of a decision, as facts.

use sessiond_core::change::Change;
use sessiond_core::decide::Decision;
use sessiond_core::event::{
    About, Actor, ActorKind, Cause, DRAIN_TIMED_OUT, EventKind, EventRow, WARNING,
};
use sessiond_core::ids::{ResourceName, SessionId, SubscriptionName};
use sessiond_core::resource::{LingeringCause, ReleaseOutcome, ResourceToken};
use sessiond_core::rows::Row;
use sessiond_core::session::{EndReason, Lifecycle, Totals};

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    Opened(u64),
    Queued(u64),
    Admitted(u64),
    Updated(u64),
    Draining(u64, EndReason),
    Ended(Box<EndFact>),
    /// By whom, how many messages went along, and which subscriptions had not heard all.
    Purged(u64, Actor, u64, Vec<SubscriptionName>),
    /// A subscription fell too far behind.
    Stale {
        name: SubscriptionName,
        acked: u64,
        /// How many events, for how long, how many bytes.
        events: u64,
        age: u64,
        bytes: u64,
    },
    /// The server goes: why, and whether sessions end.
    ServerDraining(&'static str, bool, u64),
    /// It was to, and stays; who had it.
    ServerStays(Actor),
    /// All that waited for the next session of a key.
    HeldGivenUp(u64, u64),
    /// So many letters are pending again, or messages deleted, because somebody asked.
    Requeued(u64, u64, Option<Cause>),
    Discarded(u64, u64),
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
    /// All that an ended session had outside is gone.
    Released(u64),
    ResourceReleased {
        token: ResourceToken,
        name: Option<ResourceName>,
        outcome: ReleaseOutcome,
        actor: Actor,
    },
    ResourceLingering {
        token: ResourceToken,
        name: Option<ResourceName>,
        cause: LingeringCause,
        detail: String,
    },
    /// Which limit, and when it ends the session from now.
    Warning(u64, &'static str, u64),
    DeadLettered {
        session: u64,
        queue: u64,
        seq: u64,
        reason: &'static str,
        cause: Option<Cause>,
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
    /// The session that it is about; 0 if it is about none.
    pub(crate) fn session(&self) -> u64 {
        match self {
            Self::Opened(no)
            | Self::Queued(no)
            | Self::Admitted(no)
            | Self::Updated(no)
            | Self::Draining(no, _)
            | Self::Purged(no, ..)
            | Self::HeldGivenUp(no, _)
            | Self::Requeued(no, _, _)
            | Self::Discarded(no, _)
            | Self::Attached(no, _)
            | Self::Detached(no, _)
            | Self::Lost(no, _)
            | Self::CircuitOpened(no, ..)
            | Self::CircuitClosed(no, ..)
            | Self::Taken(no, ..)
            | Self::Stuck(no, _)
            | Self::Limited(no, _)
            | Self::Warning(no, ..)
            | Self::Released(no)
            | Self::DeadLettered { session: no, .. } => *no,
            Self::Ended(end) => end.session,
            Self::ResourceReleased { token, .. } | Self::ResourceLingering { token, .. } => {
                token.session.0
            }
            Self::Stale { .. } | Self::ServerDraining(..) | Self::ServerStays(_) => 0,
        }
    }

    /// Whether it may be told of a session that has ended.
    pub(crate) fn may_follow_end(&self) -> bool {
        matches!(
            self,
            Self::Purged(..)
                | Self::HeldGivenUp(..)
                | Self::Discarded(..)
                | Self::Released(_)
                | Self::ResourceReleased { .. }
                | Self::ResourceLingering { .. }
        )
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
    let Some(view) = event.session() else {
        return match &event.about {
            About::Server => server_drains(event),
            About::Subscription(_) | About::Session(_) => stale(event),
        };
    };
    let (no, lifecycle) = (view.session.no.0, &view.session.lifecycle);
    let attribute = |name: &str| event.attributes.get(name).cloned().unwrap_or_default();
    match event.kind {
        EventKind::SessionOpened => Fact::Opened(no),
        EventKind::SessionQueued => Fact::Queued(no),
        EventKind::SessionAdmitted => Fact::Admitted(no),
        EventKind::SessionUpdated => Fact::Updated(no),
        EventKind::SessionDraining => match lifecycle {
            Lifecycle::Draining(intent) => Fact::Draining(no, intent.reason),
            other @ (Lifecycle::Queued(_) | Lifecycle::Active | Lifecycle::Ended(_)) => {
                panic!("SESSION_DRAINING shows {other:?}")
            }
        },
        EventKind::SessionEnd => match lifecycle {
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
        EventKind::CircuitOpened | EventKind::CircuitClosed => circuit(no, event),
        EventKind::SessionReleased | EventKind::ResourceReleased | EventKind::ResourceLingering => {
            outside(no, event)
        }
        EventKind::SessionPurged => purged(no, event, &attribute("messages")),
        EventKind::MessagesRequeued
        | EventKind::MessagesDiscarded
        | EventKind::MessageDeadLettered => of_messages(no, event),
        EventKind::SubscriptionStale
        | EventKind::ServerDraining
        | EventKind::ServerDrainCancelled => {
            panic!("it is about no session: {event:?}")
        }
    }
}

/// What somebody did to messages, or what became of one.
fn of_messages(no: u64, event: &EventRow) -> Fact {
    let attribute = |name: &str| event.attributes.get(name).cloned().unwrap_or_default();
    let messages = || attribute("messages").parse().unwrap();
    if event.kind == EventKind::MessageDeadLettered {
        let reason = attribute("reason");
        if event.message.is_some() {
            return dead_lettered(no, event, &reason);
        }
        assert_eq!(reason, "session_ended");
        return Fact::HeldGivenUp(no, messages());
    }
    assert_eq!(event.actor.kind, ActorKind::Api);
    match event.kind == EventKind::MessagesRequeued {
        true => Fact::Requeued(no, messages(), event.actor.cause),
        false => Fact::Discarded(no, messages()),
    }
}

/// The server goes.
fn server_drains(event: &EventRow) -> Fact {
    if event.kind == EventKind::ServerDrainCancelled {
        assert!(event.attributes.is_empty());
        return Fact::ServerStays(event.actor.clone());
    }
    assert_eq!(event.kind, EventKind::ServerDraining);
    assert_eq!(event.actor, Actor::unnamed(ActorKind::Drain));
    let reason = match event.attributes["reason"].as_str() {
        "shutdown" => "shutdown",
        "restart" => "restart",
        other => panic!("a server goes for {other:?}"),
    };
    let ends = match event.attributes["sessions"].as_str() {
        "end" => true,
        "keep" => false,
        other => panic!("sessions {other:?}"),
    };
    let notice = event.attributes.get("notice_ms");
    let notice = notice.map_or(0, |ms| ms.parse().expect("a number"));
    Fact::ServerDraining(reason, ends, notice)
}

/// A subscription fell too far behind.
fn stale(event: &EventRow) -> Fact {
    let About::Subscription((_, name)) = &event.about else {
        panic!("it is about a subscription: {event:?}");
    };
    assert_eq!(event.kind, EventKind::SubscriptionStale);
    assert_eq!(event.actor, Actor::reaper(), "who saw it");
    assert_eq!(event.attributes["subscription"], name.as_str());
    let number = |name: &str| event.attributes[name].parse().expect("a number");
    Fact::Stale {
        name: name.clone(),
        acked: number("acked_revision"),
        events: number("lag_events"),
        age: number("lag_ms"),
        bytes: number("lag_bytes"),
    }
}

/// What became of a circuit.
fn circuit(no: u64, event: &EventRow) -> Fact {
    let attribute = |name: &str| event.attributes.get(name).cloned().unwrap_or_default();
    if event.kind == EventKind::CircuitOpened {
        let failures = attribute("failures").parse().expect("a count of failures");
        return Fact::CircuitOpened(no, attribute("kind"), failures);
    }
    let cause = match attribute("cause").as_str() {
        "ack" => "ack",
        "reset" => "reset",
        other => panic!("a circuit is closed by {other:?}"),
    };
    assert_eq!(event.message.is_some(), cause == "ack", "what closed it");
    Fact::CircuitClosed(no, attribute("kind"), cause)
}

/// What became of something outside.
fn outside(no: u64, event: &EventRow) -> Fact {
    let attribute = |name: &str| event.attributes.get(name).cloned().unwrap_or_default();
    let name = ResourceName::parse(attribute("name")).ok();
    if event.kind == EventKind::ResourceReleased {
        return Fact::ResourceReleased {
            token: resource(event),
            name,
            outcome: outcome(&attribute("outcome")),
            actor: event.actor.clone(),
        };
    }
    assert_eq!(event.actor, Actor::agent(), "who saw it");
    if event.kind == EventKind::SessionReleased {
        return Fact::Released(no);
    }
    Fact::ResourceLingering {
        token: resource(event),
        name,
        cause: cause(&attribute("cause")),
        detail: attribute("detail"),
    }
}

/// The resource that an event is about.
fn resource(event: &EventRow) -> ResourceToken {
    let token = ResourceToken::parse(&event.attributes["resource_id"]);
    let view = event.session().expect("it is about a session");
    assert_eq!(token.session, view.session.no, "whose it is");
    token
}

fn outcome(word: &str) -> ReleaseOutcome {
    match word {
        "killed" => ReleaseOutcome::Killed,
        "already_gone" => ReleaseOutcome::AlreadyGone,
        "mismatch" => ReleaseOutcome::Mismatch,
        "forced" => ReleaseOutcome::Forced,
        other => panic!("a resource is {other:?}"),
    }
}

fn cause(word: &str) -> LingeringCause {
    match word {
        "denied" => LingeringCause::Denied,
        "timeout" => LingeringCause::TimedOut,
        "node_away" => LingeringCause::NodeAway,
        other => panic!("a resource is left for {other:?}"),
    }
}

fn purged(session: u64, event: &EventRow, messages: &str) -> Fact {
    let unheard = event.attributes.get("unacknowledged");
    let unheard = unheard.map_or_else(Vec::new, |names| {
        let names = names.split(',').map(SubscriptionName::parse);
        names.map(|name| name.expect("a name")).collect()
    });
    Fact::Purged(
        session,
        event.actor.clone(),
        messages.parse().unwrap(),
        unheard,
    )
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
        cause: event.actor.cause,
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
