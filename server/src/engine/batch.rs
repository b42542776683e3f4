//! One batch: decisions over a common view, committed together, spoken in order.
//!
//! Each decision is laid over the view before the next is taken, so that they see one another; a
//! rejected one leaves no trace. Answers, pushes and wake-ups are kept until the commit is done.

use std::collections::BTreeMap;
use std::sync::Arc;

use sessiond_core::change::Change;
use sessiond_core::command::Command;
use sessiond_core::decide::{Decision, Stop, decide};
use sessiond_core::event::EventRow;
use sessiond_core::ids::{Revision, SessionNo, StreamId};
use sessiond_core::rejection::Rejection;
use sessiond_core::reply::{Answer, Frame, Push, Wake};
use sessiond_core::rows::{Counters, Read, Row, RowKey};
use sessiond_core::time::{EngineTime, Now};
use sessiond_core::view::View;
use sessiond_store::fault::Fault;
use sessiond_store::store::Store;
use smallvec::SmallVec;

use super::Parts;
use super::inbox::{Envelope, ReplyTo};
use super::progress::Tally;
use crate::limits::{BATCH_FOLLOW_UPS_MAX, MISSING_ROUNDS_MAX};

/// What a batch has gathered so far.
#[derive(Debug, Default)]
pub(super) struct Batch {
    changes: Vec<Change>,
    replies: Vec<(ReplyTo, SmallVec<[Answer; 1]>)>,
    pushes: Vec<Push>,
    wakes: Vec<Wake>,
    follow_ups: Vec<Command>,
    /// Resources are to go.
    releases: bool,
    /// Sessions that wait to be exported.
    exports: Vec<SessionNo>,
    /// Watches of consumers that are over, and what each is told.
    cuts: Vec<(StreamId, Box<Rejection>)>,
    tally: Tally,
    events: Vec<Arc<EventRow>>,
}

impl Batch {
    /// Decides the commands of an envelope; their answers wait for the commit.
    pub(super) fn decide(
        &mut self,
        store: &Store,
        view: &mut View,
        envelope: Envelope,
        now: Now,
    ) -> Result<(), Fault> {
        let mut answers = SmallVec::with_capacity(envelope.commands.len());
        for command in &envelope.commands {
            self.tally.commands += 1;
            let looks = is_look(command);
            self.tally.looks += u64::from(looks);
            answers.push(match settle(store, view, command, now)? {
                Ok(decision) => self.take(view, decision),
                Err(rejection) => {
                    if looks {
                        self.tally.looks_refused += 1;
                        tracing::error!(?command, ?rejection, "what was due was refused");
                    }
                    Answer {
                        revision: counters(store, view)?.revision,
                        outcome: Err(*rejection),
                    }
                }
            });
        }
        self.replies.push((envelope.reply, answers));
        Ok(())
    }

    fn take(&mut self, view: &mut View, decision: Decision) -> Answer {
        view.apply(&decision.changes, decision.presence);
        for change in &decision.changes {
            if let Change::Row(RowKey::Event(_), Some(Row::Event(event))) = change {
                self.tally.count(event);
                self.events.push(Arc::clone(event));
            }
        }
        self.changes.extend(decision.changes);
        self.pushes.extend(decision.pushes);
        self.wakes.extend(decision.wakes);
        self.follow_ups.extend(decision.follow_ups);
        self.releases |= decision.releases;
        self.exports.extend(decision.exports);
        self.cuts.extend(decision.cuts);
        self.tally.acked += decision.acked;
        Answer {
            revision: decision.revision,
            outcome: match decision.refused {
                Some(rejection) => Err(*rejection),
                None => Ok(decision.reply),
            },
        }
    }

    /// Decides what the batch itself asked for; answers with what is left for the next one.
    pub(super) fn decide_follow_ups(
        &mut self,
        store: &Store,
        view: &mut View,
        now: Now,
    ) -> Result<Vec<Command>, Fault> {
        for _ in 0..BATCH_FOLLOW_UPS_MAX {
            if self.follow_ups.is_empty() {
                break;
            }
            let command = self.follow_ups.remove(0);
            if self.follow_ups.contains(&command) {
                continue;
            }
            self.decide(store, view, Envelope::silent(command), now)?;
        }
        Ok(std::mem::take(&mut self.follow_ups))
    }

    /// Writes engine time with the batch.
    pub(super) fn stamp(
        &mut self,
        store: &Store,
        view: &mut View,
        now: EngineTime,
    ) -> Result<(), Fault> {
        let mut counters = counters(store, view)?;
        counters.engine_time = counters.engine_time.max(now);
        self.changes.push(Change::Row(
            RowKey::Counters,
            Some(Row::Counters(Arc::new(counters))),
        ));
        Ok(())
    }

    /// Whether resources are to go.
    pub(super) fn releases(&self) -> bool {
        self.releases
    }

    /// Sessions that wait to be exported.
    pub(super) fn exports(&self) -> &[SessionNo] {
        &self.exports
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    pub(super) fn changes(&self) -> &[Change] {
        &self.changes
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Publishes, pushes, answers, wakes: in this order, after the commit. Answers with the pushes
    /// whose stream was gone.
    pub(super) fn speak(self, to: &Parts) -> Vec<Push> {
        let (feed, dispatcher) = (&to.feed, &to.dispatcher);
        let newest = self.events.last().map(|event| event.revision);
        feed.publish(self.events);
        let mut unsent = Vec::new();
        for (stream, frames) in by_stream(self.pushes) {
            if let Err(frames) = dispatcher.push(stream, frames) {
                unsent.extend(frames.into_iter().map(|frame| (stream, frame)));
            }
        }
        for (stream, why) in self.cuts {
            to.consumers.cut(stream, why);
        }
        for (reply, answers) in self.replies {
            reply.send(answers);
        }
        if let Some(newest) = newest {
            feed.wake(newest);
        }
        for wake in self.wakes {
            dispatcher.wake(&wake);
        }
        unsent
    }
}

/// Whether the server asks it of itself because its time has come.
fn is_look(command: &Command) -> bool {
    matches!(command, Command::Due(_) | Command::Lapse(_))
}

/// The frames of each stream, in their order.
fn by_stream(pushes: Vec<Push>) -> BTreeMap<StreamId, Vec<Frame>> {
    let mut streams: BTreeMap<StreamId, Vec<Frame>> = BTreeMap::new();
    for (stream, frame) in pushes {
        streams.entry(stream).or_default().push(frame);
    }
    streams
}

/// Decides, loading what the decision asks for until it can be taken.
fn settle(
    store: &Store,
    view: &mut View,
    command: &Command,
    now: Now,
) -> Result<Result<Decision, Box<Rejection>>, Fault> {
    for _ in 0..MISSING_ROUNDS_MAX {
        match decide(view, command, now) {
            Ok(decision) => return Ok(Ok(decision)),
            Err(Stop::Rejected(rejection)) => return Ok(Err(rejection)),
            Err(Stop::Missing(reads)) => store.load(view, &reads)?,
        }
    }
    panic!("a decision asked for rows {MISSING_ROUNDS_MAX} times: {command:?}");
}

fn counters(store: &Store, view: &mut View) -> Result<Counters, Fault> {
    if view.row(&RowKey::Counters).is_none() {
        store.load(view, &[Read::Row(RowKey::Counters)])?;
    }
    match view.row(&RowKey::Counters) {
        Some(Some(Row::Counters(counters))) => Ok(**counters),
        Some(None) => Ok(Counters {
            revision: Revision(0),
            ..Counters::default()
        }),
        other => panic!("the counters row was just loaded: {other:?}"),
    }
}
