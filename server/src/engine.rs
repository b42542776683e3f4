//! The engine: takes what arrived, decides it, commits once, then speaks.
//!
//! Everything that arrived during a commit is the next batch; the disk sets the pace and there is no
//! timed window. Nothing is answered, pushed or published before its batch is durable. The first
//! storage error stops the engine for good: what it had not answered stays unanswered, and the
//! process ends. Rules are not here; they are in `sessiond_core::decide`.

use std::sync::Arc;
use std::time::Duration;

use sessiond_core::command::{Command, WorkerCommand, WorkerFrame};
use sessiond_core::ids::Epoch;
use sessiond_core::limits::Policy;
use sessiond_core::reply::{Frame, Push};
use sessiond_core::time::EngineTime;
use sessiond_core::view::View;
use sessiond_store::fault::Fault;
use sessiond_store::store::Store;
use tokio::time::Instant;

use crate::calendar::DailyReset;
use crate::checkpoint::Pace;
use crate::consumers::Consumers;
use crate::dispatch::Dispatcher;
use crate::env::{Clock, Ids};
use crate::exports::Exports;
use crate::feed::Feed;
use crate::limits::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX, RESTORE_PAGE, SETTLE_AFTER};
use crate::releaser::Bell;

mod ahead;
mod batch;
mod calendar;
mod clock;
mod crashed;
mod drained;
mod inbox;
mod live;
mod progress;
mod timers;

pub use clock::EngineClock;
pub use crashed::LiveSessions;
pub use inbox::{Backlog, Handle, Refused};
pub use progress::Progress;

use ahead::Ahead;
use batch::Batch;
use calendar::Calendar;
use inbox::{Envelope, Inbox};
use timers::Timers;

/// What the engine needs beside its store.
#[derive(Debug)]
pub struct Parts {
    /// The limits in force.
    pub policy: Arc<Policy>,
    /// Reads time.
    pub clock: Arc<dyn Clock>,
    /// Who gets pushes and wake-ups.
    pub dispatcher: Arc<Dispatcher>,
    /// Who gets events.
    pub feed: Arc<Feed>,
    /// Whose watches may be over.
    pub consumers: Consumers,
    /// Who makes checkpoints.
    pub pace: Pace,
    /// Who ends what sessions leave outside.
    pub releases: Bell,
    /// What becomes of sessions that were live when the server died.
    pub live_sessions: LiveSessions,
    /// Who exports sessions before they are deleted; none where that need not be.
    pub exports: Option<Arc<Exports>>,
    /// When sessions are reset by the calendar.
    pub daily_reset: Option<DailyReset>,
    /// Draws ids of their successors.
    pub ids: Arc<dyn Ids>,
}

/// The engine, ready to run.
#[derive(Debug)]
pub struct Engine {
    store: Store,
    view: View,
    parts: Parts,
    inbox: Inbox,
    progress: Arc<Progress>,
    timers: Timers,
    calendar: Calendar,
    clock: EngineClock,
    persisted: EngineTime,
    carried: Vec<Command>,
    /// Something was committed since the store was settled.
    unsettled: bool,
    ahead: Ahead,
}

impl Engine {
    /// An engine over an open store, and the handle to reach it.
    ///
    /// # Errors
    /// The store's fault, if it cannot be read.
    pub fn new(store: Store, parts: Parts) -> Result<(Self, Handle), Fault> {
        let counters = store.reader().snapshot()?.counters()?;
        let progress = Arc::new(Progress::default());
        let clock = EngineClock::new(Arc::clone(&parts.clock), counters.engine_time);
        let (handle, inbox) = inbox::channel(Arc::clone(&progress), clock.clone());
        let mut engine = Self {
            view: View::new(Arc::clone(&parts.policy)),
            clock,
            persisted: counters.engine_time,
            store,
            calendar: Calendar::new(parts.daily_reset.clone(), Arc::clone(&parts.ids)),
            parts,
            inbox,
            progress,
            timers: Timers::default(),
            carried: Vec::new(),
            unsettled: false,
            ahead: Ahead::default(),
        };
        engine.recover()?;
        Ok((engine, handle))
    }

    /// Gives every lease on record one full term, ends what an earlier stop was to end, and gives slots to those that wait
    /// for them. The rest of recovery is in the records: what was ending, and what waits, has its deadline in the due index.
    fn recover(&mut self) -> Result<(), Fault> {
        let mut after = Epoch(0);
        loop {
            let rows = self.store.reader().snapshot()?;
            let epochs = rows.current_leases_after(after, RESTORE_PAGE)?;
            let Some(last) = epochs.last().copied() else {
                break;
            };
            after = last;
            self.run_batch(vec![Envelope::silent(Command::Restore(epochs))])?;
        }
        self.finish_drain()?;
        self.end_crashed()?;
        // Slots may have come to be free while the server was down: its limits are those of its present configuration.
        let waited = self.store.reader().snapshot()?.pools_with_waiters()?;
        for (namespace, pool) in waited {
            let admit = Command::Admit { namespace, pool };
            self.run_batch(vec![Envelope::silent(admit)])?;
        }
        if let Some(absent) = self.calendar.absent() {
            self.run_batch(vec![Envelope::silent(absent)])?;
        }
        self.serve()?;
        self.timers.reload(&self.store)
    }

    /// Runs until every handle is gone or the store fails.
    ///
    /// # Errors
    /// The store's fault.
    pub async fn run(mut self) -> Result<(), Fault> {
        loop {
            let timer = self.until_next_timer();
            let idle = self.unsettled && timer > SETTLE_AFTER;
            let wait = if idle { SETTLE_AFTER } else { timer };
            let mut envelopes: Vec<Envelope> =
                self.carried.drain(..).map(Envelope::silent).collect();
            if envelopes.is_empty() {
                match self.inbox.next(wait).await {
                    inbox::Next::Envelope(envelope) => envelopes.push(*envelope),
                    inbox::Next::Timer if idle => {
                        self.progress.begun(self.clock.monotonic_ms());
                        self.store.settle()?;
                        self.progress.done();
                        self.unsettled = false;
                        continue;
                    }
                    inbox::Next::Timer => {}
                    inbox::Next::Closed => break,
                }
            }
            self.inbox
                .take_waiting(&mut envelopes, BATCH_COMMANDS_MAX, BATCH_BYTES_MAX);
            let now = self.clock.now();
            self.progress.begun(self.clock.monotonic_ms());
            self.timers
                .take_due(&self.store, &self.view, now.engine, &mut envelopes)?;
            self.calendar.take(&self.store, now, &mut envelopes)?;
            self.run_batch(envelopes)?;
            self.progress.done();
        }
        self.persist_clock()
    }

    fn until_next_timer(&self) -> Duration {
        let now = self.clock.now();
        let timer = self.timers.next(&self.view, self.persisted);
        let next = self.calendar.next(now).map_or(timer, |at| at.min(timer));
        Duration::from_millis(next.since(now.engine).0)
    }

    /// Decides a batch, commits it, speaks.
    fn run_batch(&mut self, envelopes: Vec<Envelope>) -> Result<(), Fault> {
        let now = self.clock.now();
        let mut batch = Batch::default();
        for mut envelope in envelopes {
            self.ahead.take(&mut self.view, &mut envelope);
            batch.decide(&self.store, &mut self.view, envelope, now)?;
        }
        // A start runs batches one after another: what one leaves must outlast the next.
        self.carried
            .extend(batch.decide_follow_ups(&self.store, &mut self.view, now)?);
        self.progress.decided(batch.tally());
        if batch.has_changes() || self.timers.clock_is_due(self.persisted, now.engine) {
            batch.stamp(&self.store, &mut self.view, now.engine)?;
            let began = Instant::now();
            self.store.commit(batch.changes())?;
            self.progress
                .committed(batch.tally(), now.wall, began.elapsed());
            self.parts.pace.gathered(self.store.gathered_bytes());
            self.persisted = now.engine;
            self.unsettled = true;
            self.timers.note(&self.store, batch.changes())?;
        }
        self.view.committed();
        self.ahead.committed(&self.store, &self.view);
        if batch.releases() {
            self.parts.releases.ring();
        }
        if let Some(exports) = &self.parts.exports {
            exports.ask(batch.exports());
        }
        let unsent = batch.speak(&self.parts);
        let returned: Vec<Command> = unsent
            .into_iter()
            .filter_map(|push| self.unsent(push))
            .collect();
        self.carried.extend(returned);
        Ok(())
    }

    /// The command that takes back deliveries whose stream was gone when they were to be sent.
    fn unsent(&self, (stream, frame): Push) -> Option<Command> {
        let Frame::Deliveries(deliveries) = frame else {
            return None;
        };
        let epoch = deliveries.first()?.epoch;
        let instance = self.view.presence.clock(epoch)?.holder.clone();
        let places = deliveries
            .iter()
            .map(|d| (d.message.queue, d.message.seq, d.delivery_id));
        Some(Command::Worker(WorkerCommand {
            instance,
            stream,
            frame: WorkerFrame::Unsent(places.collect()),
        }))
    }

    fn persist_clock(&mut self) -> Result<(), Fault> {
        let mut batch = Batch::default();
        batch.stamp(&self.store, &mut self.view, self.clock.now().engine)?;
        self.store.commit(batch.changes())?;
        self.store.settle()
    }
}
