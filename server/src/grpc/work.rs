//! Work: one worker's stream, frames both ways.
//!
//! The reader hands frames to the engine, those that arrived together as a group, and never waits for the writer, which
//! has a file of its own. The first frame must be a hello, within its time.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{FutureExt, Stream};
use sessiond_core::command::{Command, WorkerCommand, WorkerFrame};
use sessiond_core::ids::{Namespace, StreamId};
use sessiond_core::presence::InstanceKey;
use sessiond_proto::v1 as pb;
use sessiond_proto::v1::worker_service_server::WorkerService;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::context::{Context, refused, span};
use super::{Handlers, two_way};
use crate::app::VERSION;
use crate::limits::{HEARTBEAT_EVERY, STREAM_AHEAD, STREAM_GROUP_FRAMES};
use crate::transport::MaxAge;
use crate::wire::parse::work::WorkFrame;
use crate::wire::show::frame::Terms;
use crate::wire::status::Refusal;
use crate::wire::{parse, show};

mod writer;

type Frames = Pin<Box<dyn Stream<Item = Result<pb::WorkResponse, Status>> + Send>>;

#[tonic::async_trait]
impl WorkerService for Handlers {
    type WorkStream = Frames;

    async fn work(
        &self,
        request: Request<Streaming<pb::WorkRequest>>,
    ) -> Result<Response<Frames>, Status> {
        let namespace = self.context.namespace(request.metadata())?;
        self.context.refuse_if_leaving()?;
        let (out, frames) = mpsc::channel(STREAM_AHEAD);
        let context = Arc::clone(&self.context);
        let max_age = MaxAge::of(&request);
        let incoming = request.into_inner();
        // The answer's head must not wait for the hello: a client may send it after the head.
        self.context.env.spawn.task(
            "work",
            Box::pin(async move {
                if let Err(status) =
                    begin(context, (namespace, max_age), incoming, out.clone()).await
                {
                    two_way::say_why(status, &out).await;
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
    (namespace, max_age): (Namespace, MaxAge),
    mut incoming: Streaming<pb::WorkRequest>,
    out: Out,
) -> Result<(), Status> {
    let Some(first) = two_way::first(&mut incoming).await? else {
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
        max_age,
        over: CancellationToken::new(),
    };
    if let Err(status) = worker.post(WorkerFrame::Hello(hello)).await {
        worker.context.dispatcher.close(stream);
        return Err(status);
    }
    let spawn = Arc::clone(&worker.context.env.spawn);
    spawn.task(
        "work-writer",
        Box::pin(writer::write(worker.clone(), frames, out.clone())),
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
    /// That of its connection.
    max_age: MaxAge,
    /// Cancelled when the writer has ended: nothing the reader takes could be answered.
    over: CancellationToken,
}

impl Worker {
    /// Tells the engine one thing.
    async fn post(&self, frame: WorkerFrame) -> Result<(), Status> {
        self.tell(vec![frame]).await
    }

    /// Tells the engine several things. Answers come as frames; whoever waited for one here would wait for a commit.
    async fn tell(&self, frames: Vec<WorkerFrame>) -> Result<(), Status> {
        let commands = frames.into_iter().map(|frame| {
            Command::Worker(WorkerCommand {
                instance: self.key.clone(),
                stream: self.stream,
                frame,
            })
        });
        let told = self.context.engine.tell(commands.collect()).await;
        told.map_err(refused)
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
        let first = tokio::select! {
            biased;
            () = worker.over.cancelled() => break,
            frame = incoming.message() => frame,
        };
        let mut group = Vec::new();
        let end = gather(worker, &mut incoming, first, out, &mut group);
        let told = match group.is_empty() {
            true => Ok(()),
            false => worker.tell(group).await,
        };
        match (told, end) {
            (Ok(()), None) => {}
            (Ok(()), Some(Ok(()))) => break,
            (Err(status), _) | (Ok(()), Some(Err(status))) => {
                worker.context.dispatcher.close(worker.stream);
                return Err(status);
            }
        }
    }
    worker.context.dispatcher.close(worker.stream);
    Ok(())
}

/// Takes a frame and what has arrived behind it, as far as a group has room; says how the stream ended, if it did.
fn gather(
    worker: &Worker,
    incoming: &mut Streaming<pb::WorkRequest>,
    first: Result<Option<pb::WorkRequest>, Status>,
    out: &Out,
    group: &mut Vec<WorkerFrame>,
) -> Option<Result<(), Status>> {
    let mut next = first;
    loop {
        match next {
            Ok(Some(frame)) => match take(worker, frame, out) {
                Ok(frame) => group.extend(frame),
                Err(status) => return Some(Err(status)),
            },
            Ok(None) => return Some(Ok(())),
            Err(status) if is_refusal(&status) => return Some(Err(status)),
            // The client hung up; only what it said before counts.
            Err(_) => return Some(Ok(())),
        }
        if group.len() >= STREAM_GROUP_FRAMES {
            return None;
        }
        next = incoming.message().now_or_never()?;
    }
}

/// Whether a frame could not be read by our own word: every refusal of ours has details.
fn is_refusal(status: &Status) -> bool {
    !status.details().is_empty()
}

/// What a frame tells the engine; nothing, if it is answered here.
fn take(worker: &Worker, frame: pb::WorkRequest, out: &Out) -> Result<Option<WorkerFrame>, Status> {
    match parse::work::frame(frame).map_err(|invalid| Refusal::invalid(&invalid))? {
        WorkFrame::Frame(frame) => Ok(Some(frame)),
        WorkFrame::Goodbye { detail } => {
            tracing::info!(worker = %worker.key.1, detail, "worker leaves");
            Ok(Some(WorkerFrame::Goodbye))
        }
        WorkFrame::CancelResult {
            session,
            outcome,
            detail,
        } => {
            let worker = &worker.key.1;
            tracing::info!(%worker, session_id = %session, ?outcome, detail, "cancel answered");
            Ok(Some(WorkerFrame::CancelResult { session, outcome }))
        }
        WorkFrame::AttachFailed(answer) => {
            // Not waited for: a client that does not read its answers must not stop being read.
            let frame = pb::work_response::Frame::AttachFailed(answer);
            drop(out.try_send(Ok(show::frame::response(frame))));
            Ok(None)
        }
        WorkFrame::Hello { .. } => {
            Err(Refusal::field_invalid("hello", "must come once, as the first frame").into())
        }
    }
}
