//! WatchSessionEvents: ordered, unique, reliable, atomic per commit, resumable, bookmarkable.
//!
//! A watch is a cursor and a filter. It reads the feed from the cursor on, whole decisions at a time,
//! and sleeps when it is caught up. Nothing is queued for it: a client that does not read stops its
//! own watch and nobody else's.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use sessiond_core::ids::{Namespace, Revision, SessionNo};
use sessiond_proto::v1 as pb;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::context::{Context, faulted};
use crate::wire::parse::watch::{InitialState, WatchCall, WatchStart};
use crate::wire::status::Refusal;
use crate::wire::{parse, show};

type Frames = Pin<Box<dyn Stream<Item = Result<pb::WatchSessionEventsResponse, Status>> + Send>>;
type Out = mpsc::Sender<Result<pb::WatchSessionEventsResponse, Status>>;

/// Frames handed to the transport ahead of what it has written.
const FRAMES_AHEAD: usize = 1;
/// Sessions of the initial state read at once.
const INITIAL_PAGE: usize = 256;

/// Starts a watch.
pub(super) fn watch(
    context: &Arc<Context>,
    namespace: &Namespace,
    request: pb::WatchSessionEventsRequest,
) -> Result<Frames, Status> {
    let asked =
        parse::watch::watch(namespace, request).map_err(|invalid| Refusal::invalid(&invalid))?;
    let oldest = context.feed.oldest().map_err(|fault| faulted(&fault))?;
    let newest = newest_committed(context)?;
    let cursor = cursor(context, asked.start, oldest, newest)?;
    let (out, frames) = mpsc::channel(FRAMES_AHEAD);
    let mut watch = Watch {
        context: Arc::clone(context),
        asked,
        cursor,
        caught_up_at: newest,
        told_caught_up: false,
        out,
    };
    let started = show::watch::started(
        &context.identification.log_id,
        oldest.unwrap_or(Revision(1)),
        newest,
    );
    context.env.spawn.task(
        "watch",
        Box::pin(async move {
            let outcome = match watch.send(started).await {
                Ok(()) => watch.run().await,
                Err(gone) => Err(gone),
            };
            // The client is told why, unless it is gone.
            if let Err(Ended::Failed(status)) = outcome {
                drop(watch.out.send(Err(status)).await);
            }
        }),
    );
    Ok(Box::pin(ReceiverStream::new(frames)))
}

/// The newest revision that a snapshot shows.
fn newest_committed(context: &Context) -> Result<Revision, Status> {
    let counters = context
        .rows()?
        .counters()
        .map_err(|fault| faulted(&fault))?;
    Ok(counters.revision)
}

/// The revision after which the watch begins.
fn cursor(
    context: &Context,
    start: WatchStart,
    oldest: Option<Revision>,
    newest: Revision,
) -> Result<Revision, Status> {
    let log_id = &context.identification.log_id;
    let before_oldest = Revision(oldest.map_or(newest.0, |oldest| oldest.0 - 1));
    let after = match start {
        WatchStart::Now => return Ok(newest),
        WatchStart::Oldest => return Ok(before_oldest),
        WatchStart::After(revision) => Some(revision),
        WatchStart::Resume(token) => token.revision_in(log_id),
    };
    let first = before_oldest.next();
    match after.filter(|after| *after <= newest) {
        None => Err(Refusal::log_changed(log_id, first, newest).into()),
        Some(after) if after < before_oldest => {
            Err(Refusal::revision_compacted(after, first, newest).into())
        }
        Some(after) => Ok(after),
    }
}

/// One client's watch.
struct Watch {
    context: Arc<Context>,
    asked: WatchCall,
    /// Everything up to here was sent or filtered out.
    cursor: Revision,
    /// What was committed when the watch began.
    caught_up_at: Revision,
    told_caught_up: bool,
    out: Out,
}

/// Why a watch ended.
enum Ended {
    /// The client is gone.
    Gone,
    /// It cannot go on.
    Failed(Status),
}

impl Watch {
    async fn run(&mut self) -> Result<(), Ended> {
        if self.asked.initial_state == InitialState::Sent {
            self.send_initial_state().await?;
        }
        let mut news = self.context.feed.follow();
        let every = Duration::from_millis(self.asked.bookmark_interval.0);
        let mut bookmark_at = tokio::time::Instant::now() + every;
        loop {
            news.mark_unchanged();
            if self.send_events().await? {
                bookmark_at = tokio::time::Instant::now() + every;
                if !self.caught_up() {
                    continue;
                }
            }
            if !self.told_caught_up && self.cursor >= self.caught_up_at {
                self.told_caught_up = true;
                self.bookmark(pb::BookmarkCause::CaughtUp).await?;
            }
            let stopping = self.context.stopping.clone();
            // A stop wins: it is told even on a busy log.
            tokio::select! {
                biased;
                () = self.out.closed() => return Err(Ended::Gone),
                () = stopping.begun() => return self.close().await,
                () = tokio::time::sleep_until(bookmark_at) => {
                    self.bookmark(pb::BookmarkCause::Periodic).await?;
                    bookmark_at = tokio::time::Instant::now() + every;
                }
                changed = news.changed() => {
                    changed.map_err(|_| Ended::Failed(Refusal::store_unavailable().into()))?;
                }
            }
        }
    }

    fn caught_up(&self) -> bool {
        self.cursor >= self.context.feed.newest()
    }

    /// Sends the next page of events, if there is one; says whether there was.
    async fn send_events(&mut self) -> Result<bool, Ended> {
        let events = self
            .context
            .feed
            .after(self.cursor)
            .map_err(|fault| failed(&fault))?;
        let Some(last) = events.last() else {
            return Ok(false);
        };
        let reached = last.revision;
        let log_id = &self.context.identification.log_id;
        let wanted: Vec<pb::SessionEvent> = events
            .iter()
            .filter(|event| self.asked.query.matches(event))
            .map(|event| show::event::event(event, log_id))
            .collect();
        self.cursor = reached;
        if !wanted.is_empty() {
            let batch = show::watch::batch(wanted, log_id, reached);
            self.send(batch).await?;
        }
        Ok(true)
    }

    /// Sends every session that has not ended, as it was at some instant of the scan, then every event
    /// up to the end of the scan, then says so.
    async fn send_initial_state(&mut self) -> Result<(), Ended> {
        let mut after = SessionNo(0);
        loop {
            let rows = self.context.rows().map_err(Ended::Failed)?;
            let page = rows
                .sessions_after(after, INITIAL_PAGE)
                .map_err(|fault| failed(&fault))?;
            let Some(last) = page.last() else {
                break;
            };
            after = last.no;
            let mut seen = Vec::new();
            for session in page {
                if !session.is_ended() && self.asked.query.matches_session(&session) {
                    let one = self.context.see(&rows, session.no);
                    seen.extend(one.map_err(Ended::Failed)?);
                }
            }
            drop(rows);
            let shown = self.context.show_all(seen).await;
            for session in shown.map_err(Ended::Failed)? {
                self.send(show::watch::initial(session)).await?;
            }
        }
        let scanned_to = newest_committed(&self.context).map_err(Ended::Failed)?;
        self.send_events_up_to(scanned_to).await?;
        self.bookmark(pb::BookmarkCause::InitialStateEnd).await
    }

    /// Sends every event up to one that is committed. A snapshot shows it a moment before the feed
    /// does, and that moment is waited for.
    async fn send_events_up_to(&mut self, revision: Revision) -> Result<(), Ended> {
        let mut news = self.context.feed.follow();
        while self.cursor < revision {
            news.mark_unchanged();
            if self.send_events().await? {
                continue;
            }
            // Either one: a client that is gone waits for nothing.
            tokio::select! {
                () = self.out.closed() => return Err(Ended::Gone),
                changed = news.changed() => {
                    changed.map_err(|_| Ended::Failed(Refusal::store_unavailable().into()))?;
                }
            }
        }
        Ok(())
    }

    async fn bookmark(&mut self, cause: pb::BookmarkCause) -> Result<(), Ended> {
        let log_id = &self.context.identification.log_id;
        let lag = self.context.feed.newest().0.saturating_sub(self.cursor.0);
        let frame = show::watch::bookmark(cause, log_id, self.cursor, lag);
        self.send(frame).await
    }

    /// Tells where to resume and that the server goes away.
    async fn close(&mut self) -> Result<(), Ended> {
        // What is committed by now is sent first, so that the plugin need not come back for it.
        while self.send_events().await? {}
        self.bookmark(pb::BookmarkCause::Closing).await?;
        let frame = show::watch::closing(
            pb::GoAwayReason::ServerDraining,
            self.context.closing_time(),
        );
        self.send(frame).await
    }

    async fn send(&mut self, frame: pb::WatchSessionEventsResponse) -> Result<(), Ended> {
        self.out.send(Ok(frame)).await.map_err(|_| Ended::Gone)
    }
}

fn failed(fault: &sessiond_store::fault::Fault) -> Ended {
    Ended::Failed(faulted(fault))
}
