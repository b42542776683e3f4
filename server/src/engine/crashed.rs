//! What a start does with live sessions where they are not to outlive a server that died.
//!
//! Invariant: whether the last one died is read from the record, and each session ends by a decision of its own. What this
//! deliberately does not do: touch a session whose end is on record.

use sessiond_core::command::Command;
use sessiond_core::command::recovery::RecoveryCommand;
use sessiond_store::fault::Fault;

use super::Engine;
use super::inbox::Envelope;

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
        self.ask_live(counters.session, |no| {
            Command::Recovery(RecoveryCommand::Crashed(no))
        })?;
        let ended = counters.queued + counters.active;
        tracing::warn!(
            ended,
            "the last server died; the sessions that it left live have ended"
        );
        Ok(())
    }

    /// Puts on record that it serves; writes nothing where that is.
    pub(super) fn serve(&mut self) -> Result<(), Fault> {
        let serve = Command::Recovery(RecoveryCommand::Serve);
        self.run_batch(vec![Envelope::silent(serve)])
    }
}
