//! The server's drain: what is on record of it while it is open, and what came of asking for an end.
//!
//! ```text
//!  begin ──► on record: every session up to here is to end, and why ──► an end each ──► closed
//!                              a start that finds it open ────────────────▲
//! ```
//!
//! Invariant: from the commit that begins it no session begins, and every one that lived then ends with the reason of the
//! drain, whatever becomes of the server in between; one that was to end once its work is done goes on at the next start.

use crate::ids::SessionNo;
use crate::session::EndReason;

/// An open drain, as it is on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Why its sessions end.
    pub reason: EndReason,
    /// The newest session that there was when it began.
    pub through: SessionNo,
}

/// What a command of a drain came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainReply {
    /// To begin: the drain that is open now.
    Open {
        /// What is on record of it.
        drain: Drain,
        /// It was open already.
        joined: bool,
    },
    /// To the end of a session.
    Step(DrainStep),
    /// To close: it is closed, unless sessions live.
    Closed {
        /// How many do. It stays open for them.
        left: u64,
    },
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
