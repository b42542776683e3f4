//! What the model says of a session that is to be explained.
//!
//! Whatever the words of an explanation are, it must say that an end is due exactly when the next look at the session
//! would end it, and give a reason for each message that waits: nothing is pending without saying why.

use sessiond_core::command::Explain;
use sessiond_core::time::Limit;

use super::sessions::Verdict;
use super::state::{Fate, Model, State};
use super::told::Answer;

impl Model {
    pub(crate) fn explain(&self, asked: &Explain) -> Verdict {
        let no = self.find_any(&asked.session)?;
        let session = self.session(no);
        let due = match &session.state {
            State::Queued(turn) => {
                let lost = match session.timeouts.owner {
                    Limit::After(span) => self.now - session.owner_seen > span.0,
                    Limit::Never => false,
                };
                lost || turn.until.is_some_and(|until| until <= self.now)
            }
            State::Active => self.limits_of(no).ends.is_some(),
            State::Draining(ending) => ending.deadline <= self.now,
            State::Ended(_) => false,
        };
        let queue = self.queue(session.queue);
        let waits = match queue.fate {
            Fate::Serving | Fate::Quiet | Fate::Held { .. } => queue.owner == no,
            Fate::Dead | Fate::Discarded | Fate::Purged | Fate::Gone => false,
        };
        let pending = queue.unsettled() - queue.out() as u64;
        let stalled = if waits { pending } else { 0 };
        Ok(Answer::Explained {
            session: no,
            due,
            stalled,
            behind: stalled > 0 && session.behind().is_some(),
            outside: session.unreleased() as u64,
        })
    }
}
