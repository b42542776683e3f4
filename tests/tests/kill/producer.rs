//! A client of the storm that opens, enqueues and ends, and asks again until it knows.
//!
//! Invariant: a call of unknown outcome is repeated as it was, in the next round, before anything else;
//! now and then an answered one is repeated too. Repeats must not be told apart from the first by
//! anything but the word "duplicate". What this deliberately does not do: keep to its own keys; the
//! lasting ones are everybody's.

use std::sync::Arc;

use fastrand::Rng;
use sessiond_client::{Client, Reason, pb};

use super::draw;
use super::journal::{Call, Journal, Life, Sign, Told};

/// Sessions of its own that it keeps open.
const OWN_MAX: usize = 20;

/// One answered call in so many is repeated.
const REPEATED: u32 = 12;

#[derive(Debug)]
pub(crate) struct Producer {
    name: String,
    rng: Rng,
    journal: Arc<Journal>,
    asked: u64,
    own: Vec<String>,
    /// Keys of sessions that it ended, or tried to.
    past: Vec<String>,
    /// What must be asked again.
    unknown: Option<Request>,
}

/// A request as it is sent, the first time and every other.
#[derive(Clone, Debug)]
enum Request {
    Open(pb::OpenSessionRequest),
    Enqueue(pb::EnqueueMessagesRequest),
    End(pb::EndSessionRequest),
}

/// Whether the server may have seen the request before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Time {
    First,
    Again,
    /// It was answered, and had its effect.
    AfterAnswer,
}

// === impl Producer ===

impl Producer {
    pub(crate) fn new(name: String, rng: Rng, journal: Arc<Journal>) -> Self {
        Self {
            name,
            rng,
            journal,
            asked: 0,
            own: Vec::new(),
            past: Vec::new(),
            unknown: None,
        }
    }

    /// Makes one call; answers whether the server is there.
    pub(crate) async fn step(&mut self, client: &Client) -> bool {
        let (request, time) = match self.unknown.take() {
            Some(request) => (request, Time::Again),
            None => (self.draw(), Time::First),
        };
        match self.ask(client, &request, time).await {
            Told::Done(()) if self.rng.u32(..REPEATED) == 0 => {
                let again = self.ask(client, &request, Time::AfterAnswer).await;
                !matches!(again, Told::Unknown)
            }
            Told::Done(()) | Told::Refused(_) => true,
            Told::Unknown => {
                self.unknown = Some(request);
                false
            }
        }
    }

    /// Asks what is not known yet, and nothing new.
    pub(crate) async fn resolve(&mut self, client: &Client) {
        if let Some(request) = self.unknown.take() {
            let told = self.ask(client, &request, Time::Again).await;
            assert!(!matches!(told, Told::Unknown), "the server is gone unasked");
        }
    }

    fn draw(&mut self) -> Request {
        self.asked += 1;
        let request = format!("{}-{}", self.name, self.asked);
        let rng = &mut self.rng;
        let own = (!self.own.is_empty()).then(|| rng.usize(..self.own.len()));
        match (rng.u32(..100), own) {
            (0..10, _) => Request::Open(draw::open_lasting(request, rng)),
            (10..45, _) => {
                let enqueue = draw::enqueue_lasting(&request, rng);
                self.journal.book().send(&request, &enqueue.messages);
                Request::Enqueue(enqueue)
            }
            (45..50, _) => Request::End(draw::end_lasting(request, rng)),
            (95.., _) if !self.past.is_empty() => {
                let key = self.past.swap_remove(rng.usize(..self.past.len()));
                Request::Open(draw::open_again(key, request))
            }
            (50..60, Some(at)) => {
                let session = self.own.swap_remove(at);
                let end = draw::end_own(&session, request, rng);
                if session.starts_with(&self.name) {
                    self.past.push(draw::own_key(&session));
                }
                if end.pending_policy() == pb::PendingPolicy::Discard {
                    self.journal.book().discarding.insert(session);
                }
                Request::End(end)
            }
            (60.., Some(at)) if self.own.len() >= OWN_MAX || rng.bool() => {
                let (messages, request_id) = draw::batch(&request, rng);
                self.journal.book().send(&request, &messages);
                Request::Enqueue(pb::EnqueueMessagesRequest {
                    r#ref: Some(sessiond_client::session_id(&self.own[at])),
                    messages,
                    request_id,
                    ..Default::default()
                })
            }
            _ => {
                self.own.push(request.clone());
                Request::Open(draw::open_own(request, rng))
            }
        }
    }

    async fn ask(&mut self, client: &Client, request: &Request, time: Time) -> Told<()> {
        let known = self.journal.known();
        let told = match request.clone() {
            Request::Open(open) => {
                let told = Told::of(client.open(open.clone()).await);
                told.when_done(|answer| self.opened(&open, &answer, known, time))
            }
            Request::Enqueue(enqueue) => {
                let told = Told::of(client.enqueue(enqueue.clone()).await);
                let told = self.perhaps_opened(&enqueue, told);
                told.when_done(|answer| self.enqueued(&enqueue, &answer, known, time))
            }
            Request::End(end) => {
                let told = Told::of(client.end(end).await);
                told.when_done(|answer| self.ended(&answer, known, time))
            }
        };
        match &told {
            Told::Done(revision) => self.journal.told(known, *revision),
            Told::Refused(reason) => {
                self.journal.refused();
                self.refused(request, *reason, time);
            }
            Told::Unknown => self.journal.missed(request.call()),
        }
        told.when_done(|_| ())
    }

    fn opened(
        &mut self,
        open: &pb::OpenSessionRequest,
        answer: &pb::OpenSessionResponse,
        known: u64,
        time: Time,
    ) -> u64 {
        let session = answer.session.as_ref().expect("an open answers a session");
        if !open.session_id.is_empty() {
            assert_eq!(session.session_id, open.session_id);
            assert!(answer.created, "{answer:?}");
        }
        let mut book = self.journal.book();
        book.lasts(&session.key, session.queue_id);
        // A repeat shows the session as it is by then; a first open finds a live one or makes one.
        let is_live = session.state() == pb::SessionState::Active;
        assert!(is_live || answer.duplicate, "{answer:?}");
        match time {
            Time::First => assert!(!answer.duplicate, "{answer:?}"),
            Time::Again => {}
            Time::AfterAnswer => assert!(answer.duplicate, "{answer:?}"),
        }
        let is_new = answer.created && time != Time::AfterAnswer;
        if is_new && self.is_own(&session.key) && !self.own.contains(&session.session_id) {
            // Opened again under an id that the server made; one day it is ended too.
            self.own.push(session.session_id.clone());
        }
        if is_new {
            *book.opened.entry(session.key.clone()).or_default() += 1;
            book.signs.push(Sign {
                session: session.session_id.clone(),
                what: Life::Opened,
                // A repeat tells of what happened before it was asked.
                known: if answer.duplicate { 0 } else { known },
                revision: answer.revision,
            });
        }
        answer.revision
    }

    fn enqueued(
        &self,
        enqueue: &pb::EnqueueMessagesRequest,
        answer: &pb::EnqueueMessagesResponse,
        known: u64,
        time: Time,
    ) -> u64 {
        let names: Vec<String> = enqueue
            .messages
            .iter()
            .map(|message| draw::name_of(message).to_owned())
            .collect();
        let is_new = answer.results[0].status() == pb::EnqueueStatus::Enqueued;
        match time {
            Time::First => assert!(is_new, "{answer:?}"),
            Time::Again => {}
            Time::AfterAnswer => assert!(!is_new, "{} counted twice", enqueue.request_id),
        }
        let mut book = self.journal.book();
        book.promise(&enqueue.request_id, &names, answer);
        if let Some(key) = key_of(enqueue.r#ref.as_ref()) {
            book.lasts(key, answer.queue_id);
            *book.opened.entry(key.to_owned()).or_default() += u32::from(answer.opened);
        }
        if is_new {
            book.signs.push(Sign {
                session: answer.session_id.clone(),
                what: Life::Worked,
                known,
                revision: answer.revision,
            });
        }
        answer.revision
    }

    /// Whether a session of this key is for nobody else to end.
    fn is_own(&self, key: &str) -> bool {
        key.starts_with(&draw::own_key(&self.name))
    }

    /// An enqueue whose answer nobody saw may have opened its key.
    fn perhaps_opened<T>(&self, enqueue: &pb::EnqueueMessagesRequest, told: Told<T>) -> Told<T> {
        if let (Told::Unknown, Some(_), Some(key)) = (
            &told,
            &enqueue.open_if_missing,
            key_of(enqueue.r#ref.as_ref()),
        ) {
            let mut book = self.journal.book();
            *book.perhaps_opened.entry(key.to_owned()).or_default() += 1;
        }
        told
    }

    fn ended(&self, answer: &pb::EndSessionResponse, known: u64, time: Time) -> u64 {
        let session = answer.session.as_ref().expect("an end answers a session");
        assert!(session.end.is_some(), "{answer:?}");
        match time {
            Time::First => assert!(!answer.duplicate, "{answer:?}"),
            Time::Again => {}
            Time::AfterAnswer => assert!(answer.duplicate, "{answer:?}"),
        }
        if session.state() == pb::SessionState::Ended {
            self.journal.book().signs.push(Sign {
                session: session.session_id.clone(),
                what: Life::Ended,
                known,
                revision: answer.revision,
            });
        }
        answer.revision
    }

    fn refused(&self, request: &Request, reason: Reason, time: Time) {
        let may = match request {
            Request::Open(open) => {
                open.conflict_policy() == pb::ConflictPolicy::Fail
                    && reason == Reason::SessionKeyInUse
            }
            Request::Enqueue(_) => matches!(
                reason,
                Reason::SessionNotFound | Reason::SessionEnded | Reason::SessionDraining
            ),
            Request::End(_) => reason == Reason::SessionNotFound,
        };
        assert!(
            may || reason == Reason::Overloaded,
            "{reason} for {request:?}"
        );
        // What was refused the first time has had no effect; what was refused later may have had one, and
        // stays on record as a batch that is there as a whole or not at all.
        if let (Request::Enqueue(enqueue), Time::First) = (request, time) {
            let mut book = self.journal.book();
            book.open_batches.remove(&enqueue.request_id);
            for message in &enqueue.messages {
                book.sent.remove(draw::name_of(message));
            }
        }
    }
}

// === impl Request ===

impl Request {
    fn call(&self) -> Call {
        match self {
            Self::Open(_) => Call::Open,
            Self::Enqueue(_) => Call::Enqueue,
            Self::End(_) => Call::End,
        }
    }
}

/// The key that is named, if it is one.
fn key_of(reference: Option<&pb::SessionRef>) -> Option<&str> {
    match reference.and_then(|one| one.r#ref.as_ref()) {
        Some(pb::session_ref::Ref::Key(key)) => Some(key),
        Some(pb::session_ref::Ref::SessionId(_)) | None => None,
    }
}

// === impl Told ===

impl<T> Told<T> {
    fn when_done<U>(self, then: impl FnOnce(T) -> U) -> Told<U> {
        match self {
            Self::Done(answer) => Told::Done(then(answer)),
            Self::Refused(reason) => Told::Refused(reason),
            Self::Unknown => Told::Unknown,
        }
    }
}
