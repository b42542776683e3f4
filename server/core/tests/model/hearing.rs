//! Where subscriptions stand in the log in the reference model, and what waits for them: the log itself, and the deletion
//! of sessions.
//!
//! Written from the design's rule 27: whoever is not stale keeps the log behind it, and the deletion of a session waits for
//! those that are required, for a time. Whatever is kept is found by looking at all of them.

use sessiond_core::ids::{Revision, SessionId, SubscriptionName};
use sessiond_core::limits::{PURGE_RECHECK, REQUIRED_WAIT, UNHEARD_NAMED_MAX};
use sessiond_core::subscription::{EventStart, SubscriptionRejection};
use sessiond_core::time::Span;

use super::marks::subscriptions::Subscriptions as Mark;
use super::state::Model;
use super::told::Refusal;

impl Model {
    /// Where a subscription begins, and behind which event it keeps the log.
    pub(crate) fn place(&mut self, start: EventStart) -> Result<(u64, u64), Refusal> {
        let (begin, newest) = (self.compacted, self.revision);
        let after = match start {
            EventStart::Now => return Ok((newest, newest)),
            EventStart::Oldest => return Ok((begin, begin)),
            EventStart::After(after) => after,
        };
        let (oldest, newest) = (Revision(begin + 1), Revision(newest));
        if after > newest {
            self.marks.hit(Mark::StartAhead);
            return Err(SubscriptionRejection::Ahead { oldest, newest }.into());
        }
        if after.0 < begin {
            self.marks.hit(Mark::StartCompacted);
            return Err(SubscriptionRejection::Compacted {
                after,
                oldest,
                newest,
            }
            .into());
        }
        let whole = self.ends_decision(after.0);
        self.marks.hit_if(!whole, Mark::StartInMiddle);
        Ok((after.0, if whole { after.0 } else { begin }))
    }

    /// Behind which event the log is kept for subscriptions.
    pub(crate) fn held_behind(&self) -> u64 {
        let active = self.subscriptions.values().filter(|one| !one.stale);
        let behind = active.map(|one| one.holds_after);
        behind.min().unwrap_or(u64::MAX)
    }

    /// The required subscriptions that have not heard all of a session, the one furthest behind first.
    pub(crate) fn unheard(&self, no: u64) -> Vec<SubscriptionName> {
        let newest = self.session(no).revision;
        let required = self.subscriptions.iter();
        let required = required.filter(|(_, one)| one.settings.required && !one.stale);
        let mut behind: Vec<_> = required
            .filter(|(_, one)| one.acked < newest)
            .map(|(name, one)| (one.acked, name.clone()))
            .collect();
        behind.sort();
        behind.truncate(UNHEARD_NAMED_MAX);
        behind.into_iter().map(|(_, name)| name).collect()
    }

    /// For how long the deletion of an ended session waits yet for somebody to hear of it, and for whom.
    fn waits_for(&self, no: u64) -> Option<(SubscriptionName, u64)> {
        let first = self.unheard(no).into_iter().next()?;
        let until = self.session(no).ended_at + REQUIRED_WAIT.0;
        (until > self.now).then(|| (first, until - self.now))
    }

    pub(crate) fn require_heard(&mut self, no: u64, id: &SessionId) -> Result<(), Refusal> {
        match self.waits_for(no) {
            Some((name, waits)) => {
                self.marks.hit(Mark::PurgeUnheard);
                let (session, waits) = (id.clone(), Span(waits));
                Err(SubscriptionRejection::Unheard {
                    session,
                    name,
                    waits,
                }
                .into())
            }
            None => Ok(()),
        }
    }

    /// When an ended session is looked at again that somebody must hear of.
    pub(crate) fn stays_for_hearing(&self, no: u64) -> Option<u64> {
        let (_, waits) = self.waits_for(no)?;
        Some(self.now + waits.min(PURGE_RECHECK.0))
    }
}
