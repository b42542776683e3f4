//! The event feed as a stream that survives its connections.
//!
//! Keeps the promise of the feed across reconnects: every matching event once,
//! in order, and a gap is told, never silent. It resumes by itself from the last
//! complete place. It keeps no place on disk: whoever must survive a restart of
//! its own stores [`EventStream::resume_token`].

mod cursor;
mod pump;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::BoxStream;
use sessiond_proto::v1 as pb;
use uuid::Uuid;

use self::cursor::{Cursor, InitialState, Start};
use self::pump::{AfterGap, Pump, WhenHeld};
use crate::client::Client;
use crate::error::Error;
use crate::link::{LinkObserver, LinkTeller};

/// How to watch.
#[derive(Clone, Debug)]
#[must_use = "nothing is watched before `start`"]
pub struct WatchBuilder {
    client: Client,
    start: Start,
    initial: InitialState,
    after_gap: AfterGap,
    when_held: WhenHeld,
    /// Everything but the start and the initial state, which change from one
    /// connection to the next.
    request: pb::WatchSessionEventsRequest,
}

/// What a watch brings.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchItem {
    /// The watch began.
    Started(pb::WatchStarted),
    /// One session of the initial state. After a reconnect in the midst of it a
    /// session comes again if it changed.
    Initial(Box<pb::Session>),
    /// The initial state is complete, with all events up to the end of its scan.
    InitialEnd,
    /// One event.
    Event(Box<pb::SessionEvent>),
    /// How far the watch is complete.
    Bookmark(pb::Bookmark),
    /// The connection broke and the watch goes on where it was: nothing is
    /// missing and nothing comes twice.
    Reconnected(pb::WatchStarted),
    /// Events are gone that this watch has not brought. Take a new snapshot. The
    /// stream ends here unless it was built with
    /// [`WatchBuilder::continue_after_gap`].
    Gap {
        /// The oldest revision that is kept; 0 when the server did not say.
        oldest: u64,
        /// The newest revision; 0 when the server did not say.
        current: u64,
    },
}

/// A place in the log up to which a watch is complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    revision: u64,
    resume_token: String,
}

/// An item, and the place that is reached with it.
type Step = (Result<WatchItem, Error>, Option<Position>);

/// The stream of a watch. It ends after an error, after a gap unless told
/// otherwise, and never because a connection broke. Dropping it ends the watch.
pub struct EventStream {
    steps: BoxStream<'static, Step>,
    link: LinkObserver,
    position: Position,
}

// === impl Client ===

impl Client {
    /// Prepares to watch the events of the namespace, by default from now on.
    pub fn watch(&self) -> WatchBuilder {
        WatchBuilder {
            client: self.clone(),
            start: Start::Now,
            initial: InitialState::NotWanted,
            after_gap: AfterGap::End,
            when_held: WhenHeld::Wait,
            request: pb::WatchSessionEventsRequest::default(),
        }
    }
}

// === impl WatchBuilder ===

impl WatchBuilder {
    /// Starts after this revision; 0: from the first event.
    pub fn after(mut self, revision: u64) -> Self {
        self.start = Start::After(revision);
        self
    }

    /// Starts after the newest commit. The default.
    pub fn now(mut self) -> Self {
        self.start = Start::Now;
        self
    }

    /// Starts with the oldest event that is kept.
    pub fn oldest(mut self) -> Self {
        self.start = Start::Oldest;
        self
    }

    /// Starts where an earlier watch or list left off.
    pub fn resume_token(mut self, token: impl Into<String>) -> Self {
        self.start = Start::Token(token.into());
        self
    }

    /// Starts where a named subscription stands.
    pub fn subscription(mut self, name: impl Into<String>) -> Self {
        self.start = Start::Subscription(name.into());
        self
    }

    /// Takes the subscription over from its present consumer, with the first
    /// connection: whoever takes it over after that keeps it.
    pub fn take_over(mut self) -> Self {
        self.request.take_over = true;
        self
    }

    /// Says who consumes the subscription: the same consumer that comes back goes
    /// on under its epoch. Default: a fresh UUID for each watch that is started.
    pub fn consumer(mut self, consumer: impl Into<String>) -> Self {
        self.request.consumer = consumer.into();
        self
    }

    /// Ends with the refusal when another consumer has the subscription, instead
    /// of waiting until it is gone.
    pub(crate) fn end_when_held(mut self) -> Self {
        self.when_held = WhenHeld::End;
        self
    }

    /// Chooses events, and sessions of the initial state.
    pub fn filter(mut self, filter: pb::EventFilter) -> Self {
        self.request.filter = Some(filter);
        self
    }

    /// Brings every session that has not ended before, and along with, the
    /// events.
    pub fn initial_state(mut self) -> Self {
        self.initial = InitialState::wanted();
        self
    }

    /// Sets how often a bookmark comes when nothing else does; at most 15 s.
    pub fn bookmark_interval(mut self, interval: Duration) -> Self {
        self.request.bookmark_interval = Some(crate::session::to_span(interval));
        self
    }

    /// Watches all namespaces. For operators.
    pub fn all_namespaces(mut self) -> Self {
        self.request.all_namespaces = true;
        self
    }

    /// Goes on from the oldest event after a gap instead of ending there.
    pub fn continue_after_gap(mut self) -> Self {
        self.after_gap = AfterGap::FromOldest;
        self
    }

    /// Starts to watch; the connection is made when the stream is first polled.
    /// A server that cannot be reached then is an error after the time of the
    /// client's policy of repeating; later on it is tried for ever.
    pub fn start(mut self) -> EventStream {
        let subscribed = matches!(self.start, Start::Subscription(_));
        if subscribed && self.request.consumer.is_empty() {
            self.request.consumer = Uuid::now_v7().to_string();
        }
        let teller = LinkTeller::new();
        let link = teller.observer();
        let cursor = Cursor::new(self.start, self.initial);
        let endings = (self.after_gap, self.when_held);
        let pump = Pump::new(self.client, self.request, cursor, endings, teller);
        EventStream {
            steps: pump.into_steps(),
            link,
            position: Position::default(),
        }
    }
}

// === impl EventStream ===

impl EventStream {
    /// An observer of the connection.
    #[must_use]
    pub fn link(&self) -> LinkObserver {
        self.link.clone()
    }

    /// The revision up to which everything was brought; 0 before the first
    /// complete batch or bookmark.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.position.revision
    }

    /// What resumes after everything that was brought. `None` before the first
    /// complete batch or bookmark.
    #[must_use]
    pub fn resume_token(&self) -> Option<&str> {
        Some(self.position.resume_token.as_str()).filter(|token| !token.is_empty())
    }
}

impl Stream for EventStream {
    type Item = Result<WatchItem, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.steps.as_mut().poll_next(context) {
            Poll::Ready(Some((item, reached))) => {
                if let Some(position) = reached {
                    self.position = position;
                }
                Poll::Ready(Some(item))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("EventStream")
            .field("link", &self.link.state())
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
