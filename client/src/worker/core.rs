//! The loop of a worker: what comes from the stream, from the handlers and from
//! the clock is entered in the ledger, and what the ledger wants said is written.
//!
//! Keeps all state in one place: the loop waits for events only, never for a
//! handler and never for room to write. It decides when to reconnect and when to
//! stop; what a frame means is written in `frames.rs`, what is held in
//! `ledger.rs`.

mod frames;
mod stop;

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::work_request::Frame as RequestFrame;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::stop::Phase;
use super::delivery::{Delivery, Note};
use super::flight::FlightKey;
use super::ledger::{Job, Ledger};
use super::stream::{StreamEvent, WorkStream};
use super::targets::Targets;
use super::{Handler, Outcome, Settings, WorkerEvent};
use crate::client::Client;
use crate::error::Error;
use crate::link::{LinkState, LinkTeller};
use crate::retry::{Backoff, heals};

/// How often the worker is heard when it has nothing to say, unless the server
/// says otherwise.
const HEARTBEAT_INTERVAL_DEFAULT: Duration = Duration::from_secs(5);

/// The shortest interval the server may ask for.
const HEARTBEAT_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Notes of handlers that wait to be entered. A handler that has more to say
/// waits for room.
const NOTES_MAX: usize = 256;

/// Progress frames that wait to be written.
const PROGRESS_MAX: usize = 256;

/// A running worker.
pub(super) struct Core<H> {
    client: Client,
    settings: Settings,
    link: LinkTeller,
    handler: Arc<H>,
    stream: WorkStream,
    /// Whether `welcome` came on the present stream.
    greeting: Greeting,
    backoff: Backoff,
    /// Since when the server answers on the present stream.
    connected: Option<Instant>,
    attempt: u32,
    ledger: Ledger,
    targets: Targets,
    tasks: JoinSet<(FlightKey, Outcome)>,
    notes: mpsc::Receiver<Note>,
    note_writer: mpsc::Sender<Note>,
    /// Frames to be written before all others.
    urgent: VecDeque<RequestFrame>,
    /// Answers to cancels. What was settled before is said before: the server takes back what is not settled.
    cancel_results: VecDeque<pb::CancelResult>,
    progress: VecDeque<pb::Progress>,
    heartbeat_interval: Duration,
    last_written: Instant,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Greeting {
    /// `hello` is on its way, or there is no stream.
    Awaited,
    /// The terms of the stream are known.
    Done,
}

/// Whether everything that was to be said is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Done,
    Blocked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FrameKind {
    Urgent,
    Settle,
    CancelResult,
    Progress,
    Heartbeat,
}

/// Whether the worker goes on.
pub(super) type Flow = std::ops::ControlFlow<Result<(), Error>>;

// === impl Core ===

impl<H: Handler> Core<H> {
    pub(super) fn new(client: Client, settings: Settings, link: LinkTeller, handler: H) -> Self {
        let now = Instant::now();
        let policy = client.retry();
        let (note_writer, notes) = mpsc::channel(NOTES_MAX);
        Self {
            ledger: Ledger::new(settings.window_messages, settings.relaxed),
            targets: Targets::new(settings.targets.clone(), policy, now),
            backoff: Backoff::of_stream(policy),
            client,
            settings,
            link,
            handler: Arc::new(handler),
            stream: WorkStream::new(now),
            greeting: Greeting::Awaited,
            connected: None,
            attempt: 0,
            tasks: JoinSet::new(),
            notes,
            note_writer,
            urgent: VecDeque::new(),
            cancel_results: VecDeque::new(),
            progress: VecDeque::new(),
            heartbeat_interval: HEARTBEAT_INTERVAL_DEFAULT,
            last_written: now,
            phase: Phase::Serving,
        }
    }

    pub(super) async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let mut shutdown = std::pin::pin!(shutdown.fuse());
        loop {
            let writing = self.write();
            let wake = self.next_wake(writing);
            let writer = match writing {
                Writing::Done => None,
                Writing::Blocked => self.stream.writer(),
            };
            // No arm has to win: each is taken as it comes, and all of them are
            // bounded, so none can starve the others for long.
            let flow = tokio::select! {
                () = &mut shutdown => {
                    self.begin_stop(Instant::now());
                    Flow::Continue(())
                }
                event = self.stream.event() => self.on_stream(event),
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    if let Ok((key, outcome)) = done {
                        self.ledger.finished(key, outcome);
                    }
                    Flow::Continue(())
                }
                Some(note) = self.notes.recv(), if self.progress.len() < PROGRESS_MAX => {
                    self.on_note(note);
                    Flow::Continue(())
                }
                () = WorkStream::writable(writer) => Flow::Continue(()),
                () = sleep_until(wake) => Flow::Continue(()),
            };
            if let Flow::Break(end) = flow {
                return end;
            }
            self.gather();
            if let Flow::Break(end) = self.on_time(Instant::now()) {
                return end;
            }
            self.start_handlers();
        }
    }

    fn on_stream(&mut self, event: StreamEvent) -> Flow {
        match event {
            StreamEvent::Due => {
                let hello = self.hello();
                self.stream.open(&self.client, hello);
                Flow::Continue(())
            }
            StreamEvent::Frame(frame) => self.on_frame(*frame),
            StreamEvent::Broken(error) => self.on_broken(error),
        }
    }

    fn hello(&mut self) -> pb::Hello {
        let mut hello = self.settings.hello.clone();
        hello.resume = self.ledger.resume();
        match self.phase {
            Phase::Serving => {}
            Phase::Finishing { .. }
            | Phase::Cancelling { .. }
            | Phase::Settling { .. }
            | Phase::Leaving { .. } => {
                hello.serves = None;
                hello.window = Some(stop::closed_window());
            }
        }
        hello
    }

    fn on_broken(&mut self, error: Error) -> Flow {
        if let Phase::Leaving { .. } = self.phase {
            return Flow::Break(Ok(()));
        }
        if !heals(&error) {
            return Flow::Break(Err(error));
        }
        self.backoff.broke(self.connected);
        let retry_in = self.backoff.next(error.retry_after());
        self.reconnect(error, retry_in);
        Flow::Continue(())
    }

    /// Gives the stream up and opens it again after `retry_in`.
    fn reconnect(&mut self, error: Error, retry_in: Duration) {
        self.greeting = Greeting::Awaited;
        self.connected = None;
        self.attempt = self.attempt.saturating_add(1);
        self.ledger.disconnected();
        self.urgent.clear();
        self.cancel_results.clear();
        self.stream.reopen_at(Instant::now() + retry_in);
        let attempt = self.attempt;
        self.link.tell(LinkState::Reconnecting { attempt });
        let event = WorkerEvent::Disconnected { error, retry_in };
        self.handler.observe(&event);
    }

    fn on_note(&mut self, note: Note) {
        match note {
            Note::Extend { key, by, answer } => self.ledger.extend(key, by, answer),
            Note::Progress(progress) => self.progress.push_back(progress),
        }
    }

    /// Enters what else is ready, so that settlements go together.
    fn gather(&mut self) {
        while let Some(done) = self.tasks.try_join_next() {
            if let Ok((key, outcome)) = done {
                self.ledger.finished(key, outcome);
            }
        }
    }

    fn start_handlers(&mut self) {
        while let Some(job) = self.ledger.start_next() {
            let key = job.key;
            let handler = Arc::clone(&self.handler);
            let delivery = self.delivery(job);
            self.tasks.spawn(async move {
                let work = AssertUnwindSafe(handler.handle(delivery)).catch_unwind();
                let outcome = work.await;
                (
                    key,
                    outcome.unwrap_or_else(|_| Outcome::retry("the handler panicked")),
                )
            });
        }
    }

    fn delivery(&self, job: Job) -> Delivery {
        Delivery {
            key: job.key,
            epoch: job.epoch,
            message: job.waiting.message,
            session: job.session,
            deadline: job.waiting.deadline,
            cancelled: job.cancelled,
            notes: self.note_writer.clone(),
        }
    }

    /// Writes what is to be said as far as there is room.
    fn write(&mut self) -> Writing {
        if self.greeting == Greeting::Awaited {
            return Writing::Done;
        }
        while let Some(frame) = self.next_frame_kind() {
            if !self.stream.has_room() {
                return Writing::Blocked;
            }
            if let Some(frame) = self.take_frame(frame) {
                self.stream.send(frame);
                self.last_written = Instant::now();
            }
        }
        Writing::Done
    }

    /// What is to be written next, urgent things first.
    fn next_frame_kind(&self) -> Option<FrameKind> {
        if !self.urgent.is_empty() {
            Some(FrameKind::Urgent)
        } else if self.ledger.has_settle() {
            Some(FrameKind::Settle)
        } else if !self.cancel_results.is_empty() && !self.ledger.has_unsent() {
            Some(FrameKind::CancelResult)
        } else if !self.progress.is_empty() {
            Some(FrameKind::Progress)
        } else if Instant::now() >= self.next_heartbeat()? {
            Some(FrameKind::Heartbeat)
        } else {
            None
        }
    }

    /// When the worker must be heard; never after its goodbye.
    fn next_heartbeat(&self) -> Option<Instant> {
        match self.phase {
            Phase::Leaving { .. } => None,
            Phase::Serving
            | Phase::Finishing { .. }
            | Phase::Cancelling { .. }
            | Phase::Settling { .. } => Some(self.last_written + self.heartbeat_interval),
        }
    }

    fn take_frame(&mut self, kind: FrameKind) -> Option<RequestFrame> {
        match kind {
            FrameKind::Urgent => self.urgent.pop_front(),
            FrameKind::Settle => self.ledger.next_settle().map(RequestFrame::Settle),
            FrameKind::CancelResult => {
                let result = self.cancel_results.pop_front();
                result.map(RequestFrame::CancelResult)
            }
            FrameKind::Progress => self.progress.pop_front().map(RequestFrame::Progress),
            FrameKind::Heartbeat => Some(RequestFrame::Heartbeat(pb::Heartbeat {})),
        }
    }

    /// When the clock alone has something to say.
    fn next_wake(&self, writing: Writing) -> Option<Instant> {
        let connected = self.greeting == Greeting::Done;
        // While there is no room, a heartbeat waits for room and not for time.
        let heartbeat = match writing {
            Writing::Done => self.next_heartbeat().filter(|_| connected),
            Writing::Blocked => None,
        };
        let attach = self.targets.next_due().filter(|_| connected);
        let cancel = self.ledger.next_cancel_due();
        let times = [heartbeat, attach, cancel, self.phase.deadline()];
        times.into_iter().flatten().min()
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}
