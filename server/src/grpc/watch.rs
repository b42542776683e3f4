//! WatchSessionEvents: ordered, unique, reliable, atomic per commit, resumable, bookmarkable.
//!
//! A watch is a cursor and a filter. It takes step after step from the feed, whole decisions at a time,
//! and sleeps when it is caught up. Nothing is queued for it: a client that does not read stops its
//! own watch and nobody else's. There is one per client, so it stays small: it has no task, and what is
//! rarely done is kept out of its state until it is. Before events are deleted that its client was not told of, it says
//! where it is. What this deliberately does not do: hold up the deletion of old events, which subscriptions do; whoever falls
//! behind the beginning of the log is told so.

mod body;
mod place;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sessiond_core::ids::{Namespace, Revision, SessionNo};
use sessiond_proto::v1 as pb;
use tokio::time::Instant;
use tonic::Status;

use super::context::{Context, faulted};
use crate::consumers::{Delivered, Seat};
use crate::feed::{Source, Unread};
use crate::transport::MaxAge;
use crate::wire::parse::watch::{InitialState, WatchSource};
use crate::wire::query::EventQuery;
use crate::wire::status::Refusal;
use crate::wire::{parse, show};
use body::Outlet;
use place::Place;

pub(super) use body::{Nothing, WatchBody, streamed};

/// Sessions of the initial state read at once.
const INITIAL_PAGE: usize = 256;

/// Starts a watch.
pub(super) async fn watch(
    context: &Arc<Context>,
    namespace: &Namespace,
    max_age: MaxAge,
    request: pb::WatchSessionEventsRequest,
) -> Result<WatchBody, Status> {
    let asked =
        parse::watch::watch(namespace, request).map_err(|invalid| Refusal::invalid(&invalid))?;
    let place = match asked.source {
        WatchSource::Asked { start, query } => Place::asked(context, start, query)?,
        WatchSource::Subscription {
            name,
            consumer,
            take_over,
        } => {
            let key = (namespace.clone(), name);
            Place::subscribed(context, key, consumer, take_over).await?
        }
    };
    let started = place.started(context);
    Ok(WatchBody::new(|outlet| {
        let watch = Watch {
            context: Arc::clone(context),
            max_age,
            query: place.query,
            bookmark_every: Duration::from_millis(asked.bookmark_interval.0),
            cursor: place.cursor,
            told: place.cursor,
            warned: Revision(0),
            caught_up_at: place.newest,
            told_caught_up: false,
            told_draining: false,
            falls_behind: false,
            delivered: place.seat.as_deref().map(Seat::delivered),
            outlet,
        };
        consumed(place.seat, watch.run(started, asked.initial_state))
    }))
}

/// The newest revision that a snapshot shows.
fn newest_committed(context: &Context) -> Result<Revision, Status> {
    Ok(context.counters()?.revision)
}

/// One client's watch.
struct Watch {
    context: Arc<Context>,
    /// That of its connection.
    max_age: MaxAge,
    query: EventQuery,
    bookmark_every: Duration,
    /// Everything up to here was sent or filtered out.
    cursor: Revision,
    /// The client was told that it has everything up to here.
    told: Revision,
    /// It was told that everything up to here goes.
    warned: Revision,
    /// What was committed when the watch began.
    caught_up_at: Revision,
    told_caught_up: bool,
    told_draining: bool,
    /// It had caught up, and reads the log from the store again.
    falls_behind: bool,
    /// Where it notes how far it has come, if it reads for a subscription.
    delivered: Option<Delivered>,
    outlet: Outlet,
}

/// What a step of a watch did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stepped {
    /// There was nothing yet.
    Nowhere,
    /// Past events that the client does not want.
    Silently,
    /// Past events, some of which were sent.
    Told,
}

/// Runs a watch until it ends, or loses the subscription that it reads for.
async fn consumed(
    seat: Option<Box<Seat>>,
    watch: impl Future<Output = Result<(), Status>>,
) -> Result<(), Status> {
    let Some(mut seat) = seat else {
        return watch.await;
    };
    tokio::select! {
        biased;
        why = seat.over() => Err(Refusal::rejected(&why).into()),
        ended = watch => ended,
    }
}

impl Watch {
    async fn run(mut self, started: Bytes, initial_state: InitialState) -> Result<(), Status> {
        self.outlet.send(started).await;
        if initial_state == InitialState::Sent {
            Box::pin(self.send_initial_state()).await?;
        }
        let stopping = self.context.stopping.clone();
        let mut stop = pin!(stopping.begun());
        let mut drain = pin!(stopping.draining());
        let max_age = self.max_age.clone();
        let mut old = pin!(max_age.reached());
        let mut news = self.context.feed.follow();
        let mut bookmark_at = Instant::now() + self.bookmark_every;
        // It rings at some bookmark's time, which may have moved since: cheaper than to set it anew for
        // every frame.
        let mut alarm = pin!(tokio::time::sleep_until(bookmark_at));
        loop {
            news.mark_unchanged();
            let stepped = self.step().await?;
            if stepped == Stepped::Told {
                bookmark_at = Instant::now() + self.bookmark_every;
            }
            self.tell_what_goes().await;
            self.tell_of_drain().await;
            let goes_on = stepped != Stepped::Nowhere && !self.caught_up();
            if goes_on && !stopping.has_begun() && !max_age.is_reached() {
                continue;
            }
            self.falls_behind &= goes_on;
            if !self.told_caught_up && self.cursor >= self.caught_up_at {
                self.told_caught_up = true;
                self.bookmark(pb::BookmarkCause::CaughtUp).await;
            }
            // A stop wins: it is told even on a busy log.
            tokio::select! {
                biased;
                () = &mut stop => return Box::pin(self.finish()).await,
                () = &mut old => {
                    self.close(pb::GoAwayReason::MaxAge).await;
                    return Ok(());
                }
                // It is told of in the next round.
                () = &mut drain, if !self.told_draining => {}
                () = &mut alarm => {
                    if Instant::now() >= bookmark_at {
                        self.bookmark(pb::BookmarkCause::Periodic).await;
                        bookmark_at = Instant::now() + self.bookmark_every;
                    }
                    alarm.as_mut().reset(bookmark_at);
                }
                changed = news.changed() => changed.map_err(|_| Refusal::store_unavailable())?,
            }
        }
    }

    /// Says where it is, once, if events are about to go that the client was not told of: it could not go on from where it
    /// believes to be.
    async fn tell_what_goes(&mut self) {
        let going = self.context.feed.going();
        if self.told < going && self.warned < going {
            self.warned = going;
            self.bookmark(pb::BookmarkCause::BeforeCompaction).await;
        }
    }

    /// Says once that the server goes, and how long it goes on.
    async fn tell_of_drain(&mut self) {
        if !self.told_draining && self.context.stopping.is_draining() {
            self.told_draining = true;
            let left = self.context.drains.left();
            let cause = pb::BookmarkCause::ServerDraining;
            self.bookmark_with(cause, Some(left)).await;
        }
    }

    fn caught_up(&self) -> bool {
        self.cursor >= self.context.feed.newest()
    }

    /// Goes past the next page of events, if there is one.
    async fn step(&mut self) -> Result<Stepped, Status> {
        let step = match self.context.feed.next(&self.query, self.cursor) {
            Ok(Some(step)) => step,
            Ok(None) => return Ok(Stepped::Nowhere),
            Err(Unread::Fault(fault)) => return Err(faulted(&fault)),
            Err(Unread::Compacted { oldest, newest }) => {
                return Err(Refusal::revision_compacted(self.cursor, oldest, newest).into());
            }
        };
        if step.source == Source::Log && self.told_caught_up && !self.falls_behind {
            self.falls_behind = true;
            // Of where it is, not of what is sent next: whoever goes on from there must not miss that.
            self.bookmark(pb::BookmarkCause::FallingBehind).await;
        }
        self.cursor = step.through;
        // The connection runs this: whoever is far behind lets others have their turn.
        match step.source {
            Source::Ring => tokio::task::consume_budget().await,
            Source::Log => tokio::task::yield_now().await,
        }
        match step.frame {
            Some(frame) => {
                self.tells(self.cursor);
                self.outlet.send(frame).await;
                Ok(Stepped::Told)
            }
            None => Ok(Stepped::Silently),
        }
    }

    /// Sends every session that has not ended, as it was at some instant of the scan, then every event
    /// up to the end of the scan, then says so.
    async fn send_initial_state(&mut self) -> Result<(), Status> {
        let mut after = SessionNo(0);
        loop {
            let rows = self.context.rows()?;
            let page = rows
                .sessions_after(after, INITIAL_PAGE)
                .map_err(|fault| faulted(&fault))?;
            let Some(last) = page.last() else {
                break;
            };
            after = last.no;
            let mut seen = Vec::new();
            for session in page {
                if !session.is_ended() && self.query.matches_session(&session) {
                    seen.extend(self.context.see(&rows, session.no)?);
                }
            }
            drop(rows);
            for session in self.context.show_all(seen).await? {
                let frame = show::encoded::frame(&show::watch::initial(session));
                self.outlet.send(frame).await;
            }
        }
        let scanned_to = newest_committed(&self.context)?;
        self.send_events_up_to(scanned_to).await?;
        self.bookmark(pb::BookmarkCause::InitialStateEnd).await;
        Ok(())
    }

    /// Sends every event up to one that is committed. A snapshot shows it a moment before the feed
    /// does, and that moment is waited for.
    async fn send_events_up_to(&mut self, revision: Revision) -> Result<(), Status> {
        let mut news = self.context.feed.follow();
        while self.cursor < revision {
            news.mark_unchanged();
            if self.step().await? == Stepped::Nowhere {
                let changed = news.changed().await;
                changed.map_err(|_| Refusal::store_unavailable())?;
            }
        }
        Ok(())
    }

    async fn bookmark(&mut self, cause: pb::BookmarkCause) {
        self.bookmark_with(cause, None).await;
    }

    async fn bookmark_with(&mut self, cause: pb::BookmarkCause, closes_in: Option<Duration>) {
        let log_id = &self.context.identification.log_id;
        let lag = self.context.feed.newest().0.saturating_sub(self.cursor.0);
        // Encoded at once, so that the message itself is no part of the state.
        let mark = show::watch::bookmark(cause, log_id, self.cursor, lag, closes_in);
        let frame = show::encoded::frame(&mark);
        self.tells(self.cursor);
        self.outlet.send(frame).await;
    }

    /// Notes that the client is told that it has everything up to here.
    fn tells(&mut self, through: Revision) {
        self.told = through;
        if let Some(delivered) = &self.delivered {
            delivered.through(through);
        }
    }

    /// The server goes away: what is committed by now is sent first, so that the plugin need not come back for it.
    async fn finish(&mut self) -> Result<(), Status> {
        while self.step().await? != Stepped::Nowhere {}
        self.close(pb::GoAwayReason::ServerDraining).await;
        Ok(())
    }

    /// Tells where to resume, and why it is closed.
    async fn close(&mut self, why: pb::GoAwayReason) {
        self.bookmark(pb::BookmarkCause::Closing).await;
        let closing = show::watch::closing(why, self.context.closing_time());
        let frame = show::encoded::frame(&closing);
        self.outlet.send(frame).await;
    }
}
