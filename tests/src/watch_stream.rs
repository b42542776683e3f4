//! One watch over gRPC, read frame by frame.
//!
//! Waiting is bounded, and what came in one batch with the event that was awaited is read next. It checks what holds for every watch, whatever its filter: `started` comes
//! first and once, revisions grow, and every batch and bookmark carries a token.

use std::time::{Duration, Instant};

use sessiond_proto::v1 as pb;
use sessiond_proto::v1::watch_session_events_request::Start;
use sessiond_proto::v1::watch_session_events_response::Frame;
use tonic::Streaming;

use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::requests::{after, open};

/// How long a frame that must come may take.
const FRAME_WITHIN: Duration = Duration::from_secs(25);

/// How long events that must come may take, whatever else comes meanwhile.
const EVENTS_WITHIN: Duration = Duration::from_secs(60);

/// A watch that has started.
#[derive(Debug)]
pub struct WatchStream {
    /// Its first frame.
    pub started: pb::WatchStarted,
    frames: Streaming<pb::WatchSessionEventsResponse>,
    /// The newest revision it has shown or passed.
    reached: u64,
    /// What came with an event that was awaited, and behind it.
    unread: Option<pb::EventBatch>,
}

/// A watch from somewhere, of everything in the namespace.
#[must_use]
pub fn watch_from(start: Start) -> pb::WatchSessionEventsRequest {
    pb::WatchSessionEventsRequest {
        start: Some(start),
        ..pb::WatchSessionEventsRequest::default()
    }
}

impl WatchStream {
    /// Starts a watch.
    ///
    /// # Errors
    /// The refusal.
    ///
    /// # Panics
    /// If no first frame comes, or another one than `started`.
    pub async fn open(
        caller: &Caller,
        request: pb::WatchSessionEventsRequest,
    ) -> Result<Self, Refusal> {
        let answer = caller.sessions().watch_session_events(request).await;
        let mut frames = answer.map_err(Refusal::from)?.into_inner();
        let first = read(&mut frames).await?.expect("a watch has a first frame");
        let Frame::Started(started) = first else {
            panic!("the first frame is `started`, not {first:?}");
        };
        Ok(Self {
            started,
            frames,
            reached: 0,
            unread: None,
        })
    }

    /// Watches everything from the first event on.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn from_the_start(caller: &Caller) -> Self {
        let watch = Self::open(caller, watch_from(Start::AfterRevision(0))).await;
        watch.expect("a watch")
    }

    /// Watches what comes from now on.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn from_now(caller: &Caller) -> Self {
        let watch = Self::open(caller, watch_from(Start::Now(true))).await;
        watch.expect("a watch")
    }

    /// The next frame; none when the server has closed the stream in order.
    ///
    /// # Errors
    /// The status that ended the stream.
    ///
    /// # Panics
    /// If none comes in time, or one breaks what holds for every watch.
    pub async fn frame(&mut self) -> Result<Option<Frame>, Refusal> {
        if let Some(rest) = self.unread.take() {
            return Ok(Some(Frame::Batch(rest)));
        }
        let frame = read(&mut self.frames).await?;
        match &frame {
            Some(Frame::Started(_)) => panic!("`started` comes once"),
            Some(Frame::Batch(batch)) => {
                assert!(!batch.events.is_empty(), "a batch has an event");
                assert!(!batch.resume_token.is_empty(), "a batch has a token");
                for event in &batch.events {
                    assert!(event.revision > self.reached, "twice or out of order");
                    self.reached = event.revision;
                }
            }
            Some(Frame::Bookmark(bookmark)) => {
                assert!(bookmark.revision >= self.reached, "a bookmark goes back");
                assert!(!bookmark.resume_token.is_empty(), "a bookmark has a token");
                self.reached = bookmark.revision;
            }
            Some(Frame::Initial(_) | Frame::GoAway(_)) | None => {}
        }
        Ok(frame)
    }

    /// The next frame that is no bookmark of time passing.
    ///
    /// # Panics
    /// If the stream ends.
    pub async fn next(&mut self) -> Frame {
        loop {
            let frame = self.frame().await.expect("the watch goes on");
            let frame = frame.expect("the watch goes on");
            let periodic = matches!(&frame, Frame::Bookmark(mark) if mark.cause() == pb::BookmarkCause::Periodic);
            if !periodic {
                return frame;
            }
        }
    }

    /// The next batch; bookmarks are passed over.
    ///
    /// # Panics
    /// If the stream ends, another frame comes, or nothing but bookmarks.
    pub async fn batch(&mut self) -> pb::EventBatch {
        let begun = Instant::now();
        while begun.elapsed() < EVENTS_WITHIN {
            match self.next().await {
                Frame::Batch(batch) => return batch,
                Frame::Bookmark(_) => {}
                other @ (Frame::Started(_) | Frame::Initial(_) | Frame::GoAway(_)) => {
                    panic!("events are awaited, not {other:?}")
                }
            }
        }
        panic!("no event came, only bookmarks");
    }

    /// The next bookmark of a cause, with the events before it.
    ///
    /// # Panics
    /// If the stream ends before.
    pub async fn bookmark(
        &mut self,
        cause: pb::BookmarkCause,
    ) -> (Vec<pb::SessionEvent>, pb::Bookmark) {
        let mut events = Vec::new();
        loop {
            let frame = self.frame().await.expect("the watch goes on");
            match frame.expect("the watch goes on") {
                Frame::Batch(batch) => events.extend(batch.events),
                Frame::Bookmark(mark) if mark.cause() == cause => return (events, mark),
                Frame::Bookmark(_) => {}
                other @ (Frame::Started(_) | Frame::Initial(_) | Frame::GoAway(_)) => {
                    panic!("events are awaited, not {other:?}")
                }
            }
        }
    }

    /// Every event up to the first that is meant, that one included.
    ///
    /// # Panics
    /// If the stream ends before, or the event does not come.
    pub async fn until(
        &mut self,
        meant: impl Fn(&pb::SessionEvent) -> bool,
    ) -> Vec<pb::SessionEvent> {
        let begun = Instant::now();
        let mut events = Vec::new();
        while begun.elapsed() < EVENTS_WITHIN {
            let mut batch = self.batch().await;
            if let Some(at) = batch.events.iter().position(&meant) {
                let rest = batch.events.split_off(at + 1);
                events.append(&mut batch.events);
                self.unread = (!rest.is_empty()).then_some(pb::EventBatch {
                    events: rest,
                    ..batch
                });
                return events;
            }
            events.append(&mut batch.events);
        }
        panic!("the awaited event did not come, but these: {events:?}");
    }

    /// The first event of a type about a session.
    ///
    /// # Panics
    /// If the stream ends before.
    pub async fn event(&mut self, of: pb::EventType, session_id: &str) -> pb::SessionEvent {
        let meant = |event: &pb::SessionEvent| event.r#type() == of && about(event) == session_id;
        let mut events = self.until(meant).await;
        events.pop().expect("the event that was awaited")
    }

    /// Waits until more than so many milliseconds have passed for the server: a session opened for it has been idle for
    /// longer, and ended. Other sessions' events are passed over.
    ///
    /// # Panics
    /// If the stream ends before.
    pub async fn passed(&mut self, caller: &Caller, millis: u64) {
        let fence = pb::OpenSessionRequest {
            idle_timeout: after(millis),
            ..open("fence")
        };
        let fence = caller.opened_as(fence).await;
        self.event(pb::EventType::SessionEnd, &fence.session_id)
            .await;
    }

    /// Every event up to a revision.
    ///
    /// # Panics
    /// If the stream ends before.
    pub async fn up_to(&mut self, revision: u64) -> Vec<pb::SessionEvent> {
        let mut events = Vec::new();
        while self.reached < revision || self.unread.is_some() {
            events.extend(self.batch().await.events);
        }
        events
    }
}

/// The session an event is about.
#[must_use]
pub fn about(event: &pb::SessionEvent) -> &str {
    let session = event.session.as_ref();
    session.map_or("", |session| session.session_id.as_str())
}

/// The types of events, in order.
#[must_use]
pub fn types(events: &[pb::SessionEvent]) -> Vec<pb::EventType> {
    events.iter().map(pb::SessionEvent::r#type).collect()
}

async fn read(
    frames: &mut Streaming<pb::WatchSessionEventsResponse>,
) -> Result<Option<Frame>, Refusal> {
    let read = tokio::time::timeout(FRAME_WITHIN, frames.message()).await;
    let read = read
        .expect("a frame comes in time")
        .map_err(Refusal::from)?;
    Ok(read.map(|response| response.frame.expect("a frame that this client knows")))
}
