//! EnqueueStream: frames in, answers out, each after its commit and in order.
//!
//! Frames are handed to the engine as they arrive, so that many share a commit; answers wait in the
//! order of the frames. A frame that is refused is answered with its status and the stream goes on.
//! A client that does not read its answers stops being read itself.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use sessiond_core::command::Command;
use sessiond_core::ids::Namespace;
use sessiond_core::reply::Answer;
use sessiond_proto::v1 as pb;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::context::{Context, refused};
use crate::engine::Refused;
use crate::limits::{ENQUEUE_STREAM_AHEAD, STREAM_AHEAD};
use crate::wire::status::Refusal;
use crate::wire::{parse, show};

/// A frame under way.
struct Pending {
    stream_id: String,
    outcome: Outcome,
}

enum Outcome {
    /// The engine has it.
    Asked(oneshot::Receiver<Answer>),
    /// It was refused before.
    Refused(pb::RefusalStatus),
}

type Answers = Pin<Box<dyn Stream<Item = Result<pb::EnqueueStreamResponse, Status>> + Send>>;

/// Serves one stream.
pub(super) fn serve(
    context: &Arc<Context>,
    namespace: Namespace,
    frames: Streaming<pb::EnqueueStreamRequest>,
) -> Answers {
    let (pending, in_order) = mpsc::channel(ENQUEUE_STREAM_AHEAD);
    let (answers, out) = mpsc::channel(STREAM_AHEAD);
    let spawn = &context.env.spawn;
    spawn.task(
        "enqueue-stream-reader",
        Box::pin(read(Arc::clone(context), namespace, frames, pending)),
    );
    spawn.task("enqueue-stream-writer", Box::pin(write(in_order, answers)));
    Box::pin(ReceiverStream::new(out))
}

async fn read(
    context: Arc<Context>,
    namespace: Namespace,
    mut frames: Streaming<pb::EnqueueStreamRequest>,
    pending: mpsc::Sender<Result<Pending, Status>>,
) {
    loop {
        // A stop wins, so that the answers under way are the last ones.
        let frame = tokio::select! {
            biased;
            () = context.stopping.begun() => Err(Refusal::server_draining().into()),
            frame = frames.message() => frame,
        };
        let next = match frame {
            Ok(Some(frame)) => take(&context, &namespace, frame).await,
            Ok(None) => return,
            Err(status) => Err(status),
        };
        let over = next.is_err();
        if pending.send(next).await.is_err() || over {
            return;
        }
    }
}

async fn take(
    context: &Context,
    namespace: &Namespace,
    frame: pb::EnqueueStreamRequest,
) -> Result<Pending, Status> {
    let stream_id = frame.stream_id.clone();
    let parsed = parse::enqueue::frame(
        namespace,
        frame,
        context.env.ids.session(),
        Context::caller(),
        &context.policy,
    );
    let outcome = match parsed {
        Ok(enqueue) => {
            let asked = context.engine.post_waiting(Command::Enqueue(enqueue)).await;
            Outcome::Asked(asked.map_err(refused)?)
        }
        Err(invalid) => Outcome::Refused(Refusal::invalid(&invalid).into()),
    };
    Ok(Pending { stream_id, outcome })
}

async fn write(
    mut in_order: mpsc::Receiver<Result<Pending, Status>>,
    answers: mpsc::Sender<Result<pb::EnqueueStreamResponse, Status>>,
) {
    while let Some(pending) = in_order.recv().await {
        let answer = match pending {
            Ok(pending) => answer(pending).await,
            Err(status) => Err(status),
        };
        let over = answer.is_err();
        if answers.send(answer).await.is_err() || over {
            return;
        }
    }
}

async fn answer(pending: Pending) -> Result<pb::EnqueueStreamResponse, Status> {
    let asked = match pending.outcome {
        Outcome::Refused(refusal) => {
            return Ok(show::reply::refused_frame(pending.stream_id, refusal));
        }
        Outcome::Asked(asked) => asked,
    };
    let answer = asked.await.map_err(|_| refused(Refused::Stopped))?;
    Ok(match answer.outcome {
        Ok(reply) => show::reply::enqueued_frame(pending.stream_id, reply, answer.revision),
        Err(rejection) => {
            show::reply::refused_frame(pending.stream_id, Refusal::rejected(&rejection).into())
        }
    })
}
