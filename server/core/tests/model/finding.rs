//! Which session a reference means in the reference model, and whether a call was made before.
//!
//! Written from the design's rules 4 and 23.

use sessiond_core::command::RequestTag;
use sessiond_core::ids::SessionRef;
use sessiond_core::limits::REQUEST_RETENTION;
use sessiond_core::requests::RequestToken;
use sessiond_core::session::{EndMode, EndReason, SessionView};

use super::marks::Mark;
use super::resource_rows::unreleased;
use super::state::{Fate, Model, Request, Session, State};
use super::told::{Answer, Refusal};

impl Model {
    pub(crate) fn earlier(&mut self, tag: Option<&RequestTag>) -> Result<Option<Request>, Refusal> {
        let Some(tag) = tag else {
            return Ok(None);
        };
        let Some(request) = self.requests.get(&tag.id).cloned() else {
            return Ok(None);
        };
        if request.at + REQUEST_RETENTION.0 <= self.now {
            self.marks.hit(Mark::RequestForgotten);
            return Ok(None);
        }
        if request.body != tag.body {
            self.marks.hit(Mark::RequestReused);
            return Err(Refusal::RequestIdReused);
        }
        let about_session = request.tally.is_none() && request.subject > 0;
        if about_session && self.session(request.subject).purged {
            self.marks.hit(Mark::SubjectPurged);
            return Err(Refusal::SubjectPurged);
        }
        self.marks.hit(Mark::RequestRepeated);
        Ok(Some(request))
    }

    pub(crate) fn remember(&mut self, tag: Option<&RequestTag>, subject: u64, flag: bool) {
        if let Some(tag) = tag {
            let request = Request {
                body: tag.body,
                subject,
                flag,
                at: self.now,
                tally: None,
                resource: None,
            };
            self.requests.insert(tag.id.clone(), request);
        }
    }

    /// Remembers what was declared.
    pub(crate) fn remember_resource(
        &mut self,
        tag: Option<&RequestTag>,
        subject: u64,
        number: u64,
    ) {
        self.remember(tag, subject, false);
        if let Some(request) = tag.and_then(|tag| self.requests.get_mut(&tag.id)) {
            request.resource = Some(number);
        }
    }

    /// The session a write means.
    pub(crate) fn find_active(&self, asked: &SessionRef) -> Result<u64, Refusal> {
        let session = self.find_written(asked)?;
        match &session.state {
            State::Queued(_) | State::Active => Ok(session.no),
            State::Draining(ending) => Err(Refusal::Draining(session.id.clone(), ending.reason)),
            State::Ended(reason) => Err(ended(session, *reason)),
        }
    }

    /// The session that somebody would use: not one that waits for its slot.
    pub(crate) fn find_in_use(&self, asked: &SessionRef) -> Result<u64, Refusal> {
        let no = self.find_active(asked)?;
        let session = self.session(no);
        if session.is_active() {
            Ok(no)
        } else {
            Err(queued(session))
        }
    }

    /// The session a worker means: one that still hands out.
    pub(crate) fn find_workable(&self, asked: &SessionRef) -> Result<u64, Refusal> {
        let session = self.find_written(asked)?;
        match &session.state {
            State::Draining(ending) if ending.mode == EndMode::AfterPending => Ok(session.no),
            State::Queued(_) => Err(queued(session)),
            State::Active | State::Draining(_) | State::Ended(_) => self.find_active(asked),
        }
    }

    /// The session an end or a detach means: a key's live one, then a draining one, then the newest.
    pub(crate) fn find_any(&self, asked: &SessionRef) -> Result<u64, Refusal> {
        let SessionRef::Key(key) = asked else {
            return Ok(self.find_written(asked)?.no);
        };
        // A key remembers its newest sessions only; older ones are found by id.
        let known = self.of_key.get(key).map_or(&[][..], Vec::as_slice);
        let mut running = known.iter();
        let running = running.find(|no| !matches!(self.session(**no).state, State::Ended(_)));
        let found = self.live_of(key).or(running.copied());
        found
            .or_else(|| known.first().copied())
            .ok_or(Refusal::NotFound)
    }

    /// The session of a request: the one that is meant, or an earlier one of the same key.
    pub(crate) fn find_requested(
        &self,
        asked: &SessionRef,
        token: RequestToken,
    ) -> Result<u64, Refusal> {
        let found = self.find_any(asked)?;
        let SessionRef::Key(key) = asked else {
            let own = found == token.session.0;
            return own.then_some(found).ok_or(Refusal::RequestNotFound);
        };
        let mut sessions = self.sessions.iter();
        let named = sessions.find(|s| s.no == token.session.0 && s.key.as_ref() == Some(key));
        named.map(|s| s.no).ok_or(Refusal::RequestNotFound)
    }

    /// The session whose lease is meant: by id one that is ending too.
    pub(crate) fn find_holdable(&self, asked: &SessionRef) -> Result<u64, Refusal> {
        let session = self.find_written(asked)?;
        match &session.state {
            State::Queued(_) | State::Active | State::Draining(_) => Ok(session.no),
            State::Ended(reason) => Err(ended(session, *reason)),
        }
    }

    fn find_written(&self, asked: &SessionRef) -> Result<&Session, Refusal> {
        let found = match asked {
            SessionRef::Id(id) => self.sessions.iter().find(|s| s.id == *id),
            SessionRef::Key(key) => self.live_of(key).map(|no| self.session(no)),
        };
        found.ok_or(Refusal::NotFound)
    }
}

pub(crate) fn queued(session: &Session) -> Refusal {
    Refusal::Queued(session.id.clone(), session.behind().is_some())
}

pub(crate) fn ended(session: &Session, reason: EndReason) -> Refusal {
    Refusal::Ended(session.id.clone(), reason, session.successor.clone())
}

pub(crate) fn session_answer(session: u64, already_ended: bool, duplicate: bool) -> Answer {
    Answer::Session {
        session,
        already_ended,
        duplicate,
    }
}

/// A session shown to its caller is the session as it is.
pub(crate) fn settled(model: &Model, view: &SessionView) {
    let session = model.session(view.session.no.0);
    assert_eq!(view.session.id, session.id, "the id shown");
    assert_eq!(view.session.profile, session.profile, "the profile shown");
    assert_eq!(
        view.session.etag(),
        format!("{:x}", session.revision),
        "the etag shown"
    );
    assert_eq!(
        view.activity.prompt_number, session.prompt_number,
        "the prompt number shown"
    );
    assert_eq!(
        view.session.resources,
        unreleased(session),
        "what is shown that it has outside"
    );
    let requests = view.activity.requests.live.iter();
    let live = requests.filter(|request| request.until.0 > model.now);
    let wanted = session.live_requests(model.now).len();
    assert_eq!(live.count(), wanted, "the requests shown");
    let lease = view.lease.as_ref().map(|lease| lease.epoch.0);
    assert_eq!(lease, model.lease_of(session.no), "the lease shown");
    let queue = model.queue(session.queue);
    let owns = queue.owner == session.no
        && matches!(queue.fate, Fate::Serving | Fate::Quiet | Fate::Held { .. });
    let depth = if owns { queue.unsettled() } else { 0 };
    assert_eq!(view.depth.unsettled(), depth, "the depth shown");
}
