//! The server's drain: what is on record of it while it is open, and what came of asking for an end.
//!
//! ```text
//!  begin ──► on record: every session up to here is to end, and why ──► an end each ──► closed
//!       └──► announced only, for a while ──► called off          a start that finds it open ──▲
//! ```
//!
//! Invariant: from the commit that begins it no session begins, and every one that lived then ends with the reason of the
//! drain, whatever becomes of the server in between, unless it is called off before any is to end; one that was to end once its
//! work is done goes on at the next start. What came of the newest drain stays on record (`DrainRow`) and is counted in the
//! commits of the ends themselves.

use std::sync::Arc;

use crate::ids::SessionNo;
use crate::limits::DRAIN_WARNINGS_MAX;
use crate::session::EndReason;
use crate::time::{EngineTime, Span, WallTime};

/// An open drain, as every decision knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Why its sessions end.
    pub reason: EndReason,
    /// The newest session that there was when it began.
    pub through: SessionNo,
}

/// Whether a drain ends sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainSessions {
    /// It does.
    End,
    /// They stay as they are, and go on at the next start.
    Keep,
}

/// The newest drain, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainRow {
    /// Why.
    pub reason: EndReason,
    /// Whether it ends sessions.
    pub sessions: DrainSessions,
    /// When it began, for display.
    pub begin_time: WallTime,
    /// The same, for how long it took.
    pub begun_at: EngineTime,
    /// Until when, for display, it is only announced, at the latest: no session ends by it, and it may be called off. None once
    /// that is over, or if it was not announced first.
    pub notice_until: Option<WallTime>,
    /// How it ended; none while it is open.
    pub end: Option<DrainEnd>,
    /// Sessions that it ended, or had end.
    pub ended: u64,
    /// Sessions that ended with something under way while it was open.
    pub late: u64,
    /// Sessions that were to do their work first and went on at the next start.
    pub left: u64,
    /// Whether the server was killed in it, so that the next start finished it.
    pub recovered: bool,
    /// What did not go as it should have: at most [`DRAIN_WARNINGS_MAX`] and, for each code, one without a subject.
    pub warnings: Vec<DrainWarning>,
}

/// The end of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainEnd {
    /// When, for display.
    pub time: WallTime,
    /// How long it took; time that the server was down does not count.
    pub duration: Span,
    /// Whether it was called off: it ended nothing, and the server serves on.
    pub cancelled: bool,
}

/// Something that did not go as it should have. What is the same is said once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainWarning {
    /// What.
    pub code: WarningCode,
    /// About what: a session's id, or a subscription as `namespace/name`. Empty stands for all for which there was no room.
    pub subject: String,
    /// How many requests and deliveries, resources, or ends.
    pub count: u64,
}

/// What a warning says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WarningCode {
    /// A session was ended with something under way: the time for that was over.
    SessionDrainTimeout,
    /// What a session has outside is not gone; the next start goes on with it.
    ResourcesUnreleased,
    /// A subscription did not acknowledge ends in time; it gets them after the next start.
    SessionEndDrain,
}

impl DrainRow {
    /// How many resources of ended sessions were not gone when it was over.
    #[must_use]
    pub fn unreleased(&self) -> u64 {
        let all = self.warnings.iter();
        all.filter(|one| one.code == WarningCode::ResourcesUnreleased)
            .map(|one| one.count)
            .sum()
    }

    /// Notes that something did not go as it should have, and how much of it.
    pub(crate) fn warn(&mut self, code: WarningCode, subject: &str, count: u64) {
        let is_known = |one: &&mut DrainWarning| one.code == code && one.subject == subject;
        if let Some(known) = self.warnings.iter_mut().find(is_known) {
            known.count += count;
            return;
        }
        let named = self.warnings.iter().filter(|one| !one.subject.is_empty());
        if named.count() >= DRAIN_WARNINGS_MAX && !subject.is_empty() {
            return self.warn(code, "", count);
        }
        self.warnings.push(DrainWarning {
            code,
            subject: subject.to_owned(),
            count,
        });
    }
}

/// What a command of a drain came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrainReply {
    /// To begin, to proceed, or to call off what ends sessions by now: the drain that is open.
    Open {
        /// What is on record of it.
        row: Arc<DrainRow>,
        /// The newest session that it means.
        through: SessionNo,
        /// It was open already.
        joined: bool,
    },
    /// To the end of a session.
    Step(DrainStep),
    /// To close: its sessions have ended, unless some live.
    Closed {
        /// How many do. It stays open for them.
        left: u64,
    },
    /// To report, or to call off: what came of the newest; none if there never was one.
    Reported(Option<Arc<DrainRow>>),
}

/// What became of a session that was to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainStep {
    /// It has ended by this.
    Ended,
    /// It ends once nothing is in flight and no request of it is live.
    Waits,
    /// It ends once its work is done, and goes on at the next start.
    Left,
    /// It had ended, is not meant, or no drain is open.
    Gone,
}
