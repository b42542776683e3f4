//! Opens the stream of a watch, reads it, and opens it again when it breaks.
//!
//! Keeps one connection at a time and runs only when its reader polls: no task,
//! no queue beyond the events of one frame, so a reader that stops costs the
//! server no more than its flow-control window.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use sessiond_proto::reason::Reason;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::watch_session_events_response::Frame;
use tokio::time::Instant;

use super::cursor::Cursor;
use super::{Position, Step, WatchItem};
use crate::client::Client;
use crate::error::Error;
use crate::link::{LinkState, LinkTeller};
use crate::retry::{Backoff, Stability, heals};

/// How long the server may take to begin the answer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a watch may be silent before its connection counts as broken:
/// bookmarks are at most 15 s apart, and one may be late.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// What to do when events are gone that were not brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterGap {
    End,
    FromOldest,
}

/// What to do when another consumer has the subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenHeld {
    Wait,
    End,
}

/// A watch in progress.
pub(crate) struct Pump {
    client: Client,
    request: pb::WatchSessionEventsRequest,
    cursor: Cursor,
    after_gap: AfterGap,
    when_held: WhenHeld,
    link: LinkTeller,
    backoff: Backoff,
    /// Until when the first connection may be tried; `None` once it was made.
    give_up: Option<GiveUp>,
    /// Since when the server answers on the present connection.
    connected: Option<Instant>,
    /// Attempts since the connection broke.
    attempt: u32,
    state: State,
    ready: VecDeque<Step>,
}

/// When the first connection is given up.
#[derive(Clone, Copy)]
enum GiveUp {
    /// This long after the first poll.
    After(Duration),
    /// At this time.
    At(Instant),
}

enum State {
    /// Waits, then opens.
    Down { wait: Duration },
    /// Reads.
    Open(Box<tonic::Streaming<pb::WatchSessionEventsResponse>>),
    /// Nothing more comes.
    Over,
}

// === impl Pump ===

impl Pump {
    pub(crate) fn new(
        client: Client,
        request: pb::WatchSessionEventsRequest,
        cursor: Cursor,
        (after_gap, when_held): (AfterGap, WhenHeld),
        link: LinkTeller,
    ) -> Self {
        let policy = client.retry();
        Self {
            client,
            request,
            cursor,
            after_gap,
            when_held,
            link,
            backoff: Backoff::of_stream(policy),
            give_up: Some(GiveUp::After(policy.total())),
            connected: None,
            attempt: 0,
            state: State::Down {
                wait: Duration::ZERO,
            },
            ready: VecDeque::new(),
        }
    }

    pub(crate) fn into_steps(self) -> BoxStream<'static, Step> {
        stream::unfold(self, |mut pump| async move {
            let step = pump.next().await?;
            Some((step, pump))
        })
        .boxed()
    }

    async fn next(&mut self) -> Option<Step> {
        loop {
            if let Some(step) = self.ready.pop_front() {
                return Some(step);
            }
            match &mut self.state {
                State::Over => return None,
                State::Down { wait } => {
                    let wait = std::mem::take(wait);
                    self.open(wait).await;
                }
                State::Open(frames) => {
                    match tokio::time::timeout(SILENCE_MAX, frames.next()).await {
                        Ok(Some(Ok(response))) => self.take(response),
                        Ok(Some(Err(status))) => self.fail(Error::from(status)),
                        Ok(None) => self.fail(Error::broken_link("the server closed the watch")),
                        Err(_) => self.fail(Error::broken_link("the watch fell silent")),
                    }
                }
            }
        }
    }

    async fn open(&mut self, wait: Duration) {
        if let Some(GiveUp::After(span)) = self.give_up {
            self.give_up = Some(GiveUp::At(Instant::now() + span));
        }
        tokio::time::sleep(wait).await;
        let mut request = self.request.clone();
        self.cursor.write_to(&mut request);
        let mut sessions = self.client.session_streams();
        let call = sessions.watch_session_events(self.client.request(request));
        match tokio::time::timeout(OPEN_TIMEOUT, Box::pin(call)).await {
            Ok(Ok(response)) => self.state = State::Open(Box::new(response.into_inner())),
            Ok(Err(status)) => self.fail(Error::from(status)),
            Err(_) => self.fail(Error::deadline(format!(
                "no answer within {OPEN_TIMEOUT:?}"
            ))),
        }
    }

    fn take(&mut self, response: pb::WatchSessionEventsResponse) {
        match response.frame {
            Some(Frame::Started(started)) => self.take_started(started),
            Some(Frame::Initial(session)) => {
                if let Some(session) = self.cursor.initial(session) {
                    self.push(WatchItem::Initial(Box::new(session)), None);
                }
            }
            Some(Frame::Batch(batch)) => self.take_batch(batch),
            Some(Frame::Bookmark(bookmark)) => {
                let position = self.cursor.bookmark(&bookmark);
                if bookmark.cause() == pb::BookmarkCause::InitialStateEnd {
                    self.push(WatchItem::InitialEnd, None);
                }
                self.push(WatchItem::Bookmark(bookmark), Some(position));
            }
            Some(Frame::GoAway(go_away)) => self.take_go_away(go_away),
            // A frame of a newer server.
            None => {}
        }
    }

    fn take_started(&mut self, started: pb::WatchStarted) {
        if let Err(error) = self.cursor.started(&started) {
            return self.end(error);
        }
        self.connected = Some(Instant::now());
        self.attempt = 0;
        // Whoever takes over after this is not to be taken over from by a reconnect.
        self.request.take_over = false;
        self.link.tell(LinkState::Connected);
        let item = match self.give_up.take() {
            Some(_) => WatchItem::Started(started),
            None => WatchItem::Reconnected(started),
        };
        self.push(item, None);
    }

    /// The place of the batch is reached with the last of its events, so that
    /// whoever stores it never skips the rest of a batch.
    fn take_batch(&mut self, batch: pb::EventBatch) {
        let (events, position) = self.cursor.batch(batch);
        let last = events.len().checked_sub(1);
        for (index, event) in events.into_iter().enumerate() {
            let reached = (Some(index) == last).then(|| position.clone());
            self.push(WatchItem::Event(Box::new(event)), reached);
        }
    }

    fn take_go_away(&mut self, go_away: pb::GoAway) {
        let wait = match go_away.reason() {
            pb::GoAwayReason::TakenOver => {
                return self.end(Error::lease_lost("another consumer took the watch over"));
            }
            // The server is fine: nothing to wait for, unless it does so again
            // and again.
            pb::GoAwayReason::MaxAge => match self.backoff.broke(self.connected) {
                Stability::Good => Duration::ZERO,
                Stability::Doubtful => self.backoff.next(None),
            },
            pb::GoAwayReason::Unspecified
            | pb::GoAwayReason::ServerDraining
            | pb::GoAwayReason::Unresponsive => self.backoff.next(None),
        };
        self.reopen(wait);
    }

    fn fail(&mut self, error: Error) {
        if let Error::Compacted {
            oldest, current, ..
        } = error
        {
            return self.fail_with_gap(oldest, current);
        }
        let held = error.reason() == Some(Reason::LeaseHeld);
        if !heals(&error) || (held && self.when_held == WhenHeld::End) {
            return self.end(error);
        }
        self.backoff.broke(self.connected);
        let wait = self.backoff.next(error.retry_after());
        match self.give_up {
            Some(GiveUp::At(time)) if Instant::now() + wait >= time => self.end(error),
            Some(GiveUp::At(_) | GiveUp::After(_)) | None => {
                tracing::debug!(%error, ?wait, "the watch broke and is opened again");
                self.reopen(wait);
            }
        }
    }

    fn fail_with_gap(&mut self, oldest: u64, current: u64) {
        self.push(WatchItem::Gap { oldest, current }, None);
        match self.after_gap {
            AfterGap::End => self.close(),
            AfterGap::FromOldest => {
                self.cursor.skip_gap();
                // Compaction may win again; it must not become a busy loop.
                let wait = self.backoff.next(None);
                self.reopen(wait);
            }
        }
    }

    fn reopen(&mut self, wait: Duration) {
        self.attempt = self.attempt.saturating_add(1);
        self.connected = None;
        if self.give_up.is_none() {
            let attempt = self.attempt;
            self.link.tell(LinkState::Reconnecting { attempt });
        }
        self.state = State::Down { wait };
    }

    fn end(&mut self, error: Error) {
        self.ready.push_back((Err(error), None));
        self.close();
    }

    fn close(&mut self) {
        self.link.tell(LinkState::Closed);
        self.state = State::Over;
    }

    fn push(&mut self, item: WatchItem, reached: Option<Position>) {
        self.ready.push_back((Ok(item), reached));
    }
}
