//! Requests: callers' uses of a session, each leased.
//!
//! Those that are live lie in the session's warm row, so that a session without any carries nothing for them. Invariant:
//! each number is given once and in order, so a number that is known and not live is one that has ended. A request whose
//! lease is over is over, whether its row says so yet or not. What this deliberately does not do: decide what waits for
//! requests or is protected by them; `deadlines` and `decide::finish` ask.

use std::fmt;

use crate::ids::{RequestNo, SessionNo};
use crate::time::{EngineTime, Span};

/// What a token begins with, so that people see what it is.
const TOKEN_PREFIX: &str = "rq";

/// The name of a request, for its caller opaque.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestToken {
    /// The session it is a use of.
    pub session: SessionNo,
    /// Its number there.
    pub request: RequestNo,
}

impl RequestToken {
    /// The request that a text names. A text that no token is shown as names a request that there never was.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let number = |text: &str| text.parse::<u64>().ok();
        let parts = text
            .strip_prefix(TOKEN_PREFIX)
            .and_then(|rest| rest.strip_prefix('-'))
            .and_then(|rest| rest.split_once('-'));
        let token = parts.and_then(|(session, request)| {
            Some(Self {
                session: SessionNo(number(session)?),
                request: RequestNo(number(request)?),
            })
        });
        // A number may be written in several ways; a token is written in one.
        token
            .filter(|token| token.to_string() == text)
            .unwrap_or_default()
    }
}

impl fmt::Display for RequestToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{TOKEN_PREFIX}-{}-{}", self.session, self.request)
    }
}

/// One use of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveRequest {
    /// Its number.
    pub number: RequestNo,
    /// How long it lasts from each renewal.
    pub lease: Span,
    /// When it is over.
    pub until: EngineTime,
}

/// The requests of one session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// The number of the newest one that ever began.
    pub begun: RequestNo,
    /// Those that did not end, in order of their numbers; at most
    /// [`REQUESTS_PER_SESSION_MAX`](crate::limits::REQUESTS_PER_SESSION_MAX).
    pub live: Vec<LiveRequest>,
}

impl Requests {
    /// Whether any is live now.
    #[must_use]
    pub fn any_live(&self, now: EngineTime) -> bool {
        self.live.iter().any(|request| request.until > now)
    }

    /// When the next one ends by itself.
    #[must_use]
    pub fn next_lapse(&self) -> Option<EngineTime> {
        self.live.iter().map(|request| request.until).min()
    }

    /// Whether a number was given.
    #[must_use]
    pub fn knows(&self, number: RequestNo) -> bool {
        number != RequestNo::default() && number <= self.begun
    }

    /// Forgets those whose lease is over.
    pub(crate) fn drop_lapsed(&mut self, now: EngineTime) {
        if !faulty!(RequestImmortal) {
            self.live.retain(|request| request.until > now);
        }
    }

    /// Adds one; the caller has seen to it that there is room.
    pub(crate) fn begin(&mut self, now: EngineTime, lease: Span) -> LiveRequest {
        self.begun = self.begun.next();
        let request = LiveRequest {
            number: self.begun,
            lease,
            until: now + lease,
        };
        self.live.push(request);
        request
    }

    /// Lets one that is live last from now on, as long as it did or as `lease` says.
    pub(crate) fn renew(
        &mut self,
        number: RequestNo,
        now: EngineTime,
        lease: Option<Span>,
    ) -> Option<LiveRequest> {
        let mut live = self.live.iter_mut();
        let request = live.find(|request| request.number == number && request.until > now)?;
        request.lease = lease.unwrap_or(request.lease);
        request.until = now + request.lease;
        Some(*request)
    }

    /// Ends one; tells whether it was live.
    pub(crate) fn end(&mut self, number: RequestNo, now: EngineTime) -> bool {
        let found = self.live.iter().position(|one| one.number == number);
        found.is_some_and(|place| self.live.remove(place).until > now)
    }

    /// Ends all of them with their session.
    pub(crate) fn void(&mut self) {
        self.live.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_is_shown_and_no_other_text_is_one() {
        let token = RequestToken {
            session: SessionNo(12),
            request: RequestNo(u64::MAX),
        };
        assert_eq!(RequestToken::parse(&token.to_string()), token);
        let none = RequestToken::default();
        for text in [
            "",
            "rq",
            "rq-12",
            "rq-12-",
            "rq--1",
            "rq-012-1",
            "rq-+12-1",
            "rq-12-1 ",
            "RQ-12-1",
            "rq-12-1-1",
            "rq-18446744073709551616-1",
        ] {
            assert_eq!(RequestToken::parse(text), none, "{text:?}");
        }
    }
}
