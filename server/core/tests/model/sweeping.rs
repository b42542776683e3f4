//! What the model says of one session of a sweep that somebody asked for.

use sessiond_core::command::Reap;
use sessiond_core::ids::SessionRef;
use sessiond_core::session::{EndMode, EndReason, PendingPolicy};
use sessiond_core::time::{Limit, Span};

use super::marks::Mark;
use super::sessions::Verdict;
use super::state::{Ending, Model};
use super::told::{Answer, Expected};

impl Model {
    pub(crate) fn reap(&mut self, reap: &Reap, out: &mut Expected) -> Verdict {
        let no = self.find_any(&SessionRef::Id(reap.session.clone()))?;
        let reason = self.swept(no, reap);
        if let Some(reason) = reason {
            let ending = Ending {
                reason,
                actor: reap.actor.clone(),
                mode: EndMode::Immediate,
                deadline: self.now,
                pending: PendingPolicy::Keep,
            };
            self.finish(no, &ending, None, out);
        }
        Ok(Answer::Reaped {
            session: no,
            reason,
        })
    }

    /// Why the sweep ends an active session, if it does.
    fn swept(&mut self, no: u64, reap: &Reap) -> Option<EndReason> {
        if !self.session(no).is_active() {
            return None;
        }
        let own = self.session(no).timeouts;
        let alone = self.limits_of(no).ends;
        let limits = &mut self.session_mut(no).timeouts;
        for (limit, threshold) in [
            (&mut limits.idle, reap.within.idle),
            (&mut limits.lifetime, reap.within.lifetime),
        ] {
            if let Some(Span(span)) = threshold {
                *limit = Limit::After(Span(match *limit {
                    Limit::After(Span(own)) => own.min(span),
                    Limit::Never => span,
                }));
            }
        }
        let judged = self.limits_of(no);
        self.session_mut(no).timeouts = own;
        self.marks
            .hit_if(alone.is_none() && judged.ends.is_some(), Mark::Swept);
        self.marks.hit_if(judged.excused, Mark::SweepSpared);
        let touched = judged.ends.is_none() && self.session(no).last_activity == self.now;
        self.marks.hit_if(touched, Mark::SweepAfterTouch);
        judged.ends
    }
}
