//! The log as a reader folds it: the life of every session, and what may follow what.
//!
//! Invariant: events are taken in order and once; one that does not fit the life of its session stops the
//! test. What this deliberately does not do: compare with what clients were told; `look.rs` does.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sessiond_client::pb;

/// The life of one session by its events.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) key: String,
    pub(crate) queue: u64,
    pub(crate) opened: u64,
    pub(crate) draining: Option<u64>,
    pub(crate) ended: Option<u64>,
    /// It left messages that may wait for the next session of its key.
    pub(crate) leaves: bool,
    /// The lease that holds it.
    lease: Option<u64>,
}

/// The fold of the log.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    pub(crate) log_id: String,
    pub(crate) revision: u64,
    pub(crate) sessions: BTreeMap<String, Life>,
    /// The session that had a queue last.
    pub(crate) owners: HashMap<u64, String>,
    /// What was given up, by queue and number.
    pub(crate) dead: BTreeSet<(u64, u64)>,
    /// The live session of a key.
    live: HashMap<String, String>,
    newest_epoch: u64,
    /// A digest of every event so far.
    pub(crate) digests: Vec<u64>,
}

// === impl Fold ===

impl Fold {
    /// Takes the next event.
    pub(crate) fn take(&mut self, event: &pb::SessionEvent) {
        assert_eq!(
            event.revision,
            self.revision + 1,
            "a gap or a repeat in the log"
        );
        assert_eq!(
            event.event_id,
            format!("{}-{}", self.log_id, event.revision)
        );
        self.revision = event.revision;
        self.digests.push(digest(event));
        let Some(session) = event.session.as_ref() else {
            assert_eq!(event.r#type(), pb::EventType::ServerDraining, "{event:?}");
            return;
        };
        if event.r#type() == pb::EventType::SessionOpened {
            self.open(event, session);
            return;
        }
        let life = self
            .sessions
            .get_mut(&session.session_id)
            .unwrap_or_else(|| panic!("nobody opened the session of {event:?}"));
        life.take(event);
        self.happened(event, session);
    }

    fn open(&mut self, event: &pb::SessionEvent, session: &pb::SessionSnapshot) {
        let life = Life {
            key: session.key.clone(),
            queue: session.queue_id,
            opened: event.revision,
            draining: None,
            ended: None,
            leaves: false,
            lease: None,
        };
        let id = &session.session_id;
        assert!(
            self.sessions.insert(id.clone(), life).is_none(),
            "{id} was opened twice"
        );
        self.owners.insert(session.queue_id, id.clone());
        if !session.key.is_empty() {
            let other = self.live.insert(session.key.clone(), id.clone());
            assert_eq!(other, None, "two live sessions of {}", session.key);
        }
    }

    /// What an event means beyond its session.
    fn happened(&mut self, event: &pb::SessionEvent, session: &pb::SessionSnapshot) {
        use pb::EventType as Type;
        match event.r#type() {
            Type::WorkerAttached => {
                let epoch = session.lease.as_ref().map_or(0, |lease| lease.epoch);
                assert!(
                    epoch > self.newest_epoch,
                    "epoch {epoch} was granted after {}",
                    self.newest_epoch
                );
                self.newest_epoch = epoch;
            }
            Type::SessionDraining | Type::SessionEnd => {
                if self.live.get(&session.key) == Some(&session.session_id) {
                    self.live.remove(&session.key);
                }
            }
            Type::MessageDeadLettered => {
                let of = event.message_ref.as_ref().expect("it names the message");
                let new = self.dead.insert((of.queue_id, of.seq));
                assert!(new, "{of:?} was given up twice");
            }
            Type::Unspecified
            | Type::SessionOpened
            | Type::SessionQueued
            | Type::SessionAdmitted
            | Type::SessionUpdated
            | Type::SessionReleased
            | Type::SessionPurged
            | Type::WorkerDetached
            | Type::WorkerLost
            | Type::WorkerStuck
            | Type::RestartLimited
            | Type::CircuitOpened
            | Type::CircuitClosed
            | Type::ResourceReleased
            | Type::ResourceLingering
            | Type::LimitWarning
            | Type::SubscriptionStale
            | Type::ServerDraining
            | Type::ServerDrainCancelled
            | Type::MessagesRequeued
            | Type::MessagesDiscarded => {}
        }
    }
}

// === impl Life ===

impl Life {
    fn take(&mut self, event: &pb::SessionEvent) {
        use pb::EventType as Type;
        let session = event.session.as_ref().expect("the caller saw it");
        assert_eq!(
            (session.key.as_str(), session.queue_id),
            (self.key.as_str(), self.queue)
        );
        let kind = event.r#type();
        // Nothing follows an end but what becomes of the messages.
        let may_follow = kind == Type::MessageDeadLettered;
        assert!(
            self.ended.is_none() || may_follow,
            "after its end: {event:?}"
        );
        match kind {
            Type::SessionDraining => {
                assert_eq!(self.draining.replace(event.revision), None, "{event:?}");
            }
            Type::SessionEnd => {
                self.ended = Some(event.revision);
                self.lease = None;
                let end = event.end.as_ref().expect("an end says how");
                let is_over = end.reason_class() == pb::EndReasonClass::Over;
                self.leaves = !is_over && end.pending_kept > 0;
                assert_eq!(session.state(), pb::SessionState::Ended, "{event:?}");
            }
            Type::WorkerAttached => {
                let epoch = session.lease.as_ref().map(|lease| lease.epoch);
                assert_eq!(
                    std::mem::replace(&mut self.lease, epoch),
                    None,
                    "two leases: {event:?}"
                );
            }
            Type::WorkerDetached | Type::WorkerLost | Type::WorkerStuck => {
                assert!(self.lease.take().is_some(), "no lease was lost: {event:?}");
            }
            Type::MessageDeadLettered | Type::RestartLimited | Type::LimitWarning => {}
            Type::Unspecified
            | Type::SessionOpened
            | Type::SessionQueued
            | Type::SessionAdmitted
            | Type::SessionUpdated
            | Type::SessionReleased
            | Type::SessionPurged
            | Type::CircuitOpened
            | Type::CircuitClosed
            | Type::ResourceReleased
            | Type::ResourceLingering
            | Type::SubscriptionStale
            | Type::ServerDraining
            | Type::ServerDrainCancelled
            | Type::MessagesRequeued
            | Type::MessagesDiscarded => panic!("nobody asked for this: {event:?}"),
        }
    }
}

/// The same for the same event, and for hardly any other.
pub(crate) fn digest(event: &pb::SessionEvent) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    format!("{event:?}").hash(&mut hasher);
    hasher.finish()
}
