//! EnqueueStream: frames in, answers out, each after its commit and in order.
//!
//! Frames are handed to the engine as they arrive, those that arrived together as a group, so that many share a commit;
//! answers wait in the order of the frames, and the connection itself takes them. A frame that is refused is answered
//! with its status and the stream goes on. A client that does not read its answers stops being read itself.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::{FutureExt, Stream, stream};
use sessiond_core::command::{Command, Enqueue};
use sessiond_core::reply::Answer;
use sessiond_proto::v1 as pb;
use tokio::sync::{mpsc, oneshot};
use tonic::{Status, Streaming};

use super::context::{Called, Context, refused};
use crate::engine::Refused;
use crate::limits::{ENQUEUE_STREAM_AHEAD, STREAM_GROUP_BYTES, STREAM_GROUP_FRAMES};
use crate::wire::status::Refusal;
use crate::wire::{parse, show};

/// Frames that arrived together.
#[derive(Default)]
struct Group {
    frames: Vec<Taken>,
    commands: Vec<Command>,
    bytes: usize,
}

/// A frame of a group.
struct Taken {
    stream_id: String,
    /// Why the engine is not asked; if it is, its answers are in the order of the frames.
    refusal: Option<pb::RefusalStatus>,
}

/// A group under way.
struct Pending {
    frames: Vec<Taken>,
    answers: oneshot::Receiver<Vec<Answer>>,
}

type Answers = Pin<Box<dyn Stream<Item = Result<pb::EnqueueStreamResponse, Status>> + Send>>;

/// Serves one stream.
pub(super) fn serve(
    context: &Arc<Context>,
    caller: Called,
    frames: Streaming<pb::EnqueueStreamRequest>,
) -> Answers {
    let (pending, in_order) = mpsc::channel(ENQUEUE_STREAM_AHEAD);
    context.env.spawn.task(
        "enqueue-stream",
        Box::pin(read(Arc::clone(context), caller, frames, pending)),
    );
    let writer = Writer {
        in_order,
        ready: VecDeque::new(),
    };
    Box::pin(stream::unfold(writer, Writer::next))
}

async fn read(
    context: Arc<Context>,
    caller: Called,
    mut frames: Streaming<pb::EnqueueStreamRequest>,
    pending: mpsc::Sender<Result<Pending, Status>>,
) {
    loop {
        // A stop wins, so that the answers under way are the last ones.
        let first = tokio::select! {
            biased;
            () = context.stopping.begun() => Err(Refusal::server_draining().into()),
            frame = frames.message() => frame,
        };
        let mut group = Group::default();
        let end = gather(&context, &caller, &mut frames, first, &mut group);
        if !group.frames.is_empty() {
            let asked = context.engine.post_group(group.commands).await;
            let next = asked.map_err(refused).map(|answers| Pending {
                frames: group.frames,
                answers,
            });
            let over = next.is_err();
            if pending.send(next).await.is_err() || over {
                return;
            }
        }
        match end {
            Some(Ok(())) => return,
            Some(Err(status)) => {
                // Told after the answers to what came before it; nobody to tell is no matter.
                drop(pending.send(Err(status)).await);
                return;
            }
            None => {}
        }
    }
}

/// Takes a frame and what has arrived behind it, as far as a group has room; says how the stream ended, if it did.
fn gather(
    context: &Context,
    caller: &Called,
    frames: &mut Streaming<pb::EnqueueStreamRequest>,
    first: Result<Option<pb::EnqueueStreamRequest>, Status>,
    group: &mut Group,
) -> Option<Result<(), Status>> {
    let mut next = first;
    loop {
        match next {
            Ok(Some(frame)) => group.take(context, caller, frame),
            Ok(None) => return Some(Ok(())),
            Err(status) => return Some(Err(status)),
        }
        if group.frames.len() >= STREAM_GROUP_FRAMES || group.bytes >= STREAM_GROUP_BYTES {
            return None;
        }
        next = frames.message().now_or_never()?;
    }
}

impl Group {
    fn take(&mut self, context: &Context, caller: &Called, frame: pb::EnqueueStreamRequest) {
        let (namespace, actor) = caller;
        let stream_id = frame.stream_id.clone();
        let parsed = parse::enqueue::frame(
            namespace,
            frame,
            || context.env.ids.session(),
            actor.clone(),
            &context.policy,
        );
        let refusal = match parsed {
            Ok(enqueue) => {
                self.bytes += payload_bytes(&enqueue);
                self.commands.push(Command::Enqueue(enqueue));
                None
            }
            Err(invalid) => Some(Refusal::invalid(&invalid).into()),
        };
        self.frames.push(Taken { stream_id, refusal });
    }
}

fn payload_bytes(enqueue: &Enqueue) -> usize {
    enqueue.messages.iter().map(|m| m.payload.len()).sum()
}

/// Answers in order.
struct Writer {
    in_order: mpsc::Receiver<Result<Pending, Status>>,
    ready: VecDeque<pb::EnqueueStreamResponse>,
}

impl Writer {
    async fn next(mut self) -> Option<(Result<pb::EnqueueStreamResponse, Status>, Self)> {
        while self.ready.is_empty() {
            match self.in_order.recv().await? {
                Ok(pending) => match pending.answers.await {
                    Ok(answers) => self.ready.extend(shown(pending.frames, answers)),
                    Err(_) => return Some((Err(refused(Refused::Stopped)), self)),
                },
                Err(status) => return Some((Err(status), self)),
            }
        }
        let answer = self.ready.pop_front()?;
        Some((Ok(answer), self))
    }
}

fn shown(
    frames: Vec<Taken>,
    answers: Vec<Answer>,
) -> impl Iterator<Item = pb::EnqueueStreamResponse> {
    let mut answers = answers.into_iter();
    frames.into_iter().map(move |frame| {
        if let Some(refusal) = frame.refusal {
            return show::reply::refused_frame(frame.stream_id, refusal);
        }
        let answer = answers.next().expect("each command has its answer");
        match answer.outcome {
            Ok(reply) => show::reply::enqueued_frame(frame.stream_id, reply, answer.revision),
            Err(rejection) => {
                let refusal = Refusal::rejected(&rejection).into();
                show::reply::refused_frame(frame.stream_id, refusal)
            }
        }
    })
}
