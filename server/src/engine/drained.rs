//! What a start does with a drain that it finds open: the sessions that it meant end now, from the record alone, and it is
//! over.
//!
//! Invariant: when the engine begins to serve, no drain is open, and none of the sessions lives that were to end, but those
//! that were to do their work first. What this deliberately does not do: judge how the server ended; only the record counts.

use sessiond_core::command::Command;
use sessiond_core::command::drain::{DrainCommand, Undone};
use sessiond_core::event::ActorKind;
use sessiond_core::rows::Counters;
use sessiond_core::session::EndMode;
use sessiond_core::time::Span;
use sessiond_store::fault::Fault;

use super::Engine;
use super::inbox::Envelope;
use crate::drain::outside;

impl Engine {
    /// Finishes the drain that is on record, if one is.
    pub(super) fn finish_drain(&mut self) -> Result<(), Fault> {
        let rows = self.store.reader().snapshot()?;
        if rows.drain()?.is_none_or(|row| row.end.is_some()) {
            return Ok(());
        }
        let before = rows.counters()?;
        drop(rows);
        if let Some(drain) = before.drain {
            self.ask_live(drain.through, |session| {
                Command::Drain(DrainCommand::End {
                    session,
                    mode: EndMode::Immediate,
                    grace: Span(0),
                    actor: ActorKind::Recovery,
                })
            })?;
        }
        self.run_batch(vec![step(DrainCommand::Close)])?;
        let report = DrainCommand::Report {
            actor: ActorKind::Recovery,
            undone: Undone {
                unreleased: outside::unreleased(&self.store.reader().snapshot()?)?,
                // Nobody reads before the server serves.
                unheard: Vec::new(),
            },
        };
        self.run_batch(vec![step(report)])?;
        let after = self.store.reader().snapshot()?.counters()?;
        let live = |counters: Counters| counters.queued + counters.active + counters.draining;
        let ended = live(before) - live(after);
        tracing::warn!(
            ended,
            "the last stop was cut short; what it was to end has ended"
        );
        Ok(())
    }
}

fn step(command: DrainCommand) -> Envelope {
    Envelope::silent(Command::Drain(command))
}
