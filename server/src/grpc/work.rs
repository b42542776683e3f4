//! Work: one worker's stream, frames both ways.
//!
//! The reader hands frames to the engine and never waits for the writer; the writer takes what the
//! engine pushes, adds payloads and heartbeats, and hands it to the transport. When the stream is
//! gone, the writer tells the engine so and gives back the deliveries it never wrote.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use sessiond_core::command::{Command, WorkerCommand, WorkerFrame};
use sessiond_core::ids::{DeliveryId, Namespace, QueueId, Seq, StreamId};
use sessiond_core::presence::{InstanceKey, Window};
use sessiond_core::reply::Frame;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::worker_service_server::WorkerService;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::context::{Context, refused, span};
use super::{Handlers, payloads};
use crate::app::VERSION;
use crate::limits::{HEARTBEAT_EVERY, HELLO_WITHIN, STOP_STREAMS_WITHIN, STREAM_AHEAD};
use crate::wire::parse::work::WorkFrame;
use crate::wire::show::frame::{Act, Terms};
use crate::wire::status::Refusal;
use crate::wire::{parse, show};

type Frames = Pin<Box<dyn Stream<Item = Result<pb::WorkResponse, Status>> + Send>>;

#[tonic::async_trait]
impl WorkerService for Handlers {
    type WorkStream = Frames;

    async fn work(
        &self,
        request: Request<Streaming<pb::WorkRequest>>,
    ) -> Result<Response<Frames>, Status> {
        let namespace = self.context.namespace(request.metadata())?;
        self.context.refuse_if_stopping()?;
        let (out, frames) = mpsc::channel(STREAM_AHEAD);
        let context = Arc::clone(&self.context);
        let incoming = request.into_inner();
        // The answer's head must not wait for the hello: a client may send it after the head.
        self.context.env.spawn.task(
            "work",
            Box::pin(async move {
                if let Err(status) = begin(context, namespace, incoming, out.clone()).await {
                    // The client is told why, unless it is gone.
                    drop(out.send(Err(status)).await);
                }
            }),
        );
        Ok(Response::new(Box::pin(ReceiverStream::new(frames))))
    }
}

type Out = mpsc::Sender<Result<pb::WorkResponse, Status>>;

/// Takes the hello and starts both halves.
async fn begin(
    context: Arc<Context>,
    namespace: Namespace,
    mut incoming: Streaming<pb::WorkRequest>,
    out: Out,
) -> Result<(), Status> {
    let first = tokio::time::timeout(HELLO_WITHIN, incoming.message())
        .await
        .map_err(|_| Refusal::field_invalid("hello", "must arrive within 10 s"))??;
    let Some(first) = first else {
        // A client that opens a stream and leaves has nothing to be told.
        return Ok(());
    };
    let first = parse::work::frame(first).map_err(|invalid| Refusal::invalid(&invalid))?;
    let WorkFrame::Hello { instance, hello } = first else {
        return Err(Refusal::field_invalid("frame", "must be a hello first").into());
    };
    let terms = Terms {
        worker: hello.worker.clone(),
        instance: instance.clone(),
        window: hello.window,
        heartbeat: span(HEARTBEAT_EVERY),
        server_version: VERSION,
        log_id: context.identification.log_id.clone(),
    };
    let key = (namespace, instance);
    let (stream, frames) = context.dispatcher.open();
    let worker = Worker {
        context,
        key,
        stream,
        terms,
        over: CancellationToken::new(),
    };
    if let Err(status) = worker.post(WorkerFrame::Hello(hello)).await {
        worker.context.dispatcher.close(stream);
        return Err(status);
    }
    let spawn = Arc::clone(&worker.context.env.spawn);
    spawn.task(
        "work-writer",
        Box::pin(write(worker.clone(), frames, out.clone())),
    );
    read(&worker, incoming, &out).await
}

/// One stream's name towards the engine.
#[derive(Clone, Debug)]
struct Worker {
    context: Arc<Context>,
    key: InstanceKey,
    stream: StreamId,
    terms: Terms,
    /// Cancelled when the writer has ended: nothing the reader takes could be answered.
    over: CancellationToken,
}

impl Worker {
    async fn post(&self, frame: WorkerFrame) -> Result<(), Status> {
        let command = Command::Worker(WorkerCommand {
            instance: self.key.clone(),
            stream: self.stream,
            frame,
        });
        // Answers come as frames; whoever waits for this one would wait for a commit.
        let _answer = self
            .context
            .engine
            .post_waiting(command)
            .await
            .map_err(refused)?;
        Ok(())
    }
}

/// Reads until the client ends its half, breaks the contract, or the stream is closed.
async fn read(
    worker: &Worker,
    mut incoming: Streaming<pb::WorkRequest>,
    out: &Out,
) -> Result<(), Status> {
    loop {
        // The end of the writer wins: it has told the client that the stream is over.
        let frame = tokio::select! {
            biased;
            () = worker.over.cancelled() => break,
            frame = incoming.message() => frame,
        };
        let frame = match frame {
            Ok(Some(frame)) => frame,
            Ok(None) => break,
            Err(status) if is_refusal(&status) => {
                worker.context.dispatcher.close(worker.stream);
                return Err(status);
            }
            // The client hung up; only what it said before counts.
            Err(_) => break,
        };
        if let Err(status) = take(worker, frame, out).await {
            worker.context.dispatcher.close(worker.stream);
            return Err(status);
        }
    }
    worker.context.dispatcher.close(worker.stream);
    Ok(())
}

/// Whether a frame could not be read by our own word: every refusal of ours has details.
fn is_refusal(status: &Status) -> bool {
    !status.details().is_empty()
}

/// Hands one frame to the engine, or answers it.
async fn take(worker: &Worker, frame: pb::WorkRequest, out: &Out) -> Result<(), Status> {
    match parse::work::frame(frame).map_err(|invalid| Refusal::invalid(&invalid))? {
        WorkFrame::Frame(frame) => worker.post(frame).await,
        WorkFrame::Goodbye { detail } => {
            tracing::info!(worker = %worker.key.1, detail, "worker leaves");
            worker.post(WorkerFrame::Goodbye).await
        }
        WorkFrame::AttachFailed(answer) => {
            // Not waited for: a client that does not read its answers must not stop being read.
            let frame = pb::work_response::Frame::AttachFailed(answer);
            drop(out.try_send(Ok(show::frame::response(frame))));
            Ok(())
        }
        WorkFrame::Hello { .. } => {
            Err(Refusal::field_invalid("hello", "must come once, as the first frame").into())
        }
    }
}

/// Writes until the stream is closed or the client is gone, then gives back what was not written.
async fn write(worker: Worker, mut frames: mpsc::Receiver<Frame>, out: Out) {
    let unsent = forward(&worker, &mut frames, &out).await;
    drop(out);
    worker.over.cancel();
    worker.context.dispatcher.close(worker.stream);
    // Nobody pushes any more; what is left in the buffer was not written either.
    frames.close();
    let mut places = unsent;
    while let Some(frame) = frames.recv().await {
        places.extend(places_of(&frame));
    }
    // The stream is told as closed first: what comes back must not be pushed to it again.
    let closed = worker.post(WorkerFrame::Closed).await;
    if closed.is_ok() && !places.is_empty() {
        drop(worker.post(WorkerFrame::Unsent(places)).await);
    }
}

type Place = (QueueId, Seq, DeliveryId);

async fn forward(worker: &Worker, frames: &mut mpsc::Receiver<Frame>, out: &Out) -> Vec<Place> {
    let mut heartbeat = tokio::time::interval(HEARTBEAT_EVERY);
    heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut going_away = None;
    loop {
        // Frames win over heartbeats: any frame shows that the server is alive.
        let frame = tokio::select! {
            biased;
            () = out.closed() => return Vec::new(),
            frame = frames.recv() => match frame {
                Some(frame) => frame,
                None => return Vec::new(),
            },
            () = worker.context.stopping.begun(), if going_away.is_none() => {
                say_goodbye(worker, out).await;
                going_away = Some(tokio::time::Instant::now() + STOP_STREAMS_WITHIN);
                continue;
            }
            () = passed(going_away) => return Vec::new(),
            _ = heartbeat.tick() => {
                if out.send(Ok(show::frame::heartbeat())).await.is_err() {
                    return Vec::new();
                }
                continue;
            }
        };
        let places = places_of(&frame);
        let (shown, last) = match act(worker, frame) {
            Ok(Act::Send(shown)) => (Ok(shown), Last::No),
            Ok(Act::SendAndClose(shown)) => (Ok(shown), Last::Yes),
            Ok(Act::Close) => {
                // What was answered until here is still written; nothing is pushed any more.
                worker.context.dispatcher.close(worker.stream);
                continue;
            }
            Err(status) => (Err(status), Last::Yes),
        };
        let failed = shown.is_err();
        if out.send(shown).await.is_err() || failed {
            return places;
        }
        if last == Last::Yes {
            return Vec::new();
        }
    }
}

/// Whether a frame ends its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Yes,
    No,
}

/// Completes at an instant; never, if there is none.
async fn passed(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Tells the worker that the server goes away: it gets nothing new, and settles what it has until the
/// stream is closed, by it or at the time that it is told.
async fn say_goodbye(worker: &Worker, out: &Out) {
    let closed = Window {
        messages: 0,
        bytes: 0,
        sessions: 0,
    };
    // An engine that has stopped hands out nothing either.
    drop(worker.post(WorkerFrame::Window(closed)).await);
    let close_time = worker.context.closing_time();
    let away = show::frame::go_away(pb::GoAwayReason::ServerDraining, close_time);
    let frames = [
        show::frame::quiesce(close_time),
        show::frame::response(pb::work_response::Frame::GoAway(away)),
    ];
    for frame in frames {
        // A client that is gone need not be told.
        drop(out.send(Ok(frame)).await);
    }
}

fn places_of(frame: &Frame) -> Vec<Place> {
    match frame {
        Frame::Deliveries(deliveries) => deliveries
            .iter()
            .map(|d| (d.message.queue, d.message.seq, d.delivery_id))
            .collect(),
        Frame::Welcome { .. }
        | Frame::Attached { .. }
        | Frame::AttachFailed { .. }
        | Frame::Settled(_)
        | Frame::SessionEnding { .. }
        | Frame::LeaseLost { .. }
        | Frame::GoAway { .. } => Vec::new(),
    }
}

/// What the stream is sent for a frame of the engine.
fn act(worker: &Worker, frame: Frame) -> Result<Act, Status> {
    let context = &worker.context;
    let frame = if let Frame::Deliveries(deliveries) = frame {
        Frame::Deliveries(payloads::load(context, deliveries)?)
    } else {
        frame
    };
    let revision = context.feed.newest();
    Ok(show::frame::frame(
        frame,
        &worker.terms,
        revision,
        context.now(),
    ))
}
