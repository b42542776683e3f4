//! Where a watch is, and what of a frame is new to its reader.
//!
//! Keeps the place at the last complete frame, so that a resumed watch neither
//! repeats nor skips: batches are whole, what is at or below the last revision is
//! dropped, and so is an event which an initial row already shows. No I/O here.

use std::collections::HashMap;

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::watch_session_events_request::Start as WireStart;

use super::Position;
use crate::error::Error;

/// Where to start, or to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    After(u64),
    Token(String),
    Now,
    Oldest,
    Subscription(String),
}

/// Whether and how far the initial state has come.
#[derive(Clone, Debug)]
pub(crate) enum InitialState {
    NotWanted,
    /// The revision which each row that was sent shows.
    Wanted {
        rows: HashMap<String, u64>,
    },
    Complete,
}

/// The place of one watch.
#[derive(Debug)]
pub(crate) struct Cursor {
    start: Start,
    initial: InitialState,
    log_id: Option<String>,
    /// The newest revision that is known to be complete.
    seen: u64,
}

// === impl InitialState ===

impl InitialState {
    pub(crate) fn wanted() -> Self {
        Self::Wanted {
            rows: HashMap::new(),
        }
    }
}

// === impl Cursor ===

impl Cursor {
    pub(crate) fn new(start: Start, initial: InitialState) -> Self {
        Self {
            start,
            initial,
            log_id: None,
            seen: 0,
        }
    }

    /// Puts the place into a request.
    pub(crate) fn write_to(&self, request: &mut pb::WatchSessionEventsRequest) {
        request.start = Some(match &self.start {
            Start::After(revision) => WireStart::AfterRevision(*revision),
            Start::Token(token) => WireStart::ResumeToken(token.clone()),
            Start::Now => WireStart::Now(true),
            Start::Oldest => WireStart::Oldest(true),
            Start::Subscription(name) => WireStart::Subscription(name.clone()),
        });
        request.send_initial_state = match self.initial {
            InitialState::Wanted { .. } => true,
            InitialState::NotWanted | InitialState::Complete => false,
        };
    }

    /// Takes the first frame of a connection: pins a start that would mean
    /// something else next time, and notices another log.
    ///
    /// # Errors
    ///
    /// [`Error::LogChanged`].
    pub(crate) fn started(&mut self, started: &pb::WatchStarted) -> Result<(), Error> {
        match &self.log_id {
            Some(log_id) if *log_id != started.log_id => {
                return Err(Error::log_changed(format!(
                    "the server's log was `{log_id}` and is `{}`",
                    started.log_id
                )));
            }
            Some(_) => {}
            None => self.log_id = Some(started.log_id.clone()),
        }
        match self.start {
            Start::Now => self.start = Start::After(started.current_revision),
            Start::Oldest => self.start = Start::After(started.oldest_revision.saturating_sub(1)),
            Start::After(_) | Start::Token(_) | Start::Subscription(_) => {}
        }
        Ok(())
    }

    /// Takes a row of the initial state; `None` when its reader has it already.
    pub(crate) fn initial(&mut self, session: pb::Session) -> Option<pb::Session> {
        match &mut self.initial {
            InitialState::Wanted { rows } => {
                match rows.insert(session.session_id.clone(), session.revision) {
                    Some(known) if known >= session.revision => {
                        rows.insert(session.session_id, known);
                        None
                    }
                    Some(_) | None => Some(session),
                }
            }
            InitialState::NotWanted | InitialState::Complete => None,
        }
    }

    /// Takes a batch; what is left of it is new. The place is behind all of it.
    pub(crate) fn batch(&mut self, batch: pb::EventBatch) -> (Vec<pb::SessionEvent>, Position) {
        let mut events = batch.events;
        let last = events.last().map_or(self.seen, |event| event.revision);
        let mut seen = self.seen;
        events.retain(|event| {
            let new = event.revision > seen;
            seen = seen.max(event.revision);
            new && !self.shown(event)
        });
        (events, self.advance(last, batch.resume_token))
    }

    /// Takes a bookmark: everything up to it was sent.
    pub(crate) fn bookmark(&mut self, bookmark: &pb::Bookmark) -> Position {
        if bookmark.cause() == pb::BookmarkCause::InitialStateEnd
            && let InitialState::Wanted { .. } = self.initial
        {
            self.initial = InitialState::Complete;
        }
        self.advance(bookmark.revision, bookmark.resume_token.clone())
    }

    /// The events after the place are gone: goes on with the oldest there are.
    pub(crate) fn skip_gap(&mut self) {
        self.start = Start::Oldest;
    }

    /// Whether an initial row already shows what the event reports.
    fn shown(&self, event: &pb::SessionEvent) -> bool {
        let InitialState::Wanted { rows } = &self.initial else {
            return false;
        };
        let session = event.session.as_ref();
        session
            .and_then(|session| rows.get(&session.session_id))
            .is_some_and(|shown| *shown >= event.revision)
    }

    fn advance(&mut self, revision: u64, resume_token: String) -> Position {
        self.seen = self.seen.max(revision);
        match self.start {
            // The server knows where a subscription stands.
            Start::Subscription(_) => {}
            Start::After(_) | Start::Token(_) | Start::Now | Start::Oldest => {
                self.start = if resume_token.is_empty() {
                    Start::After(self.seen)
                } else {
                    Start::Token(resume_token.clone())
                };
            }
        }
        Position {
            revision: self.seen,
            resume_token,
        }
    }
}

#[cfg(test)]
mod tests;
