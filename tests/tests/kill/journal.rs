//! What the clients of the storm asked for, what they were told, and what follows at once from that.
//!
//! Invariant: whatever anybody is told goes through here, and a contradiction with what was told before
//! stops the test where it happens. What this deliberately does not do: look at the server; `look.rs`
//! does, when the storm holds its breath.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use sessiond_client::{Error, Reason, pb};
use sessiond_tests::progress::Progress;

use super::draw;

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Told<T> {
    /// The server did it.
    Done(T),
    /// The server did nothing, and says why.
    Refused(Reason),
    /// Nobody knows.
    Unknown,
}

/// The sorts of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    Open,
    Enqueue,
    End,
    Claim,
    Settle,
}

/// Where a message is: its queue and its number there.
pub(crate) type Place = (u64, u64);

/// One hand-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HandOut {
    pub(crate) seq: u64,
    pub(crate) attempt: u32,
    pub(crate) epoch: u64,
}

/// What became of a message, as far as its workers were told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settling {
    /// Acks that counted: at most one.
    pub(crate) acked: u32,
    /// The hand-out which nothing may follow, once an ack counted.
    pub(crate) last: Option<u64>,
    /// Acks that are on their way.
    pub(crate) acking: u32,
    /// An ack was sent and not answered.
    pub(crate) ack_unknown: bool,
    /// A nack for good was sent.
    pub(crate) given_up: bool,
    /// The hand-outs after which it was told to wait.
    pub(crate) waits: BTreeMap<u64, Wait>,
}

/// A message waits to be handed out again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    /// Whether the hand-out before counted.
    pub(crate) counted: bool,
    /// The newest hand-out of its queue that anybody had seen when this was told.
    pub(crate) after: u64,
}

/// Why a settlement cannot count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Barred {
    /// The message was handed out again, or given back by this very delivery: nothing counts.
    pub(crate) delivery: bool,
    /// The session is somebody else's: only an ack counts.
    pub(crate) lease: bool,
}

/// Something that only a session which has not ended can be told, with the newest revision that was known
/// before it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Sign {
    pub(crate) session: String,
    pub(crate) what: Life,
    pub(crate) known: u64,
    pub(crate) revision: u64,
}

/// What a session was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It was opened by this very call.
    Opened,
    /// It has ended.
    Ended,
    /// It took or handed out messages.
    Worked,
}

#[derive(Debug, Default)]
pub(crate) struct Book {
    /// The newest revision anybody was told.
    pub(crate) newest: u64,
    /// Messages that were sent, by name, and the batch they belong to.
    pub(crate) sent: HashMap<String, String>,
    /// Batches that were sent and not yet answered for good, and whose members are all or none.
    pub(crate) open_batches: BTreeMap<String, Vec<String>>,
    /// Where each message is, and which message is where.
    pub(crate) places: HashMap<String, Place>,
    pub(crate) names: BTreeMap<Place, String>,
    /// Messages that were acknowledged as durable.
    pub(crate) promised: BTreeSet<Place>,
    pub(crate) handed_out: BTreeMap<u64, BTreeMap<u64, HandOut>>,
    /// The newest hand-out of each message that anybody saw.
    pub(crate) latest: HashMap<Place, u64>,
    pub(crate) settling: HashMap<Place, Settling>,
    /// Sessions whose messages somebody asked to discard.
    pub(crate) discarding: HashSet<String>,
    /// Who was granted which lease.
    pub(crate) leases: HashMap<u64, (String, String)>,
    pub(crate) newest_epoch: HashMap<u64, u64>,
    /// Queues of lasting keys.
    pub(crate) lasting: HashMap<String, u64>,
    /// Opens of a key that were told, and those that may have happened besides.
    pub(crate) opened: HashMap<String, u32>,
    pub(crate) perhaps_opened: HashMap<String, u32>,
    pub(crate) signs: Vec<Sign>,
    /// Calls of each sort whose answer nobody saw.
    pub(crate) unknown: BTreeMap<Call, u32>,
}

/// The book, shared by all clients.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    book: Mutex<Book>,
    /// Calls that were answered.
    pub(crate) answered: Progress,
}

// === impl Told ===

impl<T> Told<T> {
    pub(crate) fn of(answer: Result<T, Error>) -> Self {
        let error = match answer {
            Ok(answer) => return Self::Done(answer),
            Err(error) => error,
        };
        match (error.reason(), &error) {
            (Some(Reason::StoreUnavailable), _)
            | (None, Error::Unavailable(_) | Error::Cancelled(_) | Error::Internal(_)) => {
                Self::Unknown
            }
            (
                Some(
                    reason @ (Reason::SessionNotFound
                    | Reason::SessionEnded
                    | Reason::SessionDraining
                    | Reason::SessionKeyInUse
                    | Reason::LeaseHeld
                    | Reason::Overloaded),
                ),
                _,
            ) => Self::Refused(reason),
            _ => panic!("nobody asked for this: {error:?}"),
        }
    }
}

// === impl Journal ===

impl Journal {
    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book
            .lock()
            .expect("a contradiction stopped another client")
    }

    /// What is known before a call: an answer to it cannot be older.
    pub(crate) fn known(&self) -> u64 {
        self.book().newest
    }

    /// An answer came.
    pub(crate) fn told(&self, known: u64, revision: u64) {
        self.book().tell(known, revision);
        self.answered.step();
    }

    pub(crate) fn refused(&self) {
        self.answered.step();
    }

    /// An answer did not come.
    pub(crate) fn missed(&self, call: Call) {
        *self.book().unknown.entry(call).or_default() += 1;
    }
}

// === impl Book ===

impl Book {
    fn tell(&mut self, known: u64, revision: u64) {
        assert!(
            revision >= known,
            "an answer at revision {revision}, although {known} was known before it was asked for"
        );
        self.newest = self.newest.max(revision);
    }

    /// Messages are about to be sent.
    pub(crate) fn send(&mut self, batch: &str, messages: &[pb::Message]) {
        let names: Vec<String> = messages
            .iter()
            .map(|m| draw::name_of(m).to_owned())
            .collect();
        for name in &names {
            self.sent.insert(name.clone(), batch.to_owned());
        }
        self.open_batches.insert(batch.to_owned(), names);
    }

    /// A message was met at a place, whoever met it: it is one that was sent, and always the same.
    pub(crate) fn meet(&mut self, place: Place, name: &str) {
        assert!(
            self.sent.contains_key(name),
            "nobody sent {name:?} at {place:?}"
        );
        let known = self.names.entry(place).or_insert_with(|| name.to_owned());
        assert_eq!(known, name, "two messages at {place:?}");
        let known = *self.places.entry(name.to_owned()).or_insert(place);
        assert_eq!(known, place, "message {name:?} is at two places");
    }

    /// An enqueue was acknowledged.
    pub(crate) fn promise(
        &mut self,
        batch: &str,
        names: &[String],
        answer: &pb::EnqueueMessagesResponse,
    ) {
        use pb::EnqueueStatus as Status;
        assert_eq!(answer.results.len(), names.len(), "results of {batch}");
        let all = |status| {
            answer
                .results
                .iter()
                .all(|result| result.status() == status)
        };
        assert!(
            all(Status::Enqueued) || all(Status::Duplicate),
            "half of {batch} was enqueued: {answer:?}"
        );
        let seqs: Vec<u64> = answer.results.iter().map(|result| result.seq).collect();
        let neighbours: Vec<u64> = (seqs[0]..).take(seqs.len()).collect();
        assert_eq!(seqs, neighbours, "the numbers of {batch}");
        for (seq, name) in seqs.into_iter().zip(names) {
            self.meet((answer.queue_id, seq), name);
            self.promised.insert((answer.queue_id, seq));
        }
        self.open_batches.remove(batch);
    }

    /// A delivery came to `instance`.
    pub(crate) fn hand_out(&mut self, instance: &str, delivery: &pb::Delivery) {
        let message = delivery
            .message
            .as_ref()
            .expect("a delivery has its message");
        let name = draw::name_of(message).to_owned();
        let place = (message.queue_id, message.seq);
        self.meet(place, &name);
        assert_eq!(message.payload, draw::payload(&name), "the bytes of {name}");
        let hand_out = HandOut {
            seq: message.seq,
            attempt: message.attempt,
            epoch: delivery.epoch,
        };
        let queue = self.handed_out.entry(message.queue_id).or_default();
        let known = *queue.entry(delivery.delivery_id).or_insert(hand_out);
        assert_eq!(
            known, hand_out,
            "delivery {} of {name}",
            delivery.delivery_id
        );
        let latest = self.latest.entry(place).or_default();
        *latest = delivery.delivery_id.max(*latest);
        let last = self.settling.get(&place).and_then(|settling| settling.last);
        let may = last.is_none_or(|last| delivery.delivery_id <= last);
        assert!(may, "{name} was handed out after its ack: {delivery:?}");
        let (_, holder) = &self.leases[&delivery.epoch];
        assert_eq!(holder, instance, "{name} came to another instance's lease");
    }

    /// Settlements are about to be sent; answers what is known to be void before they are.
    pub(crate) fn settle(&mut self, settlements: &[pb::Settlement]) -> Vec<Barred> {
        settlements
            .iter()
            .map(|said| {
                let place = (said.queue_id, said.seq);
                let settling = self.settling.entry(place).or_default();
                settling.acking += u32::from(is_ack(said));
                Barred {
                    delivery: self.latest[&place] > said.delivery_id
                        || settling.waits.contains_key(&said.delivery_id),
                    lease: self.newest_epoch[&said.queue_id] > said.epoch,
                }
            })
            .collect()
    }

    /// An ack counted, by this hand-out or by one before it.
    pub(crate) fn ack(&mut self, place: Place, last: u64) {
        let settling = self.settling.entry(place).or_default();
        settling.acked += 1;
        settling.last = Some(last);
        assert_eq!(settling.acked, 1, "{place:?} was acked twice");
    }

    /// A message was told to wait after a hand-out.
    pub(crate) fn wait(&mut self, place: Place, delivery: u64, counted: bool) {
        let newest = self.handed_out[&place.0].last_key_value();
        let after = *newest.expect("this one was handed out").0;
        let settling = self.settling.entry(place).or_default();
        settling.waits.insert(delivery, Wait { counted, after });
    }

    /// A lease was granted or renewed.
    pub(crate) fn hold(&mut self, instance: &str, session: &str, queue: u64, epoch: u64) {
        let holder = (session.to_owned(), instance.to_owned());
        let known = self.leases.entry(epoch).or_insert_with(|| holder.clone());
        assert_eq!(*known, holder, "epoch {epoch} was granted twice");
        let newest = self.newest_epoch.entry(queue).or_default();
        *newest = epoch.max(*newest);
    }

    /// A key that lasts was met with a queue: it is always the same.
    pub(crate) fn lasts(&mut self, key: &str, queue: u64) {
        if key.starts_with(draw::LASTING) {
            let known = *self.lasting.entry(key.to_owned()).or_insert(queue);
            assert_eq!(known, queue, "the queue of {key}");
        }
    }
}

/// Whether the work is said to be done.
pub(crate) fn is_ack(said: &pb::Settlement) -> bool {
    matches!(said.outcome, Some(pb::settlement::Outcome::Ack(_)))
}
