//! Warnings of limits in the reference model: which ends are near, as things stand.
//!
//! Written from the design's rules 9 and 11 and what it says of LIMIT_WARNING: before an end by idleness or age, once for
//! each approach, never for a session whose use keeps the limit from ending it.

use sessiond_core::limits::{
    LIFETIME_HARD_FACTOR, PENDING_PROTECTS, WARNING_LEAD_MIN, WARNING_LEAD_PART,
};
use sessiond_core::time::Limit;

use super::marks::Mark;
use super::state::Model;
use super::told::{Expected, Fact};

/// Names of the limits that are warned of, in the order in which a session keeps them.
const LIMITS: [&str; 2] = ["idle", "age"];

impl Model {
    /// How long before its end a limit is warned of.
    pub(crate) fn lead(&self, no: u64, limit: usize) -> Option<u64> {
        let limits = self.session(no).timeouts;
        let limit = [limits.idle, limits.lifetime][limit];
        let (Limit::After(limit), Limit::After(longest)) = (limit, self.policy.warning_lead) else {
            return None;
        };
        let lead = (limit.0 / WARNING_LEAD_PART).min(longest.0);
        (lead >= WARNING_LEAD_MIN.0).then_some(lead)
    }

    /// When the idle and the age limit end a session, were its use to stay as it is.
    fn ends_of(&self, no: u64) -> [Option<u64>; 2] {
        let session = self.session(no);
        let queue = self.queue(session.queue);
        let open = queue.out() > 0 || !session.live_requests(self.now).is_empty();
        let kept_until = session.idle_since() + PENDING_PROTECTS.0;
        let pending = queue.unsettled() > 0 && self.now <= kept_until;
        let span = |limit: Limit| match limit {
            Limit::After(span) => Some(span.0),
            Limit::Never => None,
        };
        let idle = span(session.timeouts.idle).map(|span| session.idle_since() + span);
        let life = span(session.timeouts.lifetime);
        let soft = life.map(|span| session.active_since + span);
        let hard = life.map(|span| session.active_since + span * LIFETIME_HARD_FACTOR);
        if open {
            [None, hard]
        } else if pending {
            let soft = soft.map(|end| end.max(kept_until));
            let age = soft.zip(hard).map(|(soft, hard)| soft.min(hard));
            [idle.map(|end| end.max(kept_until)), age]
        } else {
            [idle, soft]
        }
    }

    /// The ends that are near and that nobody was warned of.
    pub(crate) fn warnings(&self, no: u64) -> Vec<(usize, u64)> {
        let ends = self.ends_of(no).into_iter().enumerate();
        let ends = ends.filter_map(|(limit, end)| Some((limit, end?)));
        ends.filter(|(limit, end)| {
            let told = self.session(no).warned[*limit] == Some(*end);
            let lead = self.lead(no, *limit);
            let near = lead.is_some_and(|lead| *end <= self.now + lead && self.now <= *end);
            near && !told
        })
        .collect()
    }

    pub(crate) fn warn(&mut self, no: u64, out: &mut Expected) {
        let now = self.now;
        self.mark_spared(no);
        for (limit, end) in self.warnings(no) {
            let marks = [Mark::WarnedIdle, Mark::WarnedAge];
            self.marks.hit(marks[limit]);
            let session = self.session_mut(no);
            let again = session.warned[limit].replace(end).is_some();
            self.marks.hit_if(again, Mark::WarnedAgain);
            out.facts.push(Fact::Warning(no, LIMITS[limit], end - now));
        }
    }

    fn mark_spared(&mut self, no: u64) {
        let session = self.session(no);
        let Limit::After(idle) = session.timeouts.idle else {
            return;
        };
        let end = session.idle_since() + idle.0;
        let near = self.lead(no, 0).is_some_and(|lead| end <= self.now + lead);
        let spared = near && self.ends_of(no)[0] != Some(end);
        self.marks.hit_if(spared, Mark::WarningSpared);
    }
}
