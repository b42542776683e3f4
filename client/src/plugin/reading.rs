//! One reading of a subscription: reads ahead a little, handles one event at a
//! time, says what was handled.
//!
//! Keeps three things apart that go on at once: the handler, the acknowledgement
//! and the watch. So a handler that takes long holds up neither what was handled
//! before it nor the news that the server is going or that the subscription is
//! lost. Nothing of a reading outlives it: what was read ahead is dropped with it,
//! and comes again.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::FusedFuture;
use sessiond_proto::v1 as pb;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::acks::Acks;
use super::run::Core;
use super::state::PluginState;
use super::work::Work;
use super::{HandlerError, PluginError, PluginEvent, PluginHandler, PluginNotice};
use crate::error::Error;
use crate::link::{LinkObserver, LinkState};
use crate::watch::{EventStream, WatchItem};

/// Events read ahead of the handler: about a frame.
const AHEAD_MAX: usize = 256;

/// How a reading ended.
pub(super) enum Over {
    /// The watch ended, for this reason.
    Lost(Error),
    /// The plugin was told to stop.
    Stopped,
}

/// A reading that goes on.
pub(super) struct Reading {
    watch: EventStream,
    link: LinkObserver,
    acks: Option<Acks>,
    ahead: VecDeque<Ahead>,
    work: Option<Work>,
    /// Whether the watch is open as far as is known: while it is not, another
    /// consumer may have the subscription, so nothing new is begun.
    connected: bool,
    /// Why the watch ended, while the handler is still at its event.
    over: Option<Error>,
    /// When it ends at the latest, once it was told to stop.
    stop_at: Option<Instant>,
    /// Until when the server serves, once it is going.
    closes: watch::Sender<Option<Instant>>,
    lost: CancellationToken,
}

/// What was read and not handled.
enum Ahead {
    Event(Arc<pb::SessionEvent>),
    /// Everything up to here was sent.
    Mark(u64),
}

impl Reading {
    pub(super) fn of(watch: EventStream) -> Self {
        Self {
            link: watch.link(),
            watch,
            acks: None,
            ahead: VecDeque::new(),
            work: None,
            connected: false,
            over: None,
            stop_at: None,
            closes: watch::Sender::new(None),
            lost: CancellationToken::new(),
        }
    }

    /// Goes on until the watch ends or the plugin is told to stop, and the handler
    /// has returned, as far as the grace lets it.
    pub(super) async fn run<H: PluginHandler>(
        mut self,
        core: &mut Core<H>,
        mut shutdown: Pin<&mut impl FusedFuture<Output = ()>>,
    ) -> Result<Over, PluginError> {
        loop {
            self.begin_work();
            if let Some(over) = self.ended() {
                return Ok(over);
            }
            let reads = self.over.is_none() && self.stop_at.is_none();
            let says = self.over.is_none() && self.is_behind();
            tokio::select! {
                biased;
                () = &mut shutdown, if self.stop_at.is_none() => {
                    self.stop_at = Some(Instant::now() + core.settings.stop_grace);
                }
                () = said(&mut self.acks), if says => {}
                state = self.link.changed(), if reads => self.note_link(core, state),
                item = self.watch.next(), if reads && self.ahead.len() < AHEAD_MAX => {
                    self.take(core, item);
                }
                // Last, so that one that never waits is no reason to hear nothing.
                outcome = handled(&mut self.work, &core.handler, (&self.closes, &self.lost)) => {
                    self.note(core, outcome)?;
                    tokio::task::consume_budget().await;
                }
                () = until(self.stop_at) => {}
            }
        }
    }

    /// Gives the handler its next event, unless it has one or is to get none.
    fn begin_work(&mut self) {
        let goes_on = self.connected && self.stop_at.is_none() && self.over.is_none();
        while goes_on && self.work.is_none() {
            match self.ahead.pop_front() {
                Some(Ahead::Event(event)) => self.work = Some(Work::new(event)),
                Some(Ahead::Mark(revision)) => self.was_handled(revision),
                None => return,
            }
        }
    }

    /// How it ended, if it has.
    fn ended(&mut self) -> Option<Over> {
        let running = self.work.as_ref().is_some_and(Work::is_running);
        if let Some(error) = self.over.take_if(|_| !running) {
            return Some(Over::Lost(error));
        }
        let at = self.stop_at?;
        let done = !running && !self.is_behind();
        (done || Instant::now() >= at).then_some(Over::Stopped)
    }

    fn is_behind(&self) -> bool {
        self.acks.as_ref().is_some_and(Acks::is_behind)
    }

    fn was_handled(&mut self, revision: u64) {
        if let Some(acks) = &mut self.acks {
            acks.handled(revision);
        }
    }

    /// Takes what the handler said.
    fn note<H: PluginHandler>(
        &mut self,
        core: &Core<H>,
        outcome: Result<(), HandlerError>,
    ) -> Result<(), PluginError> {
        let Some(mut work) = self.work.take() else {
            return Ok(());
        };
        match outcome {
            Ok(()) => self.was_handled(work.event.revision),
            Err(source) => {
                let (event, attempts) = (Arc::clone(&work.event), work.attempts);
                let most = core.settings.max_attempts;
                if most.is_some_and(|most| attempts >= most) {
                    return Err(PluginError::Handler {
                        event,
                        attempts,
                        source,
                    });
                }
                core.handler.observe(&PluginNotice::Failed {
                    event,
                    attempts,
                    error: source.to_string(),
                    retry_in: work.again(),
                });
                self.work = Some(work);
            }
        }
        Ok(())
    }

    /// Takes what the watch brought.
    fn take<H: PluginHandler>(
        &mut self,
        core: &mut Core<H>,
        item: Option<Result<WatchItem, Error>>,
    ) {
        let item = match item {
            Some(Ok(item)) => item,
            Some(Err(error)) => return self.lose(error),
            None => return self.lose(Error::broken_link("the watch ended")),
        };
        match item {
            WatchItem::Started(started) | WatchItem::Reconnected(started) => {
                core.reads(&started);
                self.connected = true;
                self.closes.send_replace(None);
                match &mut self.acks {
                    Some(acks) => acks.reopened(&started),
                    None => {
                        let name = core.settings.subscription.name.clone();
                        self.acks = Some(Acks::new(core.client.clone(), name, &started));
                    }
                }
            }
            WatchItem::Event(event) => self.ahead.push_back(Ahead::Event(Arc::from(event))),
            WatchItem::Bookmark(mark) => {
                if let Some(until) = closing(&mark) {
                    self.closes.send_replace(Some(until));
                    core.state.tell(PluginState::Draining { until });
                }
                core.state.reads(mark.lag_events);
                self.ahead.push_back(Ahead::Mark(mark.revision));
            }
            WatchItem::Initial(_) | WatchItem::InitialEnd | WatchItem::Gap { .. } => {}
        }
    }

    fn note_link<H>(&mut self, core: &Core<H>, state: LinkState) {
        match state {
            LinkState::Connecting | LinkState::Reconnecting { .. } => {
                self.connected = false;
                core.state.tell(PluginState::Reconnecting);
            }
            LinkState::Connected | LinkState::Closed => {}
        }
    }

    fn lose(&mut self, error: Error) {
        self.lost.cancel();
        self.ahead.clear();
        self.over = Some(error);
    }
}

/// Until when the server goes on, if this says that it is going.
fn closing(mark: &pb::Bookmark) -> Option<Instant> {
    let left = mark.closes_in.and_then(|span| span.try_into().ok())?;
    Instant::now().checked_add(left)
}

async fn handled<H: PluginHandler>(
    work: &mut Option<Work>,
    handler: &Arc<H>,
    (closes, lost): (&watch::Sender<Option<Instant>>, &CancellationToken),
) -> Result<(), HandlerError> {
    let Some(work) = work else {
        return std::future::pending().await;
    };
    let as_event = |event, attempt| PluginEvent {
        event,
        attempt,
        closes: closes.subscribe(),
        lost: lost.clone(),
    };
    work.handled(handler, as_event).await
}

async fn said(acks: &mut Option<Acks>) {
    match acks {
        Some(acks) => acks.next().await,
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
