//! Exports before a purge in the reference model: nothing is deleted that an export has not as it is.
//!
//! What an export shows is compared whole: the session, all its messages, how many events it has. The rules compare much
//! less, and must come to the same.

use sessiond_core::command::{Command, Retire};
use sessiond_core::event::Actor;
use sessiond_core::exported::Exported;
use sessiond_core::ids::{QueueId, SessionId, SessionNo};
use sessiond_core::limits::{PROTECTED_RECHECK, PURGE_RECHECK};
use sessiond_core::message::{MessageRow, Standing};
use sessiond_core::queue::Disposition;
use sessiond_core::rows::{Row, RowKey};
use sessiond_core::session::{ActivityRow, SessionRow};
use sessiond_core::time::Limit;

use super::marks::exports::Exports;
use super::sessions::Verdict;
use super::state::{Fate, Model, Queue};
use super::told::{Answer, Expected, Refusal};
use super::world::World;

/// Exports that are remembered, to be used too late.
const REMEMBERED: usize = 16;

/// What an export shows.
#[derive(Clone, Debug, PartialEq)]
struct Contents {
    session: SessionRow,
    activity: ActivityRow,
    /// Of its queue, unless a successor took it over.
    left: Option<(Disposition, Vec<MessageRow>)>,
    events: usize,
}

/// An export of a session.
#[derive(Clone, Debug)]
pub(crate) struct Export {
    proof: Exported,
    contents: Contents,
}

/// Whether an export that is handed over still shows all there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Handed {
    #[default]
    Nothing,
    /// It does not; whether the newest event is the same all the same.
    Outdated { silently: bool },
    /// It does, and is of now or of before.
    Whole { fresh: bool },
}

impl Model {
    pub(crate) fn require_export(&mut self, no: u64) -> Result<(), Refusal> {
        if !self.policy.export_before_purge {
            return Ok(());
        }
        match self.handed {
            Handed::Nothing => self.marks.hit(Exports::Missing),
            Handed::Outdated { silently } => {
                self.marks.hit(Exports::Outdated);
                self.marks.hit_if(silently, Exports::OutdatedSilently);
            }
            Handed::Whole { fresh } => {
                self.marks.hit_if(!fresh, Exports::Kept);
                return Ok(());
            }
        }
        Err(Refusal::Unexported(self.session(no).id.clone()))
    }

    pub(crate) fn retire(&mut self, no: u64, out: &mut Expected) -> Verdict {
        if self.session(no).purged {
            self.marks.hit(Exports::RetiredLate);
            return Ok(Answer::Done);
        }
        if self.stays_for_hearing(no).is_some() {
            // Somebody has come since who must hear of it.
            self.marks.hit(Exports::RetiredUnheard);
            return Ok(Answer::Done);
        }
        assert_eq!(self.stays_until(no), None, "what may go once may go");
        self.require_export(no)?;
        self.marks.hit(Exports::Retired);
        Ok(Answer::Purged(self.delete(no, &Actor::reaper(), out)))
    }

    /// Until when an ended session stays for what is left in its queue, if that is exported with it.
    pub(crate) fn stays_with_letters(&self, no: u64, queue: &Queue) -> Option<u64> {
        let unsettled = queue.unsettled() > 0;
        match queue.fate {
            Fate::Held { until } if unsettled => return Some(until),
            Fate::Discarded => return Some(self.now + PROTECTED_RECHECK.0),
            Fate::Held { .. } | Fate::Dead => {}
            Fate::Serving | Fate::Quiet | Fate::Purged | Fate::Gone => return None,
        }
        let left = (queue.fate == Fate::Dead && unsettled).then_some(queue.dead_since);
        let given_up = (queue.given_up() > 0).then_some(self.session(no).ended_at);
        let since = left.max(given_up)?;
        let until = match self.policy.dead_letter_retention {
            Limit::After(span) => since + span.0,
            Limit::Never => self.now + PURGE_RECHECK.0,
        };
        (until > self.now).then_some(until)
    }
}

impl World {
    /// What an export of a session would show now, and its proof.
    fn export(&self, no: SessionNo) -> Option<Export> {
        let row = |key: RowKey| self.store.rows.get(&key);
        let (Some(Row::Session(session)), Some(Row::Activity(activity))) =
            (row(RowKey::Session(no)), row(RowKey::Activity(no)))
        else {
            return None;
        };
        let mut queue = None;
        if let Some(Row::Queue(found)) = row(RowKey::Queue(session.queue)) {
            queue = Some(found.clone());
        }
        let own = queue.as_ref().filter(|queue| queue.owner == no);
        let left = own.map(|queue| (kept(queue.disposition), self.messages(queue.id)));
        let events = self.store.events.iter();
        let contents = Contents {
            session: SessionRow::clone(session),
            activity: ActivityRow {
                check_at: None,
                ..ActivityRow::clone(activity)
            },
            left,
            events: events
                .filter(|event| event.session().is_some_and(|view| view.session.no == no))
                .count(),
        };
        Some(Export {
            proof: Exported::new(session.clone(), activity, queue.as_deref()),
            contents,
        })
    }

    /// All messages of a queue, whatever became of them, but for how long they are kept.
    fn messages(&self, queue: QueueId) -> Vec<MessageRow> {
        let rows = self.store.rows.values();
        let messages = rows.filter_map(|row| {
            let Row::Message(message) = row else {
                return None;
            };
            (message.queue == queue).then(|| MessageRow::clone(message))
        });
        let timeless = messages.map(|mut message| {
            if let Standing::Dead { until, .. } = &mut message.standing {
                *until = None;
            }
            message
        });
        timeless.collect()
    }

    /// An export of a session, made now or before, or none; the model is told what it is worth.
    pub(crate) fn some_export(&mut self, id: &SessionId) -> Option<Box<Exported>> {
        self.model.handed = Handed::Nothing;
        let sessions = self.model.sessions.iter();
        let no = sessions
            .filter(|session| session.id == *id)
            .map(|session| session.no)
            .next_back();
        let no = SessionNo(no?);
        let fresh = self.export(no);
        let of_session = |export: &&Export| export.contents.session.no == no;
        let before: Vec<Export> = self.exports.iter().filter(of_session).cloned().collect();
        let of_before = self.pick(&before);
        if let Some(export) = &fresh
            && self.rng.bool()
        {
            self.exports.push_front(export.clone());
            self.exports.truncate(REMEMBERED);
        }
        let (export, made_now) = match self.rng.u32(..8) {
            0 => return None,
            1..6 if of_before.is_some() => (of_before?, false),
            _ => (fresh.clone()?, true),
        };
        let now = fresh.map(|fresh| fresh.contents);
        self.model.handed = if now.as_ref() == Some(&export.contents) {
            Handed::Whole { fresh: made_now }
        } else {
            let newest = now.map(|now| now.session.revision);
            let silently = newest == Some(export.contents.session.revision);
            Handed::Outdated { silently }
        };
        Some(Box::new(export.proof))
    }

    /// Whoever exports does some of what it was asked to, now and then twice.
    pub(crate) fn export_some(&mut self) {
        let asked = std::mem::take(&mut self.asked);
        for session in asked {
            if self.rng.u32(..4) == 0 {
                self.asked.push(session);
                continue;
            }
            let id = self.model.session(session.0).id.clone();
            let Some(exported) = self.some_export(&id) else {
                continue;
            };
            // It may be refused, and is asked for again.
            let _answer = self.submit(&Command::Retire(Retire { session, exported }));
            if self.rng.u32(..4) == 0 {
                self.asked.push(session);
            }
        }
    }
}

/// What may be done with a queue, but for how long it is kept.
fn kept(mut disposition: Disposition) -> Disposition {
    if let Disposition::Dead { until, .. } = &mut disposition {
        *until = None;
    }
    disposition
}
