//! Asks something of every session that lives, at a start, before anybody is served.
//!
//! Invariant: those that wait for a slot are asked first, or each slot that frees would let one in to be ended; each is asked
//! by a command of its own, a page to a commit. What this deliberately does not do: say what is asked, or hear the answers.

use sessiond_core::command::Command;
use sessiond_core::ids::SessionNo;
use sessiond_store::fault::Fault;

use super::Engine;
use super::inbox::Envelope;
use crate::drain::{Place, Which, page};

impl Engine {
    /// Asks the sessions that live, up to `through`.
    pub(super) fn ask_live(
        &mut self,
        through: SessionNo,
        command: impl Fn(SessionNo) -> Command,
    ) -> Result<(), Fault> {
        if self.store.reader().snapshot()?.counters()?.queued > 0 {
            self.ask_pages(Which::Waiting, through, &command)?;
        }
        self.ask_pages(Which::All, through, &command)
    }

    fn ask_pages(
        &mut self,
        which: Which,
        through: SessionNo,
        command: &impl Fn(SessionNo) -> Command,
    ) -> Result<(), Fault> {
        let mut place: Option<Place> = None;
        loop {
            let rows = self.store.reader().snapshot()?;
            let page = page(&rows, place.as_ref(), which, through)?;
            drop(rows);
            let Some(last) = page.last else {
                return Ok(());
            };
            place = Some(last);
            let asked = page.sessions.into_iter().map(|(session, ahead)| {
                let mut asked = Envelope::silent(command(session.no));
                asked.ahead = ahead;
                asked
            });
            self.run_batch(asked.collect())?;
        }
    }
}
