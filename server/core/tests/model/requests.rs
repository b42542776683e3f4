//! Requests: the rules in the reference model, and callers that begin, renew and end them, in time, late and twice.
//!
//! Written from the design's rules 4, 8, 11 and 14: a request is leased, protects its session, is waited for by an end,
//! and is named by a token that belongs to one session.

use sessiond_core::command::{BeginRequest, Command, EndRequest};
use sessiond_core::ids::{RequestNo, SessionNo, SessionRef};
use sessiond_core::limits::{REQUEST_LEASE_DEFAULT, REQUESTS_PER_SESSION_MAX};
use sessiond_core::requests::RequestToken;
use sessiond_core::time::Span;

use super::finding::{ended, session_answer};
use super::marks::Mark;
use super::sessions::Verdict;
use super::state::{Model, State};
use super::told::{Answer, Expected, Refusal};
use super::world::World;

// === the rules ===

impl Model {
    pub(crate) fn begin_request(&mut self, begin: &BeginRequest) -> Verdict {
        let now = self.now;
        let (no, number, lease) = match begin.renews {
            None => {
                let no = self.find_in_use(&begin.session)?;
                self.drop_lapsed(no);
                let session = self.session_mut(no);
                if session.requests.len() >= REQUESTS_PER_SESSION_MAX {
                    let limit = REQUESTS_PER_SESSION_MAX as u64;
                    return Err(Refusal::TooManyRequests(limit));
                }
                session.requests_begun += 1;
                let lease = begin.lease.unwrap_or(REQUEST_LEASE_DEFAULT).0;
                (no, session.requests_begun, lease)
            }
            Some(token) => {
                let no = self.find_requested(&begin.session, token)?;
                let session = self.session(no);
                if let State::Ended(reason) = &session.state {
                    return Err(ended(session, *reason));
                }
                let number = token.request.0;
                let Some((had, _)) = session.live_requests(now).get(&number).copied() else {
                    let late = number > 0 && number <= session.requests_begun;
                    self.marks.hit_if(late, Mark::RequestRenewedLate);
                    return Err(Refusal::RequestNotFound);
                };
                let drains = !session.is_active();
                self.marks.hit_if(drains, Mark::RequestRenewedInDrain);
                (no, number, begin.lease.map_or(had, |lease| lease.0))
            }
        };
        let session = self.session_mut(no);
        session.requests.insert(number, (lease, now + lease));
        if session.is_active() {
            session.last_activity = now;
            session.owner_seen = now;
        }
        let expires = self.wall + lease;
        Ok(Answer::RequestBegun(no, number, lease, expires))
    }

    pub(crate) fn end_request(&mut self, end: &EndRequest, out: &mut Expected) -> Verdict {
        let no = self
            .find_requested(&end.session, end.token)
            .inspect_err(|refusal| {
                if *refusal == Refusal::RequestNotFound {
                    self.marks.hit(Mark::RequestUnknown);
                }
            })?;
        let (now, number) = (self.now, end.token.request.0);
        let session = self.session_mut(no);
        if number == 0 || number > session.requests_begun {
            self.marks.hit(Mark::RequestUnknown);
            return Err(Refusal::RequestNotFound);
        }
        let was_live = session.live_requests(now).contains_key(&number);
        if was_live {
            session.requests.remove(&number);
            if session.is_active() {
                session.last_activity = now;
            }
            let ended = self.finish_if_drained(no, out);
            self.marks.hit_if(ended, Mark::DrainedByRequest);
        } else {
            self.marks.hit(Mark::RequestEndedAgain);
        }
        if let SessionRef::Key(key) = &end.session {
            let moved = self.live_of(key).is_some_and(|live| live != no);
            self.marks.hit_if(moved, Mark::RequestOfEarlier);
        }
        Ok(session_answer(no, !was_live, false))
    }

    /// What is over is over, whether anybody looked or not.
    pub(crate) fn drop_lapsed(&mut self, no: u64) {
        let now = self.now;
        let live = self.session(no).live_requests(now);
        self.session_mut(no).requests = live;
    }
}

// === the callers ===

impl World {
    /// A request that somebody began, with a reference to its session; now and then one that never was.
    fn some_request(&mut self) -> (SessionRef, RequestToken) {
        let known = self.clients.requests.len();
        if known == 0 || self.rng.u32(..15) == 0 {
            let token = RequestToken {
                session: SessionNo(self.rng.u64(..9)),
                request: RequestNo(self.rng.u64(..6)),
            };
            return (self.some_session(), token);
        }
        let recent = known.saturating_sub(6);
        let place = self.rng.usize(recent..known);
        let (key, id, token) = self.clients.requests[place].clone();
        let session = match key {
            Some(key) if self.rng.bool() => SessionRef::Key(key),
            _ if self.rng.u32(..12) == 0 => self.some_session(),
            _ => SessionRef::Id(id),
        };
        (session, token)
    }

    pub(crate) fn begin_request(&mut self) {
        let leases = [
            None,
            Some(Span(1_000)),
            Some(Span(self.rng.u64(1_000..20_000))),
            Some(Span::seconds(3_600)),
        ];
        let lease = leases[self.rng.usize(..leases.len())];
        let renews = self.rng.u32(..3) == 0 && !self.clients.requests.is_empty();
        let (session, renews) = if renews {
            let (session, token) = self.some_request();
            (session, Some(token))
        } else {
            (self.some_session(), None)
        };
        let begin = BeginRequest {
            namespace: self.namespace.clone(),
            session,
            lease,
            renews,
        };
        let _ = self.submit(&Command::BeginRequest(begin));
    }

    pub(crate) fn end_request(&mut self) {
        let (session, token) = self.some_request();
        let end = EndRequest {
            namespace: self.namespace.clone(),
            session,
            token,
        };
        let again = self.rng.u32(..6) == 0;
        let _ = self.submit(&Command::EndRequest(end.clone()));
        if again {
            let _ = self.submit(&Command::EndRequest(end));
        }
    }
}
