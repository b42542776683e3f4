//! What a start does with live sessions where they are not to outlive a server that died.
//!
//! Invariant: whether the last one died is read from the record, and each session ends by a decision of its own. What this
//! deliberately does not do: touch a session whose end is on record.

use sessiond_core::command::Command;
use sessiond_core::command::recovery::RecoveryCommand;
use sessiond_core::ids::SessionNo;
use sessiond_store::fault::Fault;

use super::Engine;
use super::inbox::Envelope;
use crate::drain::{Place, Which, page};

/// What becomes of sessions that were live when the server died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LiveSessions {
    /// They stay live, and their owners and workers have one full term.
    #[default]
    Keep,
    /// They end, with reason CRASHED.
    End,
}

impl Engine {
    /// Ends what a server that died left live, if it is to end.
    pub(super) fn end_crashed(&mut self) -> Result<(), Fault> {
        let counters = self.store.reader().snapshot()?.counters()?;
        if self.parts.live_sessions == LiveSessions::Keep || !counters.serving {
            return Ok(());
        }
        if counters.queued > 0 {
            self.crash(Which::Waiting, counters.session)?;
        }
        self.crash(Which::All, counters.session)?;
        let ended = counters.queued + counters.active;
        tracing::warn!(
            ended,
            "the last server died; the sessions that it left live have ended"
        );
        Ok(())
    }

    /// Says that it serves, unless that is on record.
    pub(super) fn serve(&mut self) -> Result<(), Fault> {
        if self.store.reader().snapshot()?.counters()?.serving {
            return Ok(());
        }
        self.run_batch(vec![step(RecoveryCommand::Serve)])
    }

    fn crash(&mut self, which: Which, through: SessionNo) -> Result<(), Fault> {
        let mut place: Option<Place> = None;
        loop {
            let rows = self.store.reader().snapshot()?;
            let page = page(&rows, place.as_ref(), which, through)?;
            drop(rows);
            let Some(last) = page.last else {
                return Ok(());
            };
            place = Some(last);
            let ends = page.sessions.into_iter();
            let ends = ends.map(|(session, _)| step(RecoveryCommand::Crashed(session.no)));
            self.run_batch(ends.collect())?;
        }
    }
}

fn step(command: RecoveryCommand) -> Envelope {
    Envelope::silent(Command::Recovery(command))
}
